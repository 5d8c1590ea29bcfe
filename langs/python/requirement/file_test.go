package requirement

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/birdhouse-build/birdhouse/langs/app"
)

const digest = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

// files makes a project.
func files(list map[string]string) app.Files {
	fsys := fstest.MapFS{}
	for name, text := range list {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return app.Files{FS: fsys}
}

// show writes what was read, one thing a line.
func show(f *File) string {
	var b strings.Builder
	line := func(kind string, l Line) {
		fmt.Fprintf(&b, "%s %s:%d %s", kind, l.File, l.Number, l.Requirement)
		if l.Path != "" {
			fmt.Fprintf(&b, " path=%s", l.Path)
		}
		if l.Editable {
			b.WriteString(" editable")
		}
		if l.VCS() {
			b.WriteString(" vcs")
		}
		for _, h := range l.Hashes {
			b.WriteString(" " + h[:10])
		}
		b.WriteByte('\n')
	}
	for _, l := range f.Requirements {
		line("install", l)
	}
	for _, l := range f.Constraints {
		line("limit", l)
	}
	for _, o := range f.Options {
		fmt.Fprintf(&b, "option %s:%d %s %s\n", o.File, o.Number, o.Name, o.Value)
	}
	fmt.Fprintf(&b, "files %v variables %v\n", f.Files, f.Variables)
	return b.String()
}

func TestRead(t *testing.T) {
	project := files(map[string]string{
		"app/requirements.txt": "\ufeff# all\r\n" +
			"-i https://index.example.com/simple --extra-index-url=https://${USER}:${TOKEN}@extra.example.com/simple\r\n" +
			"Flask[async] >= 3, <4 ; python_version >= '3.9' # web\r\n" +
			"\r\n" +
			"click==8.1.7 \\\r\n" +
			"    --hash=sha256:" + digest + " \\\r\n" +
			"    --hash=sha256:" + strings.ToUpper(digest[2:]) + "EF\r\n" +
			"-r more/base.txt\r\n" +
			"-cconstraints.txt\r\n" +
			"-e ./lib[x]\r\n" +
			"--editable=git+https://git.example.com/tool.git@v1#egg=Tool[cli]\r\n" +
			"./dist/demo-1.0-py3-none-any.whl ; sys_platform == 'linux'\r\n" +
			"other @ file:./lib\r\n" +
			"zipped @ https://index.example.com/zipped.zip#sha256=1\r\n" +
			"https://index.example.com/plain-1.0-py3-none-any.whl\r\n" +
			"git+ssh://git@git.example.com/a.git@main#egg=a\r\n" +
			"--no-binary :all: --only-binary=numpy\r\n" +
			"--require-hashes\r\n--pre\r\n--trusted-host index.example.com\r\n--find-links ./dist\r\n--prefer-binary\r\n--no-index",
		"app/more/base.txt":                  "-r ../again.txt\n-r ../again.txt\nidna\n",
		"app/again.txt":                      "six==1.16.0",
		"app/constraints.txt":                "idna<4\n-r more/limits.txt\n",
		"app/more/limits.txt":                "urllib3<3\n",
		"app/lib/setup.py":                   "",
		"app/dist/demo-1.0-py3-none-any.whl": "",
	})
	f, problems := Read(project, "app", "app/requirements.txt")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := `install app/requirements.txt:3 flask[async]>=3,<4 ; python_version >= "3.9"
install app/requirements.txt:5 click==8.1.7 sha256:012 sha256:234
install app/again.txt:1 six==1.16.0
install app/more/base.txt:3 idna
install app/requirements.txt:10 [x] path=app/lib editable
install app/requirements.txt:11 tool[cli] @ git+https://git.example.com/tool.git@v1#egg=Tool[cli] editable vcs
install app/requirements.txt:12  ; sys_platform == "linux" path=app/dist/demo-1.0-py3-none-any.whl
install app/requirements.txt:13 other @ file:./lib path=app/lib
install app/requirements.txt:14 zipped @ https://index.example.com/zipped.zip#sha256=1
install app/requirements.txt:15 https://index.example.com/plain-1.0-py3-none-any.whl
install app/requirements.txt:16 a @ git+ssh://git@git.example.com/a.git@main#egg=a vcs
limit app/constraints.txt:1 idna<4
limit app/more/limits.txt:1 urllib3<3
option app/requirements.txt:2 --index-url https://index.example.com/simple
option app/requirements.txt:2 --extra-index-url https://${USER}:${TOKEN}@extra.example.com/simple
option app/requirements.txt:17 --no-binary :all:
option app/requirements.txt:17 --only-binary numpy
option app/requirements.txt:18 --require-hashes 
option app/requirements.txt:19 --pre 
option app/requirements.txt:20 --trusted-host index.example.com
option app/requirements.txt:21 --find-links ./dist
option app/requirements.txt:22 --prefer-binary 
option app/requirements.txt:23 --no-index 
files [app/requirements.txt app/more/base.txt app/again.txt app/constraints.txt app/more/limits.txt] variables [TOKEN USER]
`
	if got := show(f); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestReadErrors(t *testing.T) {
	for _, c := range []struct{ text, want, hint string }{
		{"flask = 3.0", "requirements.txt:1:7 " + `flask: "= 3.0" is not a condition on a version: write ==3.0`, "a line is a requirement, as in flask[async]>=3,<4, a path, a URL or an option"},
		{"idna\nflask >=3 <4 # why", "requirements.txt:2:7 " + `flask: ">=3 <4" is not a condition on a version: unexpected " <4"`, ""},
		{"flask; python_version > 3", "requirements.txt:1:25 " + `"3" is not a variable of markers; texts are written in quotes`, ""},
		{"import os", "requirements.txt:1:8 " + `import: "os" is not a condition on a version: write an operator and a version, as in ==1.2 or >=1.2,<2`, ""},
		{"<html>", "requirements.txt:1:1 " + `a requirement begins with a name, as in flask>=3: "<html>"`, ""},
		{"flask --hash=sha256:123", "requirements.txt:1:14 " + `"sha256:123" is not a hash`, "write --hash=sha256: and 64 hexadecimal digits"},
		{"--hash=sha256:" + digest, "requirements.txt:1:1 --hash belongs to a requirement: this line has none", "the line before it must end with a backslash"},
		{"--unknown x", `requirements.txt:1:1 "--unknown" is not an option of requirements files`, ""},
		{"--no-index=1", "requirements.txt:1:1 --no-index takes no value", ""},
		{"-r", "requirements.txt:1:1 --requirement needs a value", ""},
		{"-r missing.txt", "requirements.txt:1:1 there is no file missing.txt", ""},
		{"-r ../outside.txt", "requirements.txt:1:4 ../outside.txt is not in the build context", ""},
		{"-r /etc/passwd", "requirements.txt:1:4 /etc/passwd is not in the build context", ""},
		{"-r https://example.com/r.txt", "requirements.txt:1:4 a requirements file on a server is not included: it may change between two builds", "copy the file into the project and write its path"},
		{"-r loop.txt", "loop.txt:2:1 requirements.txt includes itself: requirements.txt -> loop.txt -> requirements.txt", "remove this line"},
		{"-e flask", "requirements.txt:1:4 -e takes a folder or a repository", ""},
		{"./missing", "requirements.txt:1:1 there is no file or folder missing", ""},
		{"../outside", "requirements.txt:1:1 ../outside is not in the build context", ""},
		{"a @ file:///home/me/a", "requirements.txt:1:0 /home/me/a is not in the build context", ""},
		{"./lib ; linux", `requirements.txt:1:9 "linux" is not a variable of markers; texts are written in quotes`, ""},
		{"--index-url 'https://index.example.com", "requirements.txt:1:1 a quote is not closed: --index-url 'https://index.example.com", "close the quote"},
		{"idna\n--index-url https://me:secret@index.example.com/simple", "requirements.txt:0:0 line 2: a password or a token stands in the URL: whoever has the project, a build record or a cache can read it", ""},
		{"a @ https://me:secret@index.example.com/a.whl", "requirements.txt:0:0 line 1: a password or a token stands in the URL: whoever has the project, a build record or a cache can read it", ""},
		{"git+https://secret@git.example.com/a.git", "requirements.txt:0:0 line 1: a password or a token stands in the URL: whoever has the project, a build record or a cache can read it", ""},
	} {
		_, problems := Read(files(map[string]string{"requirements.txt": c.text, "loop.txt": "idna\n-r requirements.txt\n", "lib/x": ""}), ".", "requirements.txt")
		if len(problems) != 1 {
			t.Errorf("%s: %d problems: %v", c.text, len(problems), problems)
			continue
		}
		p := problems[0]
		column := p.Range.Start.Column
		if strings.Contains(c.want, ":0 ") && p.Range.Start.Line > 0 {
			column = 0 // the piece is not in the line as such
		}
		if got := fmt.Sprintf("%s:%d:%d %s", p.File, p.Range.Start.Line, column, p.Message); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.text, got, c.want)
		}
		if c.hint != "" && p.Hint != c.hint {
			t.Errorf("%s: hint %q, want %q", c.text, p.Hint, c.hint)
		}
		if strings.Contains(fmt.Sprint(problems), "secret") {
			t.Errorf("%s: the password is shown: %v", c.text, problems)
		}
	}
}

