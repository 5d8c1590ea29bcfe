package exec

import (
	"bytes"
	"io"
	"slices"
)

// Bounds of what is kept of a command's output.
const (
	maxRepeated = 20
	maxLine     = 1 << 10
)

// repeater passes a command's output on and keeps the lines that have one of the
// texts in them, to print them again behind what a program says after its reason.
type repeater struct {
	out   io.Writer
	texts []string
	line  []byte
	found []string
}

func (r *repeater) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		r.line = append(r.line, part[:min(len(part), maxLine-len(r.line))]...)
		if ended {
			r.end()
		}
		rest = after
	}
	return r.out.Write(p)
}

// end looks at a complete line.
func (r *repeater) end() {
	line := string(bytes.TrimRight(r.line, "\r"))
	r.line = r.line[:0]
	has := func(text string) bool { return bytes.Contains([]byte(line), []byte(text)) }
	if len(r.found) < maxRepeated && slices.ContainsFunc(r.texts, has) {
		r.found = append(r.found, line)
	}
}
