package spec

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// maxPackages is how many Debian packages one list may name.
const maxPackages = 200

// maxImages is how many images one descriptor may have.
const maxImages = 100

// check reports what is wrong between keys, each of which is right.
func (s *Spec) check() Problems {
	var problems Problems
	names := slices.Sorted(maps.Keys(s.Images))
	if len(names) > maxImages {
		return Problems{s.Problem("images", fmt.Sprintf("images has %d entries; at most %d are built from one descriptor", len(names), maxImages),
			"split the descriptor")}
	}
	for _, name := range names {
		// images.a.cmd would be a path of both.
		for _, other := range names {
			if strings.HasPrefix(name, other+".") {
				problems = append(problems, s.Problem("images."+name,
					fmt.Sprintf("images: %q looks like a key of %q", name, other), "write - in place of the dot"))
			}
		}
	}
	problems = append(problems, s.templates()...)
	problems = append(problems, s.checkSecrets()...)
	problems = append(problems, s.checkLiterals()...)
	problems = append(problems, s.checkPackages("build.packages", s.Build.Packages)...)
	// With `images`, the top level is what they share; alone it need not make
	// sense.
	if len(names) == 0 {
		return append(problems, s.checkImage()...)
	}
	for _, name := range names {
		one, _ := s.For(name)
		problems = append(problems, one.checkImage()...)
	}
	return problems
}

// templates reports templates that no build could replace.
func (s *Spec) templates() Problems {
	trial := *s
	return trial.Expand(Vars{Args: s.Args})
}

// checkImage reports what is wrong in one image.
func (s *Spec) checkImage() Problems {
	var problems Problems
	add := func(p Problem) { problems = append(problems, p) }

	root := s.User == "0" || strings.HasPrefix(string(s.User), "0:")
	if root {
		add(s.Warning("user", "user: the program runs as root",
			"leave `user` out to run as 65532; ports below 1024 need no root in a container"))
	}
	for i, c := range s.Copy {
		path := fmt.Sprintf("copy[%d]", i)
		if c.Source == "." {
			add(s.Warning(path, "copy: . is the whole build context", "name the files that the program reads"))
		}
		if c.Mode != nil && *c.Mode&0o004 == 0 && !root {
			add(s.Warning(path, fmt.Sprintf("copy: the program cannot read %s: files belong to root, and the mode %04o is for their owner", c.Target, *c.Mode),
				fmt.Sprintf("write the mode %04o, or leave it out", *c.Mode|0o044)))
		}
	}
	problems = append(problems, s.checkPackages("packages", s.Packages)...)
	repeated(s.Expose, func(i int, p Port) {
		add(s.Problem(fmt.Sprintf("expose[%d]", i), fmt.Sprintf("expose: %s is there twice", p), "remove one of the two"))
	})
	repeated(s.Volumes, func(i int, v string) {
		add(s.Problem(fmt.Sprintf("volumes[%d]", i), fmt.Sprintf("volumes: %s is there twice", v), "remove one of the two"))
	})
	if s.Healthcheck != nil {
		s.checkHealthcheck(add)
	}
	if s.Smoke != nil {
		s.checkSmoke(add)
	}
	return problems
}

// repeated calls found for entries that equal an earlier one. Zero values are
// entries that could not be read.
func repeated[T comparable](list []T, found func(i int, entry T)) {
	var zero T
	seen := map[T]bool{zero: false}
	for i, entry := range list {
		if seen[entry] {
			found(i, entry)
		}
		seen[entry] = entry != zero
	}
}

func (s *Spec) checkPackages(path string, names []string) Problems {
	if len(names) > maxPackages {
		return Problems{s.Problem(path, fmt.Sprintf("%s has %d entries; at most %d are taken", path, len(names), maxPackages),
			"name those that the program uses itself: what they need comes with them")}
	}
	var problems Problems
	repeated(names, func(i int, name string) {
		problems = append(problems, s.Problem(fmt.Sprintf("%s[%d]", path, i), fmt.Sprintf("%s: %s is there twice", path, name), "remove one of the two"))
	})
	return problems
}

func (s *Spec) checkHealthcheck(add func(Problem)) {
	if !s.Has("healthcheck.test") {
		add(s.Problem("healthcheck", "healthcheck has no test", `write the program to run: test: ["/app/api", "health"]`))
		return
	}
	test := s.Healthcheck.Test
	if len(test) == 0 {
		return // Reported when it was read.
	}
	switch test[0] {
	case "CMD":
		add(s.Problem("healthcheck.test[0]", `healthcheck.test: "CMD" is not part of the command`, "write: "+commandText(test[1:])))
	case "CMD-SHELL":
		add(s.Problem("healthcheck.test[0]", "healthcheck.test: there is no shell", "write the program and its arguments"))
	case "NONE":
		add(s.Problem("healthcheck.test[0]", `healthcheck.test: "NONE" is no check`, "remove `healthcheck`: the bases have none"))
	}
}

