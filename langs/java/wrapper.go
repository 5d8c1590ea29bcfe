package java

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// wrapper is the version of the tool that a project brings, in the file that the tool's
// wrapper reads: https://maven.apache.org/wrapper/ and
// https://docs.gradle.org/current/userguide/gradle_wrapper.html.
type wrapper struct {
	// file is the path of the properties, source the place of the version.
	file, source string
	// version is the tool's, archive the extension of its distribution: "zip".
	version, archive string
	// sum is the SHA-256 of the distribution in hexadecimal, from line sumLine.
	sum     string
	sumLine int
}

// wrapperHome is where a build container has the Maven of the wrapper.
const wrapperHome = "/opt/maven"

// home is the folder of the unpacked distribution.
func (w *wrapper) home() string { return path.Join(wrapperHome, "apache-maven-"+w.version) }

var (
	mavenDistribution  = regexp.MustCompile(`/apache-maven-([0-9][0-9A-Za-z.-]*)-bin\.(zip|tar\.gz)$`)
	gradleDistribution = regexp.MustCompile(`/gradle-([0-9][0-9A-Za-z.+-]*)-(?:bin|all)\.zip$`)
	sha256Text         = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

// properties reads a file of Java's properties, as far as those of wrappers go: a value and
// its line by key.
func properties(data []byte) map[string]property {
	all := map[string]property{}
	for i, line := range strings.Split(string(data), "\n") {
		text := strings.TrimSpace(line)
		if text == "" || text[0] == '#' || text[0] == '!' {
			continue
		}
		at := strings.IndexAny(text, "=:")
		if at < 0 {
			continue
		}
		key, value := strings.TrimSpace(text[:at]), strings.TrimSpace(text[at+1:])
		all[key] = property{strings.ReplaceAll(value, `\`, ""), line, i + 1}
	}
	return all
}

// property is a value of a file of properties.
type property struct {
	value, text string
	line        int
}

// readWrapper reads the wrapper of the project's tool; nil where there is none, and where
// Maven's says nothing that could be checked.
func (p *project) readWrapper() (*wrapper, spec.Problems) {
	root := ""
	switch p.tool {
	case mavenTool:
		root = p.maven.top.dir
	case gradleTool:
		root = p.gradle.root
	default:
		return nil, nil
	}
	file := path.Join(root, wrapperFile(p.tool))
	data, err := p.files.Read(file)
	if err != nil {
		return nil, spec.Problems{app.Unreadable(file, err)}
	}
	if data == nil {
		if p.tool == gradleTool {
			return nil, spec.Problems{p.spec.Problem("language", fmt.Sprintf("there is no %s: Gradle is taken in the version that the project's wrapper names", file),
				"run `gradle wrapper --gradle-version VERSION --gradle-distribution-sha256-sum SUM` and commit what it writes; check that .dockerignore does not exclude it")}
		}
		return nil, nil
	}
	all := properties(data)
	url, sum := all["distributionUrl"], all["distributionSha256Sum"]
	pattern := mavenDistribution
	if p.tool == gradleTool {
		pattern = gradleDistribution
	}
	m := pattern.FindStringSubmatch(strings.SplitN(url.value, "?", 2)[0])
	w := &wrapper{file: file, sum: strings.ToLower(sum.value), sumLine: sum.line}
	if m != nil {
		w.version, w.archive = m[1], "zip"
		if p.tool == mavenTool {
			w.archive = m[2]
		}
		w.source = fmt.Sprintf("%s:%d", file, url.line)
	}
	if sum.line > 0 && !sha256Text.MatchString(sum.value) {
		return nil, spec.Problems{app.LineProblem(file, sum.line, sum.text, sum.value, "distributionSha256Sum is no SHA-256: it has 64 hexadecimal digits", "take it from the distribution: sha256sum "+path.Base(url.value))}
	}
	name := path.Base(url.value)
	switch {
	case url.line == 0 && p.tool == mavenTool:
		return nil, nil // settings of the wrapper alone
	case url.line == 0:
		return nil, spec.Problems{app.FileProblem(file, "there is no distributionUrl", "run `gradle wrapper` and commit what it writes")}
	case p.tool == gradleTool && sum.line == 0:
		return nil, spec.Problems{app.LineProblem(file, url.line, url.text, url.value, "there is no distributionSha256Sum, so that nobody could tell whether the Gradle that is downloaded is the right one",
			"add the checksum that Gradle publishes for the file:\ndistributionSha256Sum=SHA-256 of "+name+"\nor run `gradle wrapper --gradle-distribution-sha256-sum SUM`")}
	case p.tool == gradleTool && m == nil:
		w.version, w.source = "of "+name, fmt.Sprintf("%s:%d", file, url.line)
		return w, nil
	case p.tool == gradleTool:
		return w, nil
	case m == nil:
		pr := app.LineProblem(file, url.line, url.text, url.value, "this is no distribution of Maven that birdhouse knows: the build image's own Maven is used", "a distribution is named apache-maven-VERSION-bin.zip")
		pr.Severity = spec.Warning
		return nil, spec.Problems{pr}
	case sum.line == 0:
		pr := app.LineProblem(file, url.line, url.text, url.value, fmt.Sprintf("Maven %s is not used: there is no distributionSha256Sum to check it by. The build image's own Maven is", w.version),
			"add the checksum of the file:\ndistributionSha256Sum=SHA-256 of "+name)
		pr.Severity = spec.Warning
		return nil, spec.Problems{pr}
	}
	return w, nil
}

// unpack compares a distribution's checksum and unpacks it: $0 is the file, $1 the
// checksum, $2 where the checksum is written, $3 the folder in the distribution, $4 the exit
// code for another checksum.
const unpack = `got=$(sha256sum "$0") && got=${got%% *}
if [ "$got" != "$1" ]; then
  echo "$2: distributionSha256Sum is not that of ${0##*/}" >&2
  echo "  wanted $1" >&2
  echo "  got    $got" >&2
  exit "$4"
fi
case $0 in
*.zip) jar xf "$0" ;;
*) tar xzf "$0" ;;
esac
chmod 0755 "$3/bin/mvn"`

// fetchMaven is the stage that has the wrapper's Maven: the image's own Maven gets the
// distribution from the repository that the build uses, and it is unpacked when its checksum is
// the one that the project says.
func (b *builder) fetchMaven() plan.Stage {
	w := b.wrapper
	const dir = "/tmp/distribution"
	name := fmt.Sprintf("apache-maven-%s-bin.%s", w.version, w.archive)
	fetch := []string{
		plan.StepsProgram, "jvm", "--", "mvn", "-q", "-B", "-ntp", "-Dstyle.color=never", "-gs", path.Join(specDir, globalSettings), "-Dmaven.repo.local=" + repository,
		dependencyPlugin + ":copy",
		fmt.Sprintf("-Dartifact=org.apache.maven:apache-maven:%s:%s:bin", w.version, w.archive), "-DoutputDirectory=" + dir,
	}
	own := *b
	own.wrapper = nil
	return plan.Stage{
		Name: mavenStage, Base: b.catalogImage(buildVariant),
		Steps: []plan.Step{{
			Name: "get Maven " + w.version,
			Args: []string{
				plan.StepsProgram, "exec", "--before", app.JSON(exec.Command{Args: fetch}), "--normalize", wrapperHome, "--",
				"/bin/sh", "-euc", unpack, path.Join(dir, name), w.sum, fmt.Sprintf("%s:%d", w.file, w.sumLine), "apache-maven-" + w.version, fmt.Sprint(plan.FirstBlame),
			},
			Env: own.mavenEnv(mavenStage), Dir: wrapperHome, Network: true,
			Mounts: append([]plan.Mount{{Kind: plan.MountOutput, Target: wrapperHome}}, own.mavenMounts(repository)...),
			Blame:  []string{fmt.Sprintf("%s:%d: distributionSha256Sum is not that of %s", w.file, w.sumLine, name)},
			Hint:   "the distribution comes from the repository that Maven is set to, which a mirror in settings.xml changes",
		}},
	}
}
