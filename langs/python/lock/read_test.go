package lock

import (
	"fmt"
	"strings"
	"testing"
)

var both = []Target{{Arch: "amd64", Python: "3.13.5", Glibc: "2.36"}, {Arch: "arm64", Python: "3.13.5", Glibc: "2.36"}}

const (
	commitID = "0123456789abcdef0123456789abcdef01234567"
	digest   = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// TestRequirements has a package of every source in every format that has it.
func TestRequirements(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"poetry.lock", `
[[package]]
name = "Both"
version = "1.0+cu1"
groups = ["main"]
files = [{file = "both-1.0.whl", hash = "` + digest + `"}, {file = "both-1.0.tar.gz", hash = "sha256:ff"}]
[[package]]
name = "one"
version = "1"
groups = ["main", "dev"]
markers = {main = "platform_machine == 'aarch64'"}
[[package]]
name = "repo"
version = "1"
groups = ["main"]
[package.source]
type = "git"
url = "https://git.example.com/repo.git"
reference = "main"
resolved_reference = "` + commitID + `"
subdirectory = "sub"
[[package]]
name = "ssh"
version = "1"
groups = ["main"]
[package.source]
type = "git"
url = "git@git.example.com:me/repo.git"
resolved_reference = "` + commitID + `"
[[package]]
name = "archive"
version = "1"
groups = ["main"]
files = [{file = "archive.whl", hash = "` + digest + `"}]
[package.source]
type = "url"
url = "https://index.example.com/archive.whl"
[[package]]
name = "folder"
version = "1"
groups = ["main"]
[package.source]
type = "directory"
url = "lib"
[metadata]
lock-version = "2.1"
`, `archive @ https://index.example.com/archive.whl \
    --hash=` + digest + `
both==1.0+cu1 \
    --hash=` + digest + ` \
    --hash=sha256:ff
one==1 ; platform_machine == "aarch64"
repo @ git+https://git.example.com/repo.git@` + commitID + `#subdirectory=sub
ssh @ git+ssh://git@git.example.com/me/repo.git@` + commitID + `
`},
		{"pdm.lock", `
[metadata]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"
[[package]]
name = "a"
version = "1"
groups = ["default"]
files = [{url = "https://index.example.com/a-1-py3-none-any.whl", hash = "` + digest + `"}]
[[package]]
name = "repo"
version = "1"
groups = ["default"]
git = "https://git.example.com/repo.git"
ref = "main"
revision = "` + commitID + `"
[[package]]
name = "local"
version = "1"
groups = ["default"]
path = "./lib"
`, "a==1 \\\n    --hash=" + digest + "\nrepo @ git+https://git.example.com/repo.git@" + commitID + "\n"},
		{"sub/Pipfile.lock", `{"_meta": {"pipfile-spec": 6, "hash": {"sha256": "x"}},
"default": {"a": {"version": "==1.0", "hashes": ["` + digest + `"]}, "local": {"path": "./lib", "editable": true},
 "repo": {"git": "https://git.example.com/repo.git", "ref": "` + commitID + `"}, "never": {"version": "*", "markers": "sys_platform == 'win32'"}, "twice": {"version": "==1", "markers": "platform_machine == 'x86_64'"}},
"develop": {"twice": {"version": "==1", "markers": "platform_machine == 'aarch64'"}}}`,
			"a==1.0 \\\n    --hash=" + digest + "\nrepo @ git+https://git.example.com/repo.git@" + commitID + "\ntwice==1\n"},
		{"uv.lock", `version = 1
[[package]]
name = "demo"
source = { editable = "." }
dependencies = [{ name = "a" }, { name = "repo" }, { name = "lib" }]
[[package]]
name = "a"
version = "1"
source = { registry = "https://index.example.com/simple" }
wheels = [{ url = "https://index.example.com/a-1-py3-none-any.whl", hash = "` + digest + `" }]
[[package]]
name = "lib"
version = "1"
source = { directory = "lib" }
[[package]]
name = "repo"
version = "1"
source = { git = "https://git.example.com/repo.git?subdirectory=sub&rev=v1#` + commitID + `" }
`, "a==1 \\\n    --hash=" + digest + "\nrepo @ git+https://git.example.com/repo.git@" + commitID + "#subdirectory=sub\n"},
		{"pylock.prod.toml", `lock-version = "1.0"
[[packages]]
name = "a"
version = "1"
wheels = [{ url = "https://index.example.com/a-1-py3-none-any.whl", hashes = { sha256 = "` + digest[7:] + `" } }]
[[packages]]
name = "repo"
vcs = { type = "git", url = "https://git.example.com/repo.git", commit-id = "` + commitID + `" }
[[packages]]
name = "archive"
archive = { url = "https://index.example.com/archive.zip", hashes = { sha256 = "` + digest[7:] + `" } }
[[packages]]
name = "local"
directory = { path = "lib" }
`, "a==1 \\\n    --hash=" + digest + "\narchive @ https://index.example.com/archive.zip \\\n    --hash=" + digest + "\nrepo @ git+https://git.example.com/repo.git@" + commitID + "\n"},
	} {
		l, problems := Read(c.file, []byte(c.text))
		if len(problems) > 0 {
			t.Errorf("%s: %v", c.file, problems)
			continue
		}
		want := Want{Targets: both}
		if l.Format == Pipfile {
			want.Groups = []string{"dev"}
		}
		chosen, problems := l.Select(Manifest{}, want)
		got, more := l.Requirements(chosen)
		if got != c.want || len(problems)+len(more) > 0 {
			t.Errorf("%s:\n got %s\nwant %s\n%v %v", c.file, got, c.want, problems, more)
		}
	}
}