func (s *Spec) checkSmoke(add func(Problem)) {
	has := func(key string) bool { return s.Has("smoke." + key) }
	http := has("path")
	if !has("port") && !http && !has("output") && !has("exit") && !has("args") {
		add(s.Problem("smoke", "smoke checks nothing", "write what to wait for (port, path), or what the program prints or returns (output, exit)"))
		return
	}
	tcp := slices.ContainsFunc(s.Expose, func(p Port) bool { return strings.HasSuffix(string(p), "/tcp") })
	// An entry of expose that could not be read has been reported; it may be
	// the port.
	unread := slices.Contains(s.Expose, "") || s.Has("expose") && s.Expose == nil || s.Build.Static != nil || s.Language == "python" || s.Language == "java" // whose servers have a port of their own
	if http && !has("port") && !tcp && !unread {
		add(s.Problem("smoke.path", "smoke.path: there is no port to ask", "write the port: smoke.port, or expose"))
	}
	if has("status") && !http {
		add(s.Problem("smoke.status", "smoke.status: without a path nothing is asked by HTTP", "write the path to ask for: path: /"))
	}
	if has("exit") && (has("port") || http) {
		add(s.Problem("smoke.exit", "smoke.exit: a program that is asked on a port is stopped, its exit code says nothing", "remove exit, or port and path"))
	}
}

// checkSecrets reports secrets that are there twice or say where twice.
func (s *Spec) checkSecrets() Problems {
	var problems Problems
	seen := map[string]bool{}
	for i, secret := range s.Secrets {
		path := fmt.Sprintf("secrets[%d]", i)
		if secret.ID == "" {
			continue // Reported when it was read.
		}
		if secret.Env != "" && secret.Target != "" {
			problems = append(problems, s.Problem(path+".target", path+": a secret is a variable or a file, not both", "remove env or target"))
		}
		where := "target " + secret.Target
		switch {
		case secret.Env != "":
			where = "env " + secret.Env
		case secret.Target == "":
			where = "target /run/secrets/" + secret.ID
		}
		if seen[where] {
			problems = append(problems, s.Problem(path, fmt.Sprintf("%s: an earlier secret has this %s", path, where), "remove one of the two"))
		}
		seen[where] = true
	}
	return problems
}

var (
	// secretName and publicName are those of BuildKit's linter, rule
	// SecretsUsedInArgOrEnv (frontend/dockerfile/dockerfile2llb/validations.go),
	// with "." and "-" between words, and with key and auth on their own taken
	// out: PARTITION_KEY and AUTH_MODE are no secrets, and here it is an error.
	secretName = nameWith(`apikey|credentials?|password|pword|passwd|secret|token|` +
		`(access|api|app|auth|deploy|encryption|jwt|license|master|private|secret|session|signing|ssh|tls)[_.-]key`)
	keyName    = nameWith(`auth|key`)
	publicName = nameWith(`public|file|version|path|dir|url|uri|id|name|header|prefix|type|mode|ttl|timeout|enabled`)

	// secretValue are secrets by their form: the issuers' own prefixes.
	secretValue = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----|\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{36}|glpat-[A-Za-z0-9_-]{20}|xox[abp]-[A-Za-z0-9-]{10}|npm_[A-Za-z0-9]{36}|AKIA[A-Z0-9]{16}\b)`)
)

func nameWith(words string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:[_.-]|^)(?:` + words + `)(?:[_.-]|$)`)
}

// checkLiterals reports secrets written into the descriptor.
func (s *Spec) checkLiterals() Problems {
	var problems Problems
	const inImage = "whoever can pull the image can read it"
	const inBuild = "build records and caches keep it"
	look := func(path string, m StringMap, why string) {
		for _, key := range m.Keys() {
			value := m[key]
			if !looksSecret(key, value) && !(path == "args" && value == "" && secretName.MatchString(key) && !publicName.MatchString(key)) {
				continue
			}
			hint := fmt.Sprintf("for the build, write: secrets: [{id: %s, env: %s}]", plain(key), plain(key))
			switch {
			case path == "build.properties":
				name := variableName(key)
				hint = fmt.Sprintf("write: secrets: [{id: %s, env: %s}]\nand in the build file ${env.%s}, or System.getenv(\"%s\") for Gradle", name, name, name, name)
			case strings.HasSuffix(path, "labels"), strings.HasSuffix(path, "annotations"):
				hint = "remove it"
			case why == inImage:
				hint += "\nfor the running program, give it when the container starts: docker run -e " + printable(shorten(key))
			}
			problems = append(problems, s.Problem(path+"."+key, fmt.Sprintf("%s: %s looks like a secret: %s", path, quote(key), why), hint))
		}
	}
	image := func(prefix string, i Image) {
		look(prefix+"env", i.Env, inImage)
		look(prefix+"labels", i.Labels, inImage)
		look(prefix+"annotations", i.Annotations, inImage)
	}
	look("args", s.Args, inBuild)
	look("build.env", s.Build.Env, inBuild)
	look("build.properties", s.Build.Properties, inBuild)
	image("", s.Image)
	for name, override := range s.Images {
		image("images."+name+".", override.Image)
	}
	return problems
}

// variableName is the name of an environment variable for a property.
func variableName(property string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, property)
}

// looksSecret says whether a variable holds a secret, by its name or its value.
func looksSecret(name, value string) bool {
	if secretValue.MatchString(value) {
		return true
	}
	if u, err := url.Parse(value); err == nil && u.Scheme != "" && u.Host != "" {
		password, set := u.User.Password()
		return set && password != ""
	}
	harmless := value == "" || value == "true" || value == "false" || strings.HasPrefix(value, "/")
	if harmless || publicName.MatchString(name) {
		return false
	}
	// A key or an auth is a secret when it is as long as secrets are.
	return secretName.MatchString(name) || keyName.MatchString(name) && len(value) >= 16
}
