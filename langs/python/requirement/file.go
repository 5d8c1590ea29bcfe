package requirement

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// The bounds of what requirements files may make us read.
const (
	maxFiles    = 200
	maxProblems = 20
)

// File is what requirements files say, with all that they include:
// https://pip.pypa.io/en/stable/reference/requirements-file-format/.
type File struct {
	// Requirements are what is to be installed, Constraints conditions on what may be
	// installed, in the order of the files.
	Requirements, Constraints []Line
	// Options are of the whole installation, in the order of the files.
	Options []Option
	// Files are the paths of all files that were read, in the order of reading.
	Files []string
	// Variables are the names of those that stand as ${NAME} in the files, sorted.
	Variables []string
}

// Line is a requirement and where it stands.
type Line struct {
	// File is a path in the context; Number is of the first line when the requirement
	// goes on over several.
	File   string
	Number int
	// Text is the line without comments, joined with those that continue it.
	Text string
	Requirement
	// Path is what a requirement for a folder or file of the project names, in the
	// context; "" for all others.
	Path string
	// Editable is for -e, whose files Python reads where they are.
	Editable bool
	// Hashes are as "sha256:…", in the order of the line.
	Hashes []string
}

// VCS says whether the requirement is for a version control system's repository.
func (l Line) VCS() bool {
	scheme, _, ok := strings.Cut(l.URL, "+")
	return ok && slices.Contains([]string{"git", "hg", "svn", "bzr"}, scheme)
}

// Option is one such as "--index-url": short names, such as -i, are written out. Value is
// empty for those that have none.
type Option struct {
	File        string
	Number      int
	Name, Value string
}

// Option names, as far as they say where packages come from and which are allowed.
const (
	IndexURL      = "--index-url"
	ExtraIndexURL = "--extra-index-url"
	NoIndex       = "--no-index"
	FindLinks     = "--find-links"
	NoBinary      = "--no-binary"
	OnlyBinary    = "--only-binary"
	PreferBinary  = "--prefer-binary"
	RequireHashes = "--require-hashes"
	Pre           = "--pre"
	TrustedHost   = "--trusted-host"
	UseFeature    = "--use-feature"
)

// options says of each option whether a value follows it.
var options = map[string]bool{
	IndexURL: true, ExtraIndexURL: true, NoIndex: false, FindLinks: true, NoBinary: true, OnlyBinary: true,
	PreferBinary: false, RequireHashes: false, Pre: false, TrustedHost: true, UseFeature: true,
	include: true, constrain: true, editable: true,
	hash: true, "--global-option": true, "--config-setting": true, "--config-settings": true, "--install-option": true,
}

const (
	include   = "--requirement"
	constrain = "--constraint"
	editable  = "--editable"
	hash      = "--hash"
)

var shortOptions = map[string]string{"-i": IndexURL, "-f": FindLinks, "-r": include, "-c": constrain, "-e": editable, "-C": "--config-settings", "--pypi-url": IndexURL}

// Read reads requirements files, names being their paths in the context, and those that they
// include. Paths of requirements begin in dir, as pip and uv run there; paths of
// included files in the folder of the file that includes them.
//
// Of its problems each names the line and what to write instead. Passwords in URLs
// are problems too: what they stand in is copied into caches and build records.
func Read(files app.Files, dir string, names ...string) (*File, spec.Problems) {
	r := &fileReader{files: files, dir: dir, result: &File{}, seen: map[string]bool{}, variables: map[string]bool{}}
	for _, name := range names {
		r.read(name, false, nil, place{})
	}
	for name := range r.variables {
		r.result.Variables = append(r.result.Variables, name)
	}
	slices.Sort(r.result.Variables)
	return r.result, r.problems
}

type fileReader struct {
	files     app.Files
	dir       string
	result    *File
	problems  spec.Problems
	seen      map[string]bool
	variables map[string]bool
}

// place is where a line stands.
type place struct {
	file   string
	number int
	text   string
}

func (r *fileReader) problem(at place, piece, message, hint string) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, app.LineProblem(at.file, at.number, at.text, piece, message, hint))
	}
}

