package requirement

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
)

// readJSON reads a table that Python's library "packaging" wrote, which is the
// reference: what it says is what pip does.
func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestVersionsAsPackaging(t *testing.T) {
	var table struct {
		Versions   []string
		Specifiers [][2]string
		Compare    []string
		Invalid    []string
		Normal     map[string]string
	}
	readJSON(t, "pep440.json", &table)
	var versions []Version
	for _, text := range table.Versions {
		v, err := ParseVersion(text)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, v)
	}
	for i, row := range table.Compare {
		for j, want := range row {
			if got := "<=>"[versions[i].Compare(versions[j])+1]; rune(got) != want {
				t.Errorf("%s %c %s, want %c", versions[i], got, versions[j], want)
			}
		}
	}
	for _, s := range table.Specifiers {
		spec, err := ParseSpecifier(s[0])
		if invalid := s[1] == "invalid"; (err != nil) != invalid {
			t.Errorf("%q: error %v, want one: %v", s[0], err, invalid)
			continue
		} else if invalid {
			continue
		}
		for i, want := range s[1] {
			if got := spec.Contains(versions[i]); got != (want == '1') {
				t.Errorf("%s in %s: %v", versions[i], s[0], got)
			}
		}
		if again, err := ParseSpecifier(spec.String()); err != nil || again.String() != spec.String() {
			t.Errorf("%q is written as %q, which is read as %q, %v", s[0], spec, again, err)
		}
	}
	for _, text := range table.Invalid {
		if v, err := ParseVersion(text); err == nil {
			t.Errorf("%q is read as %s", text, v)
		}
	}
	for text, want := range table.Normal {
		if v, err := ParseVersion(text); err != nil || v.String() != want {
			t.Errorf("%q is %s, %v, want %s", text, v, err, want)
		}
	}
}

func TestMarkersAsPackaging(t *testing.T) {
	var table struct {
		Environments [][2]string
		Markers      [][2]string
	}
	readJSON(t, "markers.json", &table)
	for _, row := range table.Markers {
		m, err := ParseMarker(row[0])
		if invalid := row[1] == "invalid"; (err != nil) != invalid {
			t.Errorf("%s: error %v, want one: %v", row[0], err, invalid)
			continue
		} else if invalid {
			continue
		}
		again, err := ParseMarker(m.String())
		if err != nil || again.String() != m.String() {
			t.Errorf("%s is written as %s, which is read as %s, %v", row[0], m, again, err)
		}
		for i, want := range row[1] {
			env := Linux(table.Environments[i][0], table.Environments[i][1])
			if m.Holds(env, nil, nil) != (want == '1') || again.Holds(env, nil, nil) != (want == '1') {
				t.Errorf("%s with Python %s on %s: not %c", row[0], table.Environments[i][0], table.Environments[i][1], want)
			}
		}
	}
}

func TestMarkersWithExtrasAndGroups(t *testing.T) {
	env := Linux("3.13.5", "amd64")
	for _, c := range []struct {
		marker         string
		extras, groups []string
		want           bool
	}{
		{`extra == "a"`, []string{"b", "a"}, nil, true},
		{`extra == "A_b"`, []string{"a-b"}, nil, true},
		{`extra == "a" and extra == "b"`, []string{"b", "a"}, nil, true},
		{`extra != "a"`, []string{"b", "a"}, nil, false},
		{`extra == "c"`, []string{"b", "a"}, nil, false},
		{`"a" in extras`, []string{"a"}, nil, true},
		{`"a" not in extras`, []string{"a"}, nil, false},
		{`"dev" in dependency_groups`, []string{"dev"}, nil, false},
		{`"dev" in dependency_groups or "docs" in dependency_groups`, nil, []string{"docs"}, true},
	} {
		m, err := ParseMarker(c.marker)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Holds(env, c.extras, c.groups); got != c.want {
			t.Errorf("%s with %v %v: %v", c.marker, c.extras, c.groups, got)
		}
	}
	if m, _ := ParseMarker(`python_version > "3" and (os_name == "nt" or extra == "x")`); !m.Names("extra") || m.Names("sys_platform") || (Marker{}).Names("extra") {
		t.Error("the variables of a marker are not found")
	}
	if m, err := ParseMarker(" "); err != nil || !m.IsZero() || !m.Holds(env, nil, nil) || m.String() != "" {
		t.Error("an empty marker does not hold")
	}
}

