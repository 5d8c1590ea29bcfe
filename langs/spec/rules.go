package spec

import (
	"fmt"
	"math"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// object is a JSON object of the schema.
type object = map[string]any

// complaint is what is wrong with a value: message continues `"value" …`, hint
// says what to write instead.
type complaint struct{ message, hint string }

// rule is what a `check` tag asks of a text, once for the decoder and once for
// the schema. The schema may accept more, never less.
type rule struct {
	// check returns the value in its normal form, or what is wrong with it. Nil
	// accepts everything.
	check func(value string) (string, *complaint)
	// schema is added to that of the value.
	schema object
}

func (r rule) apply(value string) (string, *complaint) {
	if r.check == nil {
		return value, nil
	}
	return r.check(value)
}

// rules are the rules of text by name.
var rules = map[string]rule{
	"text":     matching(`(?s)^.`, "is found in every text", "write a part of what is printed, or remove the line"),
	"word":     matching(`^\S+$`, "is not one word", "write it without blanks"),
	"id":       matching(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`, "is not an id", "an id has letters, digits, _ . and -"),
	"label":    matching(`^[^\s=]+$`, "is not a name", "a name has no blanks and no ="),
	"env":      matching(`^[^\s=]+$`, "is not the name of an environment variable", "a name has no blanks and no ="),
	"property": matching(`^[^\s=]+$`, "is not the name of a property", "a name has no blanks and no ="),
	"arg":      matching(`^[A-Za-z_][A-Za-z0-9_]*$`, "is not a name", "write letters, digits and _"),
	"image":    {check: imageName, schema: object{"pattern": imageNames.String(), "not": object{"enum": stageNames}}},
	"folder":   {check: folder, schema: object{"pattern": `^[^/\\]`, "not": object{"type": "string", "pattern": leaving}}},
	"package":  {check: packagePath, schema: object{"pattern": `^[^/\\-]`, "not": object{"type": "string", "pattern": leaving}}},
	"debian":   {check: debianPackage, schema: object{"pattern": debianNames.String()}},
	"absolute": {check: absolute, schema: object{"type": "string", "pattern": `^/`}},
	"volume":   {check: volume, schema: object{"type": "string", "pattern": `^/[^:]`}},
	"user":     {check: user, schema: object{"type": []string{"string", "integer"}, "minimum": 0, "maximum": math.MaxInt32, "pattern": userText.String()}},
	"signal":   {check: signal, schema: object{"type": []string{"string", "integer"}, "minimum": 1, "maximum": maxSignal, "pattern": signalText.String()}},
	"urlpath":  {check: urlPath, schema: object{"type": "string", "pattern": `^/[^\s#]*$`}},
}

// integerRules are the limits of numbers.
var integerRules = map[string]struct {
	min, max int
	what     string
}{
	"port":   {1, 65535, "a port"},
	"status": {100, 599, "an HTTP status"},
	"exit":   {0, 255, "an exit code"},
	"count":  {1, 1000, "a number of times"},
}

// durationRules are the shortest durations. Docker refuses health checks under
// a millisecond; the plan of a smoke test counts seconds.
var durationRules = map[string]time.Duration{
	"millisecond": time.Millisecond,
	"second":      time.Second,
}

const maxDuration = 24 * time.Hour

// leaving is a path that has ".." in it.
const leaving = `(^|/)\.\.(/|$)`

var leavingPath = regexp.MustCompile(leaving)

// matching is the rule of a regular expression.
func matching(pattern, message, hint string) rule {
	re := regexp.MustCompile(pattern)
	return rule{
		check: func(value string) (string, *complaint) {
			if !re.MatchString(value) {
				return "", &complaint{message, hint}
			}
			return value, nil
		},
		schema: object{"pattern": pattern},
	}
}

// stageNames are the names of the plan's stages; --target takes both these and
// the names of images.
var stageNames = []string{"build", "deps", "generate", "run", "test"}

var imageNames = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*$`)

func imageName(value string) (string, *complaint) {
	switch {
	case slices.Contains(stageNames, value):
		return "", &complaint{"is the name of a stage of the build", "choose another name: --target could mean either"}
	case !imageNames.MatchString(value):
		return "", &complaint{"is not a name for an image", "write lower-case letters, digits, and _ . - behind the first"}
	}
	return value, nil
}

// relative accepts a path inside the build context.
func relative(value string) *complaint {
	switch {
	case value == "":
		return &complaint{"is not a path", "write a path inside the build context"}
	case strings.ContainsFunc(value, unicode.IsControl):
		return &complaint{"has control characters in it", "write a path inside the build context"}
	case strings.Contains(value, `\`):
		return &complaint{`has \ in it`, "write: " + plain(strings.ReplaceAll(value, `\`, "/"))}
	case strings.HasPrefix(value, "/"):
		hint := "paths start at the build context"
		if trimmed := strings.TrimLeft(path.Clean(value), "/"); trimmed != "" {
			hint += "; write: " + plain(trimmed)
		}
		return &complaint{"is absolute", hint}
	case leavingPath.MatchString(value):
		hint := "the build sees nothing outside its context; build with a folder further up as context"
		if clean := path.Clean(value); !leavingPath.MatchString(clean) {
			hint = "write: " + plain(clean)
		}
		return &complaint{"has .. in it", hint}
	}
	return nil
}

func folder(value string) (string, *complaint) {
	if bad := relative(value); bad != nil {
		return "", bad
	}
	if value = path.Clean(value); value == "." {
		value = ""
	}
	return value, nil
}

// packagePath keeps the value as it is: for Go, ./cmd and cmd are different.
func packagePath(value string) (string, *complaint) {
	if strings.HasPrefix(value, "-") {
		return "", &complaint{"looks like a flag", "write the path of a package"}
	}
	if bad := relative(value); bad != nil {
		return "", bad
	}
	return value, nil
}

// debianNames are the names of https://www.debian.org/doc/debian-policy/ch-controlfields.html#source,
// with an end to their length.
var debianNames = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,127}$`)

// debianPackage accepts the name of a Debian package, as apt-get install takes
// it but for what chooses a version or an architecture.
func debianPackage(value string) (string, *complaint) {
	if debianNames.MatchString(value) {
		return value, nil
	}
	instead := func(name, why string) (string, *complaint) {
		if debianNames.MatchString(name) {
			why += "; write: " + plain(name)
		}
		return "", &complaint{"is not the name of a Debian package", why}
	}
	const form = "a name has lower-case letters, digits, and + - . behind the first"
	switch words := strings.Fields(value); {
	case len(words) > 1:
		return instead("", "write each name as an entry: ["+strings.Join(words, ", ")+"]")
	case strings.HasPrefix(value, "-"):
		return instead("", "write the names alone: packages come with what they need, and with nothing that they recommend")
	case strings.HasPrefix(value, "."), strings.HasPrefix(value, "/"):
		return instead("", "what to build of the project is `package`")
	}
	if i := strings.IndexByte(value, '='); i > 0 {
		return instead(value[:i], "its version is that of the catalog's lock")
	}
	if i := strings.IndexByte(value, ':'); i > 0 {
		return instead(value[:i], "--platform says which architecture it is for")
	}
	if i := strings.IndexByte(value, '/'); i > 0 {
		return instead(value[:i], "it comes from the release of Debian that the base is made of")
	}
	return instead(strings.ReplaceAll(strings.ToLower(value), "_", "-"), form)
}

// absolute accepts a clean absolute path in the image.
func absolute(value string) (string, *complaint) {
	switch {
	case value == "":
		return "", &complaint{"is not a path", "write an absolute path"}
	case strings.ContainsFunc(value, unicode.IsControl):
		return "", &complaint{"has control characters in it", "write an absolute path"}
	case strings.Contains(value, `\`):
		return "", &complaint{`has \ in it`, "write: " + plain(strings.ReplaceAll(value, `\`, "/"))}
	case !strings.HasPrefix(value, "/"):
		return "", &complaint{"is not absolute", "write: " + plain(path.Clean("/"+value))}
	case path.Clean(value) != value:
		return "", &complaint{"is not the shortest form of the path", "write: " + plain(path.Clean(value))}
	}
	return value, nil
}

func volume(value string) (string, *complaint) {
	if value == "/" {
		return "", &complaint{"is the whole image", "name the directory that holds data"}
	}
	if parts := strings.Split(value, ":"); len(parts) > 1 {
		hint := "an image names the directory alone"
		if strings.HasPrefix(parts[1], "/") {
			hint += "; write: " + plain(parts[1])
		}
		return "", &complaint{"is what docker run -v takes", hint}
	}
	return absolute(value)
}

var userText = regexp.MustCompile(`^(root|0|[1-9][0-9]*)(:(root|0|[1-9][0-9]*))?$`)

// user accepts uid[:gid]; root is 0.
func user(value string) (string, *complaint) {
	const why = "an image has no need of /etc/passwd, and Kubernetes' runAsNonRoot only believes numbers"
	if !userText.MatchString(value) {
		hint := why + "; write: 65532"
		if name, _, _ := strings.Cut(value, ":"); name == "nobody" {
			hint = why + "; write: 65534"
		}
		return "", &complaint{"is not numeric: uid or uid:gid", hint}
	}
	parts := strings.Split(value, ":")
	for i, part := range parts {
		if part == "root" {
			parts[i] = "0"
		} else if id, err := strconv.Atoi(part); err != nil || id > math.MaxInt32 {
			return "", &complaint{"is too large", fmt.Sprintf("ids go up to %d", math.MaxInt32)}
		}
	}
	return strings.Join(parts, ":"), nil
}

// signals are Linux's, from signal(7).
var signals = strings.Fields(`ABRT ALRM BUS CHLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT
	SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ`)

const maxSignal = 64

var signalText = regexp.MustCompile(`^(SIG(` + strings.Join(signals, "|") + `|RTM(IN|AX)|RTMIN\+[0-9]{1,2}|RTMAX-[0-9]{1,2})|[1-9][0-9]?)$`)

func signal(value string) (string, *complaint) {
	if signalText.MatchString(value) {
		if number, err := strconv.Atoi(value); err != nil || number <= maxSignal {
			return value, nil
		}
	}
	var names []string
	for _, s := range signals {
		names = append(names, "SIG"+s)
	}
	hint := "write a name such as SIGTERM, or a number"
	if upper := strings.ToUpper(value); slices.Contains(signals, upper) {
		hint = "write: SIG" + upper
	} else if near, ok := Nearest(value, names); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return "", &complaint{"is not a signal", hint}
}

var urlPathText = regexp.MustCompile(`^/[^\s#]*$`)

func urlPath(value string) (string, *complaint) {
	if urlPathText.MatchString(value) && !strings.ContainsFunc(value, unicode.IsControl) {
		return value, nil
	}
	hint := "write a path such as /healthz"
	if _, rest, ok := strings.Cut(value, "://"); ok {
		if _, p, ok := strings.Cut(rest, "/"); ok {
			hint = "the host is always the image; write: " + plain("/"+p)
		}
	} else if value != "" && urlPathText.MatchString("/"+value) {
		hint = "write: " + plain("/"+value)
	}
	return "", &complaint{"is not the path of a URL", hint}
}
