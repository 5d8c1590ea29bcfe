package java

import (
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

const (
	// gradleHome is Gradle's folder of its own, a cache mount: its distribution, downloads
	// and results of tasks.
	gradleHome = "/root/.gradle"
	gradleFail = `Verification of Gradle distribution failed|Could not resolve all|Could not (GET|HEAD)|A problem occurred evaluating|Could not compile (build|settings) file|Script compilation error`
)

// gradleEnv is Gradle's environment.
func (b *builder) gradleEnv() []plan.Env {
	return b.env(append([]plan.Env{
		{Name: "HOME", Value: "/root"},
		{Name: "GRADLE_USER_HOME", Value: gradleHome},
		{Name: "GRADLE_OPTS", Value: "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"},
	}, app.SSHEnv(b.spec)...))
}

// gradlew is Gradle by the project's wrapper, with what holds for all of its commands.
func (b *builder) gradlew(tasks ...string) []string {
	args := []string{plan.StepsProgram, "jvm", "--", "/bin/sh", "./gradlew", "--no-daemon", "--console=plain", "--build-cache", "-Dorg.gradle.java.installations.auto-download=false"}
	for _, name := range b.spec.Build.Properties.Keys() {
		args = append(args, "-P"+name+"="+b.spec.Build.Properties[name])
	}
	return append(args, tasks...)
}

// gradleMounts are the cache and the secrets. A project has a cache of its own: what
// Gradle keeps of a package does not say in which repository it was.
func (b *builder) gradleMounts() []plan.Mount {
	id := "birdhouse-java-gradle-" + b.gradle.modules[0].name
	if b.private() {
		id = "birdhouse-java-gradle-private-" + b.gradle.modules[0].name
	}
	return append([]plan.Mount{{Kind: plan.MountCache, Target: gradleHome, CacheID: id, Locked: true}}, b.secretMounts()...)
}

// keepDownloads runs a command whose end does not matter, unless what it printed says that
// the build files are wrong or something could not be had ($0), and keeps what Gradle has
// downloaded.
const keepDownloads = `"$@" 2>&1 | tee /tmp/gradle.log
if grep -Eq "$0" /tmp/gradle.log; then exit 1; fi
mkdir -p /deps/caches
for d in wrapper caches/modules-2; do
  if [ -d "/root/.gradle/$d" ]; then cp -a "/root/.gradle/$d" "/deps/$d"; fi
done`

// takeDownloads puts them where Gradle looks for them when it has nothing yet, as on a
// machine whose builder has only an imported cache.
const takeDownloads = `if [ ! -d /root/.gradle/caches ]; then cp -a /deps/. /root/.gradle/; fi`

// gradleHint is what to try when Gradle fails.
const gradleHint = "packages of private repositories need credentials: secrets: [gradle.properties], and --secret id=gradle.properties,src=$HOME/.gradle/gradle.properties"

// gradleDeps downloads Gradle and what the build files ask for: the program is built without
// its sources, as far as that goes.
func (b *builder) gradleDeps() plan.Stage {
	args := []string{"/bin/sh", "-c", keepDownloads, gradleFail}
	return plan.Stage{
		Name: depsStage, Base: b.base(),
		Steps: []plan.Step{{
			Name: "gradle " + b.gradle.app.taskPath() + " (without sources)",
			Args: append(args, b.gradlew(b.gradle.app.taskPath(), "-x", "test", "--continue")...),
			Env:  b.gradleEnv(), Dir: at(b.gradle.root), Network: true,
			Mounts: append([]plan.Mount{
				{Kind: plan.MountOutput, Target: depsDir},
				{Kind: plan.MountFiles, Target: sourceDir, Include: b.gradle.manifests(), Writable: true},
			}, b.gradleMounts()...),
			Hint: gradleHint,
		}},
	}
}

// manifests are patterns of the files that decide what Gradle downloads.
func (g *gradle) manifests() []string {
	root := ""
	if g.root != "." {
		root = app.EscapePattern(g.root) + "/"
	}
	patterns := []string{
		root + "gradlew", root + "gradle/**", root + "gradle.properties", root + "buildSrc/**", root + "build-logic/**",
		root + "settings.gradle", root + "settings.gradle.kts",
	}
	for _, m := range g.modules {
		dir := ""
		if m.dir != "." {
			dir = app.EscapePattern(m.dir) + "/"
		}
		patterns = append(patterns, dir+"*.gradle", dir+"*.gradle.kts", dir+"gradle.lockfile", dir+"gradle.properties")
	}
	return patterns
}

// gradleBuild makes the program and lays it out.
func (b *builder) gradleBuild() plan.Stage {
	step := plan.Step{
		Name: "gradle " + b.gradle.app.taskPath(), Env: b.gradleEnv(), Dir: at(b.gradle.root), Network: true,
		Mounts: b.withDeps(b.gradleMounts()), Hint: gradleHint,
	}
	return b.layOut(step, [][]string{{"/bin/sh", "-c", takeDownloads}, b.gradlew(b.gradle.app.taskPath(), "-x", "test")})
}

// gradleTest runs the tests before the image is made.
func (b *builder) gradleTest() plan.Stage {
	task := strings.TrimSuffix(b.gradle.app.path, ":") + ":test"
	command, name := b.gradlew(task), "gradle "+task
	if c := b.spec.Test.Command; c != nil {
		command, name = append([]string{plan.StepsProgram, "jvm", "--"}, c...), strings.Join(c, " ")
	}
	return b.tests(plan.Step{
		Name: name, Args: append([]string{"/bin/sh", "-ec", takeDownloads + "\n" + `exec "$0" "$@"`}, command...), Env: b.gradleEnv(), Dir: at(b.gradle.root),
		Mounts: b.withDeps(b.gradleMounts()),
	})
}