// read reads a file; from are the files that led to it, at the line that names it.
func (r *fileReader) read(name string, constraints bool, from []string, at place) {
	if slices.Contains(from, name) {
		r.problem(at, "", fmt.Sprintf("%s includes itself: %s", name, strings.Join(append(from, name), " -> ")), "remove this line")
		return
	}
	// Once as requirements and once as constraints.
	key := fmt.Sprintf("%v %s", constraints, name)
	if r.seen[key] {
		return
	}
	r.seen[key] = true
	if len(r.seen) > maxFiles {
		if len(r.seen) == maxFiles+1 {
			r.problem(at, "", fmt.Sprintf("more than %d files are included", maxFiles), "write them into fewer files")
		}
		return
	}
	data, err := r.files.Read(name)
	switch {
	case err != nil && at.file == "":
		r.problems = append(r.problems, app.Unreadable(name, err))
		return
	case err == nil && data == nil && at.file == "":
		r.problems = append(r.problems, app.FileProblem(name, "there is no such file", ""))
		return
	case err != nil:
		r.problem(at, "", fmt.Sprintf("%s cannot be read: %v", name, cause(err)), "")
		return
	case data == nil:
		r.problem(at, "", fmt.Sprintf("there is no file %s", name), "paths of included files begin in the folder of the file that includes them; is it left out by the ignore file? In another folder than the project's only files are read that have requirements or constraints in their names, or lie in a folder requirements")
		return
	}
	if !slices.Contains(r.result.Files, name) {
		r.result.Files = append(r.result.Files, name)
	}
	for _, l := range logicalLines(name, data) {
		if len(r.problems) >= maxProblems {
			return
		}
		r.line(l, constraints, append(slices.Clone(from), name))
	}
}

