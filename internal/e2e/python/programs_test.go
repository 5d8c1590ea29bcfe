package python_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// Programs of other people, as the index has them, on the libraries with machine code
// that most people use: numpy, pandas, psycopg, cryptography, Pillow, lxml.

// Servers, each the only dependency of a project that has next to nothing of its own.
func TestPythonServers(t *testing.T) {
	for _, p := range []struct {
		name, requirements string
		// args start it; files are the project's own.
		args  string
		files map[string]string
		// path is what it is asked for; its answer has want in it.
		path, want string
		codes      []int
	}{
		{name: "bokeh", requirements: "bokeh==3.8.1\n", args: "bokeh serve nest.py --address 0.0.0.0 --port $PORT --allow-websocket-origin *", path: "/nest", want: "<title>Bokeh Application</title>", codes: []int{0, 143},
			files: map[string]string{"nest.py": "import pandas\nfrom bokeh.plotting import curdoc, figure\nbirds = pandas.DataFrame({'n': [1, 2], 'm': [3, 4]})\nplot = figure()\nplot.scatter('n', 'm', source=birds)\ncurdoc().add_root(plot)\n"}},
		{name: "wsgidav", requirements: "wsgidav==4.3.3\ncheroot==11.1.2\nlxml==6.0.2\n", args: "wsgidav --host 0.0.0.0 --port $PORT --root /app/nest --auth anonymous", path: "/robin.txt", want: "tweet", codes: []int{0, 143},
			files: map[string]string{"nest/robin.txt": "tweet"}},
		{name: "datasette", requirements: "datasette==0.65.2\n", args: "datasette serve --host 0.0.0.0 --port $PORT --memory", path: "/-/versions.json", want: `"datasette": {"version": "0.65.2"`, codes: []int{0, 143}},
		{name: "radicale", requirements: "radicale==3.5.8\n", args: "radicale --server-hosts 0.0.0.0:$PORT --auth-type none --storage-type multifilesystem_nolock --storage-filesystem-folder /dev/shm/nest", path: "/.web/", want: "<title>Radicale", codes: []int{0, 143}},
	} {
		t.Run(p.name, func(t *testing.T) {
			harness.Birdhouse(t)
			port := e2etest.FreePort(t)
			files := map[string]string{"requirements.txt": p.requirements}
			for name, text := range p.files {
				files[name] = text
			}
			var words []string
			for _, w := range strings.Fields(strings.ReplaceAll(p.args, "$PORT", fmt.Sprint(port))) {
				words = append(words, fmt.Sprintf("%q", w))
			}
			files["birdhouse.yaml"] = fmt.Sprintf("language: python\nversion: \"3.13\"\nentrypoint: [%s]\n", strings.Join(words, ", "))
			name, _ := e2etest.Build(t, e2etest.Project(t, files))
			s := start(t, name, port)
			if got := s.Get(t, p.path); !strings.Contains(got, p.want) {
				t.Errorf("%s answers %.300q, without %q", p.name, got, p.want)
			}
			// How long they take to end is theirs to decide; the signal reaches them.
			s.Stop(t)
			if got := s.Cmd.ProcessState.ExitCode(); !slices.Contains(p.codes, got) {
				t.Errorf("%s ended with code %d\n%s", p.name, got, s.Out)
			}
		})
	}
}

// pixel is an image of one pixel.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"

// Tools, in one image: what is started is its cmd.
func TestPythonTools(t *testing.T) {
	png, err := base64.StdEncoding.DecodeString(pixel)
	if err != nil {
		t.Fatal(err)
	}
	dir := e2etest.Project(t, map[string]string{
		"requirements.txt": "black==25.11.0\nruff==0.14.5\ncsvkit==2.1.0\nimg2pdf==0.6.3\npgcli==4.3.0\npsycopg[binary]==3.2.12\ncertbot==5.1.0\npygments==2.19.2\n",
		"birdhouse.yaml":   "language: python\nversion: \"3.13\"\ncmd: [black, --version]\n",
	})
	name, _ := e2etest.Build(t, dir)
	for _, p := range []struct {
		args, input, want string
	}{
		{"black -", "birds = [ 'robin' ]\n", "birds = [\"robin\"]\n"},
		{"ruff check --no-cache --exit-zero -", "import os\n", "`os` imported but unused"},
		{"csvstat --count", "bird,n\nrobin,1\nwren,2\n", "2"},
		{"img2pdf --imgsize 100mm -", string(png), "%PDF-1."},
		{"pgcli --version", "", "Version: 4.3.0"},
		{"python -c", "import psycopg; print(psycopg.pq.__impl__, psycopg.pq.version() > 170000)", "binary True"},
		{"certbot --config-dir /dev/shm/c --work-dir /dev/shm/w --logs-dir /dev/shm/l plugins --text", "", "standalone"},
		{"pygmentize -l python -f html", "birds = 1\n", `<span class="n">birds</span>`},
	} {
		args := strings.Fields(p.args)
		t.Run(args[0], func(t *testing.T) {
			if args[0] == "python" {
				args = append(args, p.input)
			}
			cmd := e2etest.Birdhouse(t, slices.Concat([]string{"run", "-i", name}, args)...)
			var out, stderr bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(p.input), &out, &stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("%s: %v\n%s%s", cmd, err, &out, &stderr)
			}
			if !strings.Contains(out.String(), p.want) {
				t.Errorf("%s prints %.300q, without %q\n%s", p.args, &out, p.want, &stderr)
			}
		})
	}
	if _, modules := contents(t, e2etest.Stored(t, name, "")); !slices.Contains(modules, "cryptography") || !slices.Contains(modules, "lxml") && !slices.Contains(modules, "pikepdf") {
		t.Errorf("%s: the image has the modules %q", filepath.Base(dir), modules)
	}
}