func TestReadErrors(t *testing.T) {
	for _, c := range []struct{ file, text, want string }{
		{"poetry.lock", "x = ", "1 it is not TOML: expected value, not end of input"},
		{"poetry.lock", "", "0 the table [metadata] is missing: is it a poetry.lock?"},
		{"poetry.lock", "[metadata]\nlock-version = \"3.0\"", "2 version 3.0 of poetry.lock is not known: 1, 2 are"},
		{"poetry.lock", "[metadata]\n[[package]]\nname = \"a b\"", `2 "a b" is not the name of a package`},
		{"poetry.lock", "[metadata]\n[[package]]\nname = \"a\"\nversion = \"x\"", `4 package a: "x" is not a version: it does not begin with a number`},
		{"poetry.lock", "[metadata]\n[[package]]\nname = \"a\"\nmarkers = \"linux\"", `4 "linux" is not a variable of markers; texts are written in quotes`},
		{"poetry.lock", "[metadata]\n[[package]]\nname = \"a\"\n[package.source]\ntype = \"git\"\nurl = \"https://me:secret@git.example.com/a\"", "0 line 6: a password or a token stands in the URL: whoever has the project, a build record or a cache can read it"},
		{"pdm.lock", "[metadata]\nlock_version = \"9\"", "2 version 9 of pdm.lock is not known: 4 are"},
		{"pdm.lock", "[metadata]\n[[package]]\nname = \"a\"\nhg = \"https://x\"", `4 package "a" comes from hg: only git is supported`},
		{"uv.lock", "version = 2", "1 version 2 of uv.lock is not known: 1 are"},
		{"uv.lock", "version = 1\n[[package]]\nname = \"a\"", `2 package "a" has no source that is known`},
		{"uv.lock", "version = 1\n[[package]]\nname = \"a\"\nsource = {registry = \"https://me:secret@index.example.com\"}", "0 line 4: a password or a token stands in the URL: whoever has the project, a build record or a cache can read it"},
		{"pylock.toml", "", "0 lock-version is missing: is it a pylock.toml?"},
		{"Pipfile.lock", "{\n\"a\" 1", "2 it is not JSON: invalid character '1' after object key"},
		{"Pipfile.lock", "{\n\"_meta\": []}", `2 it is not a Pipfile.lock: "_meta" is of another kind`},
		{"Pipfile.lock", "{}", "1 version 0 of Pipfile.lock is not known: 6 is"},
		{"Pipfile.lock", "{\"_meta\": {\"pipfile-spec\": 6},\n\"default\": {\n\"a\": {\"version\": \"1\"}}}", `3 package a: "1" is not a condition on a version: write ==1`},
		{"uv.lock", "version = 1\n" + strings.Repeat("[[package]]\nname = \"a\"\nversion = \"1\"\nsource = {virtual = \".\"}\n", maxVersions+1), "2002 package a is there more than 500 times"},
		{"other.lock", "", "0 it is not a lock file that is known"},
	} {
		l, problems := Read(c.file, []byte(c.text))
		if l != nil || len(problems) != 1 {
			t.Errorf("%s %q: %v", c.file, c.text, problems)
			continue
		}
		p := problems[0]
		if got := fmt.Sprintf("%d %s", p.Range.Start.Line, p.Message); got != c.want || p.File != c.file {
			t.Errorf("%s %q:\n got %s\nwant %s", c.file, c.text, got, c.want)
		}
		if strings.Contains(p.Message+p.Hint, ":secret") {
			t.Errorf("%s: the password is shown", c.file)
		}
	}
}