func cause(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// logicalLines splits a file: a backslash at a line's end joins the next one, and a comment
// begins with # at the line's start or behind a space. Empty lines are left out.
func logicalLines(name string, data []byte) []place {
	text := strings.TrimPrefix(string(data), "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	var all []place
	var joined []string
	start := 0
	for i, line := range strings.Split(text, "\n") {
		if joined == nil {
			start = i + 1
		}
		isComment := strings.HasPrefix(strings.TrimSpace(line), "#")
		if more, ok := strings.CutSuffix(line, `\`); ok && !isComment {
			joined = append(joined, more)
			continue
		}
		if isComment {
			line = " " + strings.TrimSpace(line)
		}
		all = appendLine(all, name, start, strings.Join(append(joined, line), ""))
		joined = nil
	}
	return appendLine(all, name, start, strings.Join(joined, ""))
}

func appendLine(all []place, name string, number int, text string) []place {
	text = strings.TrimRight(withoutComment(text), " \t")
	if strings.TrimSpace(text) == "" {
		return all
	}
	return append(all, place{name, number, text})
}

// withoutComment returns what stands before a comment and the space that it follows. Spaces
// are ASCII's: a byte alone may be a part of a letter.
func withoutComment(text string) string {
	for i := range len(text) {
		if text[i] == '#' && (i == 0 || strings.IndexByte(" \t\n\f\r", text[i-1]) >= 0) {
			return text[:max(i-1, 0)]
		}
	}
	return text
}

var variable = regexp.MustCompile(`\$\{([A-Z0-9_]+)\}`)

func (r *fileReader) line(at place, constraints bool, from []string) {
	for _, m := range variable.FindAllStringSubmatch(at.text, -1) {
		r.variables[m[1]] = true
	}
	text := strings.TrimSpace(at.text)
	// What follows the first word that begins with a dash are options.
	end := len(text)
	if strings.HasPrefix(text, "-") {
		end = 0
	} else if i := strings.Index(text, " -"); i >= 0 {
		end = i
	} else if i := strings.Index(text, "\t-"); i >= 0 {
		end = i
	}
	words, err := split(text[end:])
	if err != nil {
		r.problem(at, "", err.Error(), "close the quote")
		return
	}
	l := Line{File: at.file, Number: at.number, Text: text}
	named := strings.TrimSpace(text[:end])
	add := named != ""
	for len(words) > 0 {
		var o Option
		if o, words, err = option(words); err != nil {
			r.problem(at, o.Name, err.Error(), "options are those of pip: https://pip.pypa.io/en/stable/reference/requirements-file-format/")
			return
		}
		o.File, o.Number = at.file, at.number
		if Credentials(o.Value) {
			r.credentials(at)
			return
		}
		switch o.Name {
		case include, constrain:
			r.include(at, o, constraints, from)
		case editable:
			l.Editable, named, add = true, o.Value, true
		case hash:
			if !add {
				r.problem(at, hash, "--hash belongs to a requirement: this line has none", `the line before it must end with a backslash`)
				return
			}
			if !validHash(o.Value) {
				r.problem(at, o.Value, fmt.Sprintf("%q is not a hash", shorten(o.Value)), "write --hash=sha256: and 64 hexadecimal digits")
				return
			}
			l.Hashes = append(l.Hashes, strings.ToLower(o.Value))
		case "--global-option", "--config-setting", "--config-settings", "--install-option":
			// They are for builds from source; what is built decides what they mean.
			r.result.Options = append(r.result.Options, o)
		default:
			r.result.Options = append(r.result.Options, o)
		}
	}
	if !add {
		return
	}
	if !r.requirement(&l, at, named) {
		return
	}
	if constraints {
		r.result.Constraints = append(r.result.Constraints, l)
	} else {
		r.result.Requirements = append(r.result.Requirements, l)
	}
}

func (r *fileReader) include(at place, o Option, constraints bool, from []string) {
	if strings.Contains(o.Value, "://") {
		r.problem(at, o.Value, "a requirements file on a server is not included: it may change between two builds", "copy the file into the project and write its path")
		return
	}
	name, ok := app.InContext(path.Dir(at.file), o.Value)
	if !ok {
		r.problem(at, o.Value, fmt.Sprintf("%s is not in the build context", shorten(o.Value)), "files of a build are in its context: copy the file into it and write its path")
		return
	}
	r.read(name, constraints || o.Name == constrain, from, at)
}

func (r *fileReader) credentials(at place) {
	r.problems = append(r.problems, CredentialsProblem(at.file, at.number))
}

// CredentialsProblem says that a line of a file has a password in it, without showing
// the line.
func CredentialsProblem(file string, number int) spec.Problem {
	return app.FileProblem(file, fmt.Sprintf("line %d: a password or a token stands in the URL: whoever has the project, a build record or a cache can read it", number),
		"withdraw it, remove it from the URL, and write in the descriptor:\nsecrets: [netrc]\nthen build with --secret id=netrc,src=$HOME/.netrc")
}

// requirement reads what a line is for and says whether it could.
func (r *fileReader) requirement(l *Line, at place, text string) bool {
	if Credentials(text) {
		r.credentials(at)
		return false
	}
	if isPath(text) {
		return r.path(l, at, text)
	}
	req, err := Parse(text)
	var syntax *SyntaxError
	if errors.As(err, &syntax) {
		piece := text
		if syntax.Offset < len(text) {
			piece = text[syntax.Offset:]
		}
		r.problem(at, piece, syntax.Message, "a line is a requirement, as in flask[async]>=3,<4, a path, a URL or an option")
		return false
	}
	if Credentials(req.URL) {
		r.credentials(at)
		return false
	}
	if l.Editable {
		r.problem(at, text, "-e takes a folder or a repository", "write the folder's path, as in -e ./library, or "+text+" without -e")
		return false
	}
	l.Requirement = req
	if file, ok := localFile(req.URL); ok {
		return r.local(l, at, file)
	}
	return true
}

var (
	archive = regexp.MustCompile(`(?i)\.(whl|zip|tar\.gz|tgz|tar\.bz2|tar\.xz|tar)$`)
	scheme  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*:`)
)

// IsArchive says whether a path is that of a file with a package in it.
func IsArchive(name string) bool { return archive.MatchString(name) }

// isPath says whether a line is a path or a URL alone: pip tells them from names by
// slashes, a dot at the start and the ends of archives.
func isPath(text string) bool {
	first, _, _ := strings.Cut(text, " ")
	first, _, _ = strings.Cut(first, ";")
	if at := strings.Index(text, "@"); at > 0 && ValidName(strings.TrimSpace(strings.SplitN(text[:at], "[", 2)[0])) {
		// name @ URL, whatever the URL is; but git+ssh://… has no name before its @.
		return false
	}
	plain, _, _ := strings.Cut(first, "[")
	return scheme.MatchString(first) || strings.HasPrefix(first, ".") || strings.ContainsAny(plain, `/\`) || archive.MatchString(plain)
}

// path reads "./library[extra] ; marker" and URLs without a name.
func (r *fileReader) path(l *Line, at place, text string) bool {
	target := text
	// A marker is behind a space, as a URL may have semicolons.
	for _, sep := range []string{" ;", "\t;", "; "} {
		before, marker, ok := strings.Cut(target, sep)
		if !ok {
			continue
		}
		m, err := ParseMarker(marker)
		if err != nil {
			r.problem(at, strings.TrimSpace(marker), err.Error(), `a marker is as in ; python_version >= "3.9"`)
			return false
		}
		target, l.Marker = strings.TrimSpace(before), m
		break
	}
	if scheme.MatchString(target) {
		if fragment := strings.Index(target, "#"); fragment >= 0 {
			for _, part := range strings.Split(target[fragment+1:], "&") {
				egg, ok := strings.CutPrefix(part, "egg=")
				if !ok {
					continue
				}
				name, extras, _ := strings.Cut(egg, "[")
				if !ValidName(name) {
					r.problem(at, part, fmt.Sprintf("%q is not the name of a package", shorten(name)), "write NAME @ URL instead of #egg=")
					return false
				}
				l.Name = Name(name)
				if extras != "" {
					list, _, err := parseExtras("["+extras, 0)
					if err != nil {
						r.problem(at, part, err.Message, "write NAME[extra] @ URL instead of #egg=")
						return false
					}
					l.Extras = list
				}
			}
		}
		l.URL = target
		if file, ok := localFile(target); ok {
			return r.local(l, at, file)
		}
		return true
	}
	if i := strings.IndexByte(target, '['); i > 0 && strings.HasSuffix(target, "]") {
		extras, _, err := parseExtras(target, i)
		if err != nil {
			r.problem(at, target[i:], err.Message, "")
			return false
		}
		target, l.Extras = target[:i], extras
	}
	return r.local(l, at, target)
}

// localFile returns the path in a URL of the scheme "file", and of one that is no
// URL at all, as in "name @ ./folder".
func localFile(target string) (string, bool) {
	if target == "" {
		return "", false
	}
	rest, ok := strings.CutPrefix(target, "file:")
	if !ok {
		return target, !scheme.MatchString(target)
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest = strings.TrimPrefix(rest, "//localhost")
	if strings.HasPrefix(rest, "///") {
		rest = rest[2:]
	} else {
		rest = strings.TrimPrefix(rest, "//")
	}
	if plain, err := url.PathUnescape(rest); err == nil {
		rest = plain
	}
	return rest, true
}

func (r *fileReader) local(l *Line, at place, target string) bool {
	name, ok := app.InContext(r.dir, target)
	if !ok {
		r.problem(at, target, fmt.Sprintf("%s is not in the build context", shorten(target)), "files of a build are in its context: copy the folder into it, or build with a context that has both, and write the path from "+app.Describe(r.dir))
		return false
	}
	// Archives are large, and none of the files that a plan is made from.
	if !IsArchive(name) && !r.files.Exists(name) {
		r.problem(at, target, fmt.Sprintf("there is no file or folder %s", name), "paths of requirements begin in "+app.Describe(r.dir)+"; is it left out by the ignore file?")
		return false
	}
	l.Path = name
	return true
}

// option takes one option with its value off the words.
func option(words []string) (Option, []string, error) {
	word, rest := words[0], words[1:]
	if !strings.HasPrefix(word, "-") {
		return Option{Name: word}, nil, fmt.Errorf("%q stands where an option is expected", shorten(word))
	}
	name, value, hasValue := strings.Cut(word, "=")
	if !strings.HasPrefix(word, "--") && len(word) > 2 {
		// -rfile and -r=file are both accepted, by pip and by uv.
		name, value, hasValue = word[:2], strings.TrimPrefix(word[2:], "="), true
	}
	if long := shortOptions[name]; long != "" {
		name = long
	}
	takes, known := options[name]
	o := Option{Name: name, Value: value}
	switch {
	case !known:
		return Option{Name: word}, nil, fmt.Errorf("%q is not an option of requirements files", shorten(word))
	case !takes && hasValue:
		return o, nil, fmt.Errorf("%s takes no value", name)
	case takes && !hasValue:
		if len(rest) == 0 {
			return o, nil, fmt.Errorf("%s needs a value", name)
		}
		o.Value, rest = rest[0], rest[1:]
	}
	if takes && o.Value == "" {
		return o, nil, fmt.Errorf("%s needs a value", name)
	}
	return o, rest, nil
}

// split splits words as a shell does, with quotes and backslashes.
func split(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	quote := rune(0)
	escaped := false
	for _, c := range text {
		switch {
		case escaped:
			word.WriteRune(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(c)
		case c == '"' || c == '\'':
			quote, inWord = c, true
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote is not closed: %s", shorten(text))
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// hashLengths are the hexadecimal digits of the algorithms that pip and uv accept in
// requirements.
var hashLengths = map[string]int{"md5": 32, "sha256": 64, "sha384": 96, "sha512": 128, "blake2b": 128}

func validHash(text string) bool {
	algorithm, digits, ok := strings.Cut(strings.ToLower(text), ":")
	return ok && hashLengths[algorithm] == len(digits) && strings.Trim(digits, "0123456789abcdef") == ""
}