func TestName(t *testing.T) {
	for text, want := range map[string]string{
		"Flask_SQLAlchemy": "flask-sqlalchemy", "zope.interface": "zope-interface", "a--b__c..d": "a-b-c-d", "x": "x",
	} {
		if got := Name(text); got != want || !ValidName(text) {
			t.Errorf("%s: %s, valid %v", text, got, ValidName(text))
		}
	}
	for _, text := range []string{"", "-a", "a-", ".a", "a b", "ä", "a/b"} {
		if ValidName(text) {
			t.Errorf("%q is a name", text)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"flask":                                 "flask",
		"Flask >= 3, <4":                        "flask>=3,<4",
		"uvicorn[standard, Watch_X] ~=0.30":     "uvicorn[standard,watch-x]~=0.30",
		"a (>=1,<2)":                            "a>=1,<2",
		"a (>=1) ; python_version<'3.9'":        `a>=1 ; python_version < "3.9"`,
		"a[]":                                   "a",
		"a===2024-legacy":                       "a===2024-legacy",
		"a @ https://index.example.com/a.whl":   "a @ https://index.example.com/a.whl",
		"a@git+https://git.example.com/a.git@1": "a @ git+https://git.example.com/a.git@1",
		`a[x] @ https://index.example.com/a.zip#sha256=1 ; os_name=="posix"`: `a[x] @ https://index.example.com/a.zip#sha256=1 ; os_name == "posix"`,
		`a;extra=='x' and (os_name=='nt' or os_name=='posix')`:               `a ; extra == "x" and (os_name == "nt" or os_name == "posix")`,
		`a>=1,`: "a>=1",
	} {
		r, err := Parse(text)
		if err != nil || r.String() != want {
			t.Errorf("%s is %s, %v, want %s", text, r, err, want)
			continue
		}
		if again, err := Parse(want); err != nil || again.String() != want {
			t.Errorf("%s is read again as %s, %v", want, again, err)
		}
	}
	for _, c := range []struct {
		text   string
		offset int
		want   string
	}{
		{"", 0, `a requirement begins with a name, as in flask>=3: ""`},
		{"==3", 0, `a requirement begins with a name, as in flask>=3: "==3"`},
		{"flask=3.0", 5, `flask: "=3.0" is not a condition on a version: write ==3.0`},
		{"flask 3.0", 6, `flask: "3.0" is not a condition on a version: write ==3.0`},
		{"flask ^3.1", 6, `flask: "^3.1" is not a condition on a version: write >=3.1,<4`},
		{"flask ^0.3", 6, `flask: "^0.3" is not a condition on a version: write >=0.3,<0.4`},
		{"flask ~3.1", 6, `flask: "~3.1" is not a condition on a version: write >=3.1,<3.2`},
		{"flask>=3 <4", 5, `flask: ">=3 <4" is not a condition on a version: unexpected " <4"`},
		{"flask>=3.*", 5, `flask: ">=3.*" is not a condition on a version: a star goes with == and != only; write >=3`},
		{"flask==3.x", 5, `flask: "==3.x" is not a condition on a version: unexpected ".x"`},
		{"flask==", 5, `flask: "==" is not a condition on a version: it does not begin with a number`},
		{"flask[async", 5, `the bracket is not closed: "[async"`},
		{"flask[a b]", 5, `"a b" is not the name of an extra`},
		{"flask @", 7, "no URL follows @"},
		{"flask @ https://index.example.com/a.whl os_name", 40, `"os_name" follows the URL: a marker begins with a semicolon`},
		{"flask; python_version >= 3", 26 - 1, `"3" is not a variable of markers; texts are written in quotes`},
		{"flask; os_name == 'nt", 18, `the quote is not closed: "'nt"`},
		{"flask; linux", 7, `"linux" is not a variable of markers; texts are written in quotes`},
	} {
		_, err := Parse(c.text)
		var syntax *SyntaxError
		if !errors.As(err, &syntax) || syntax.Message != c.want || syntax.Offset != c.offset {
			t.Errorf("%s: %+v, want %d %s", c.text, syntax, c.offset, c.want)
		}
	}
	for _, text := range []string{
		"a;" + strings.Repeat("(", 10000), "a;" + strings.Repeat("os_name=='a' and ", 3000) + "os_name=='a'", "a" + strings.Repeat(">=1,", 1<<16),
		"a>=" + strings.Repeat("9", 100),
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%.20s… is a requirement", text)
		}
	}
}