func TestReadBounds(t *testing.T) {
	list := map[string]string{"missing-names.txt": strings.Repeat("==\n", 1000)}
	for i := range maxFiles + 10 {
		list[fmt.Sprintf("r%d.txt", i)] = fmt.Sprintf("-r r%d.txt\n-r r%d.txt\n", i+1, i+2)
	}
	list[fmt.Sprintf("r%d.txt", maxFiles+10)], list[fmt.Sprintf("r%d.txt", maxFiles+11)] = "", ""
	if _, problems := Read(files(list), ".", "r0.txt"); len(problems) != 1 || !strings.Contains(problems[0].Message, "more than 200 files") {
		t.Errorf("a chain of %d files: %v", len(list), problems)
	}
	if _, problems := Read(files(list), ".", "missing-names.txt"); len(problems) != maxProblems {
		t.Errorf("%d problems", len(problems))
	}
	if _, problems := Read(files(nil), ".", "requirements.txt"); len(problems) != 1 || problems[0].Message != "there is no such file" {
		t.Error(problems)
	}
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"flask>=3 --hash=sha256:" + digest + "\n", "-r requirements.txt", "-r other.txt\n-c other.txt", "./lib[x] ; os_name == 'nt'", "-e git+https://a@b/c#egg=d[e]",
		"a \\\n b \\", "-i 'a b'", "a @ file:../x", "https://${A}:b@c", "#\\\n#", "-", "--", "[", "./[", "a#egg=[",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		result, problems := Read(files(map[string]string{"requirements.txt": text, "other.txt": text, "lib/x": ""}), ".", "requirements.txt")
		if result == nil {
			t.Fatal("no result")
		}
		for _, p := range problems {
			if p.Message == "" || p.File == "" {
				t.Fatalf("a problem without a place: %+v", p)
			}
		}
		for _, l := range result.Requirements {
			if l.Name == "" && l.Path == "" && l.URL == "" {
				t.Fatalf("a line is for nothing: %+v", l)
			}
			if Credentials(l.URL) {
				t.Fatalf("a password was let through: %+v", l)
			}
			if strings.HasPrefix(l.Path, "..") || strings.HasPrefix(l.Path, "/") {
				t.Fatalf("a path leaves the context: %+v", l)
			}
		}
	})
}

func TestComments(t *testing.T) {
	for text, want := range map[string]string{
		"flask==3.1.2":                        "flask==3.1.2",
		"flask==3.1.2 # served by gunicorn":   "flask==3.1.2",
		"flask==3.1.2\t# a # b":               "flask==3.1.2",
		"# nothing":                           "",
		"twig @ git+https://e.test/t#egg=t":   "twig @ git+https://e.test/t#egg=t",
		"./vogel\u00e0#egg=vogel":             "./vogel\u00e0#egg=vogel",
		"./a#egg=a  # the space is a comment": "./a#egg=a ",
	} {
		if got := withoutComment(text); got != want {
			t.Errorf("%q without its comment is %q, want %q", text, got, want)
		}
	}
}
