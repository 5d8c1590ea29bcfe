package python

import (
	"fmt"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// place is where a requirement stands: requirements.txt:3.
type place struct {
	name, file string
	line       int
	// text is the requirement.
	text string
}

// maxPlaces is how many exit codes there are.
const maxPlaces = 90

// findPackage runs a command, uv, and when that fails exits with the number, from the first
// argument on, of the package in the second one that uv names first.
const findPackage = `import re, subprocess, sys
first, names, command = int(sys.argv[1]), sys.argv[2].split(), sys.argv[3:]
process = subprocess.Popen(command, stderr=subprocess.PIPE)
said = b""
for line in process.stderr:
    sys.stderr.buffer.write(line)
    sys.stderr.buffer.flush()
    if len(said) < 1 << 16:
        said += line
code = process.wait()
if code < 0:
    code = 128 - code
elif code:
    found = [(m.start(), n) for n, name in enumerate(names) if (m := re.search(rb"(?<![\w.-])" + re.escape(name).encode() + rb"(?![\w.-]*\w)", said))]
    code = first + min(found)[1] if found else code
sys.exit(code)
`

// blame makes a command, which may be uv's, tell by its exit code which requirement it could not
// install, and says what the codes stand for.
func (b *builder) blame(args []string, places []place) ([]string, []string) {
	places = places[:min(len(places), maxPlaces)]
	if len(places) == 0 {
		return args, nil
	}
	var names, said []string
	for _, p := range places {
		names = append(names, p.name)
		said = append(said, fmt.Sprintf("%s:%d: %s", p.file, p.line, p.text))
	}
	return append([]string{b.runtime.interpreter(), "-SP", path.Join(programsDir, findFile), fmt.Sprint(plan.FirstBlame), strings.Join(names, " ")}, args...), said
}

// remember notes where a requirement stands, once for a name.
func (d *dependencies) remember(name, file string, line int, text string) {
	for _, p := range d.places {
		if p.name == name {
			return
		}
	}
	d.places = append(d.places, place{name, file, line, text})
}

// placesOf are those of one package.
func (d *dependencies) placesOf(name string) []place {
	for _, p := range d.places {
		if p.name == name {
			return []place{p}
		}
	}
	return nil
}