func TestCredentials(t *testing.T) {
	for text, want := range map[string]bool{
		"https://me:secret@index.example.com/simple":      true,
		"https://token@index.example.com/simple":          true,
		"git+https://me:secret@git.example.com/a.git@v1":  true,
		"git+https://token@git.example.com/a.git":         true,
		"https://me:${TOKEN}@index.example.com/simple":    false,
		"https://${USER}:${TOKEN}@index.example.com":      false,
		"https://me:%24%7BTOKEN%7D@index.example.com":     false,
		"https://index.example.com/simple":                false,
		"https://index.example.com/a@1.whl":               false,
		"git+https://git@git.example.com/a.git":           false,
		"git+ssh://git@git.example.com/a.git":             false,
		"git+ssh://me:secret@git.example.com/a.git":       true,
		"git+https://git.example.com/a.git@v1":            false,
		"./folder":                                        false,
		"https://token:@index.example.com":                true,
		"ssh://git@git.example.com:22/a?x=https://a:b@c/": false,
	} {
		if got := Credentials(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"flask", "uvicorn[standard] >=0.30,<1 ; python_version >= '3.9' and (os_name == 'nt' or extra == 'x')",
		"a @ https://index.example.com/a.whl ; sys_platform in 'linux'", "a (==1.0.*,!=1.0.dev1,~=1.0a1.post2+l.1)", "a;(((os_name=='a')))", "a===x",
	} {
		f.Add(text)
	}
	env := Linux("3.13.5", "arm64")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(r.String())
		if err != nil || again.String() != r.String() {
			t.Fatalf("%q is written as %q, which is read as %q, %v", text, r, again, err)
		}
		if r.Marker.Holds(env, nil, nil) != again.Marker.Holds(env, nil, nil) {
			t.Fatalf("%q and %q differ", text, r)
		}
		if v, err := ParseVersion(text); err == nil {
			if w, err := ParseVersion(v.String()); err != nil || v.Compare(w) != 0 {
				t.Fatalf("%q is %s, which is %s", text, v, w)
			}
		}
	})
}

func FuzzVersion(f *testing.F) {
	for _, text := range []string{"1.0", "1!1.0rc1.post2.dev3+a.1", "v1-2", "1.0-RC.1"} {
		f.Add(text, ">=1.0,<2")
	}
	f.Fuzz(func(t *testing.T, text, conditions string) {
		v, err := ParseVersion(text)
		if err != nil {
			return
		}
		w, err := ParseVersion(v.String())
		if err != nil || v.Compare(w) != 0 || v.String() != w.String() {
			t.Fatalf("%q is %s, which is %s, %v", text, v, w, err)
		}
		if s, err := ParseSpecifier(conditions); err == nil && s.Contains(v) != s.Contains(w) {
			t.Fatalf("%s and %s differ in %s", v, w, s)
		}
	})
}