func TestSelectErrors(t *testing.T) {
	uv := "version = 1\n[[package]]\nname = \"demo\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"a\" }]\n"
	for _, c := range []struct {
		file, text string
		want       Want
		message    string
	}{
		{"uv.lock", uv, Want{}, "2 the lock has no a that demo needs on linux/amd64 with Python 3.13.5"},
		{"uv.lock", uv, Want{Package: "other"}, `0 the lock has no package "other" of the project`},
		{"uv.lock", uv, Want{Groups: []string{"docs"}}, `0 the lock has no group "docs"`},
		{"uv.lock", uv, Want{Extras: []string{"X_y"}}, `0 the lock has no extra "x-y"`},
		{"uv.lock", "supported-markers = [\"sys_platform == 'darwin'\"]\n" + uv, Want{}, "0 the lock was made for other platforms than linux/amd64 with Python 3.13.5"},
		{"pdm.lock", "[metadata]\nlock_version = \"4.5\"\n[[metadata.targets]]\nplatform = \"macos_14_0_arm64\"", Want{}, "0 the lock was made for other platforms than linux/amd64 with Python 3.13.5"},
		{"Pipfile.lock", `{"_meta": {"pipfile-spec": 6}, "default": {"a": {"version": "*"}}}`, Want{}, "1 package a is needed on linux/amd64, but the lock has no version of it"},
		{"poetry.lock", "[metadata]\nlock-version = \"2.1\"\n[[package]]\nname = \"a\"\ngroups = [\"main\"]\n[package.source]\ntype = \"git\"\nurl = \"https://x\"\nresolved_reference = \"main\"", Want{}, "3 package a is needed on linux/amd64, but the lock has no commit of it"},
		{"poetry.lock", "[metadata]\nlock-version = \"2.1\"\n[[package]]\nname = \"a\"\ngroups = [\"main\"]\n[package.source]\ntype = \"url\"\nurl = \"https://x/${UV_INDEX}\"", Want{}, `3 package a has an address that is none: "https://x/${UV_INDEX}"`},
	} {
		l, problems := Read(c.file, []byte(c.text))
		if len(problems) > 0 {
			t.Fatal(c.file, problems)
		}
		c.want.Targets = both[:1]
		chosen, problems := l.Select(Manifest{}, c.want)
		_, more := l.Requirements(chosen)
		if problems = append(problems, more...); len(problems) != 1 {
			t.Errorf("%s: %v", c.message, problems)
			continue
		}
		if got := fmt.Sprintf("%d %s", problems[0].Range.Start.Line, problems[0].Message); got != c.message {
			t.Errorf("got %s, want %s", got, c.message)
		}
	}
	pdm, _ := Read("pdm.lock", []byte("[metadata]\nlock_version = \"4.5\"\n[[metadata.targets]]\nplatform = \"manylinux_2_17_x86_64\""))
	if _, problems := pdm.Select(Manifest{}, Want{Targets: both}); len(problems) != 1 || !strings.Contains(problems[0].Message, "linux/arm64") {
		t.Errorf("of a lock for one platform: %v", problems)
	}
}

func TestWheels(t *testing.T) {
	l := load(t, "uv", "uv.lock")
	chosen, _ := l.Select(Manifest{}, Want{Targets: both})
	found := map[string]string{}
	for _, c := range chosen {
		for _, target := range c.Targets {
			if w, ok := c.Wheel(target); ok {
				found[c.Name+" "+target.Arch] = w.File
				if w.Size <= 0 || !c.Sdist && c.Name == "uvloop" || !c.Listed || len(c.Hashes) == 0 {
					t.Errorf("%s: size %d, source %v, listed %v, %d hashes", w.File, w.Size, c.Sdist, c.Listed, len(c.Hashes))
				}
			}
		}
	}
	for name, want := range map[string]string{"flask arm64": "flask-3.1.3-py3-none-any.whl", "uvloop amd64": "x86_64.whl", "uvloop arm64": "aarch64.manylinux_2_17_aarch64.manylinux_2_28_aarch64.whl"} {
		if !strings.HasSuffix(found[name], want) {
			t.Errorf("%s: %q, want …%s", name, found[name], want)
		}
	}
	for _, c := range []struct {
		file  string
		fits  []string
		which bool
	}{
		{"a-1-py3-none-any.whl", []string{"amd64 3.13.5 2.36", "arm64 3.9.1 2.28"}, true},
		{"a-1-py2.py3-none-any.whl", []string{"amd64 3.13.5 2.36"}, true},
		{"a-1-py2-none-any.whl", []string{"amd64 3.13.5 2.36"}, false},
		{"a-1-py314-none-any.whl", []string{"amd64 3.13.5 2.36"}, false},
		{"a-1-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", []string{"amd64 3.13.5 2.36"}, true},
		{"a-1-cp313-cp313-manylinux_2_17_x86_64.whl", []string{"arm64 3.13.5 2.36", "amd64 3.12.1 2.36", "amd64 3.14.0 2.36", "amd64 3.13.5 2.16"}, false},
		{"a-1-cp313-cp313t-manylinux_2_17_x86_64.whl", []string{"amd64 3.13.5 2.36"}, false},
		{"a-1-cp38-abi3-manylinux_2_28_aarch64.whl", []string{"arm64 3.13.5 2.36"}, true},
		{"a-1-cp314-abi3-manylinux_2_28_aarch64.whl", []string{"arm64 3.13.5 2.36"}, false},
		{"a-1-cp313-cp313-musllinux_1_2_x86_64.whl", []string{"amd64 3.13.5 2.36"}, false},
		{"a-1-cp313-cp313-win_amd64.whl", []string{"amd64 3.13.5 2.36"}, false},
		{"a-1-pp310-pypy310_pp73-manylinux_2_17_x86_64.whl", []string{"amd64 3.10.5 2.36"}, false},
		{"a-1-cp313-none-linux_x86_64.whl", []string{"amd64 3.13.5 2.36"}, true},
		{"a-1-7-py3-none-manylinux1_x86_64.whl", []string{"amd64 3.13.5 2.36"}, true},
		{"a-1-py3-none-manylinux_2_39_x86_64.whl", []string{"amd64 3.13.5 2.36", "amd64 x 2.41", "amd64 3.13.5 x"}, false},
	} {
		w, err := ParseWheel(c.file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range c.fits {
			f := strings.Fields(text)
			if got := w.Fits(Target{Arch: f[0], Python: f[1], Glibc: f[2]}); got != c.which {
				t.Errorf("%s on %s: %v", c.file, text, got)
			}
		}
	}
	p := &Package{}
	for _, file := range []string{"a-1-py3-none-any.whl", "a-1-cp39-abi3-manylinux_2_28_x86_64.whl", "a-1-cp313-cp313-manylinux_2_17_x86_64.whl", "a-1-cp313-cp313-manylinux_2_28_x86_64.whl", "a-1-cp313-cp313-manylinux_2_39_x86_64.whl"} {
		p.wheel(file, nil)
	}
	if w, ok := p.Wheel(both[0]); !ok || w.File != "a-1-cp313-cp313-manylinux_2_28_x86_64.whl" || !w.Platform() {
		t.Errorf("the best of them is %s", w.File)
	}
	if w, ok := p.Wheel(both[1]); !ok || w.File != "a-1-py3-none-any.whl" || w.Platform() {
		t.Errorf("the best of them is %s", w.File)
	}
	for _, file := range []string{"a.whl", "a-1.tar.gz", "a-1-py3-none-any.zip", ""} {
		if _, err := ParseWheel(file); err == nil {
			t.Errorf("%q is a wheel", file)
		}
	}
}

func TestPoetryConditions(t *testing.T) {
	for text, want := range map[string]string{
		"^1.2.3": ">=1.2.3,<2", "^0.2.3": ">=0.2.3,<0.3", "^0.0.3": ">=0.0.3,<0.0.4", "^0": ">=0,<1", "^0.0": ">=0.0,<0.1", "^1": ">=1,<2",
		"~1.2.3": ">=1.2.3,<1.3", "~1.2": ">=1.2,<1.3", "~1": ">=1,<2", "1.2.*": "==1.2.*", "*": "", "1.2": "==1.2", ">=1,<2": ">=1,<2", ">= 1 < 2": ">=1,<2",
		"~=1.4": "~=1.4", "^2.7 || ^3.6": ">=2.7,<3 | >=3.6,<4", "!=3.0.*,>=2.7": "!=3.0.*,>=2.7", "": "", "^1.2rc1": ">=1.2rc1,<2",
	} {
		all, err := PoetrySpecifiers(text)
		var got []string
		for _, s := range all {
			got = append(got, s.String())
		}
		if strings.Join(got, " | ") != want || err != nil {
			t.Errorf("%q is %q, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"^x", "~", "latest", ">=", "^1" + strings.Repeat("|1", 1000)} {
		if all, err := PoetrySpecifiers(text); err == nil {
			t.Errorf("%.20q is %v", text, all)
		}
	}
}

func FuzzRead(f *testing.F) {
	names := []string{"poetry.lock", "pdm.lock", "uv.lock", "pylock.toml", "Pipfile.lock"}
	f.Add(uint8(0), []byte("[metadata]\nlock-version = \"1.1\"\n[metadata.files]\na = [{file = \"a-1-py3-none-any.whl\", hash = \"sha256:ff\"}]\n[[package]]\nname = \"a\"\nversion = \"1\"\n[package.dependencies]\na = [{version = \"^1\", extras = [\"x\"]}, \"~2\"]"))
	f.Add(uint8(1), []byte("[metadata]\nlock_version = \"4\"\ncontent_hash = \"sha256:1\"\n[[metadata.targets]]\nplatform = \"linux\"\n[[package]]\nname = \"a\"\nversion = \"1\"\nextras = [\"x\"]\ndependencies = [\"a[x]>=1; os_name == 'nt'\"]"))
	f.Add(uint8(2), []byte("version = 1\n[manifest]\nmembers = [\"a\"]\n[[package]]\nname = \"a\"\nsource = { git = \"https://x?subdirectory=b#c\" }\ndependencies = [{name = \"a\", extra = [\"x\"]}]\n[package.optional-dependencies]\nx = [{name = \"a\"}]"))
	f.Add(uint8(3), []byte("lock-version = \"1.0\"\ndefault-groups = [\"a\"]\n[[packages]]\nname = \"a\"\nmarker = \"'a' in dependency_groups\"\nvcs = {type = \"git\"}"))
	f.Add(uint8(4), []byte(`{"_meta": {"pipfile-spec": 6, "hash": {"sha256": "1"}}, "default": {"a": {"version": "==1", "hashes": ["sha256:ff"]}}}`))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		l, problems := Read(names[int(which)%len(names)], data)
		if (l == nil) == (len(problems) == 0) {
			t.Fatalf("neither a lock nor a problem, or both: %v", problems)
		}
		if l == nil {
			return
		}
		l.Stale(Manifest{})
		groups, extras := l.Groups(Manifest{}, "")
		chosen, _ := l.Select(Manifest{}, Want{Groups: groups, Extras: extras, Targets: both})
		text, _ := l.Requirements(chosen)
		again, _ := l.Select(Manifest{}, Want{Groups: groups, Extras: extras, Targets: both})
		if second, _ := l.Requirements(again); second != text {
			t.Fatalf("the same lock gives\n%s\nand\n%s", text, second)
		}
	})
}
