package bench

import (
	"strings"
	"testing"
)

const documentIntro = `# Measurements

Written by ` + "`make bench`" + `: one run, side by side, contestants taking turns; medians in seconds of the whole client process, the push to a registry
on the same machine included. Everybody has a buildkitd (v0.33.1, one configuration) and caches of their own. ` + "`make bench LANGUAGE=node`" + `
measures one language and leaves the other parts as they are. Programs and Dockerfiles are in bench/testdata.
`

// frontendTitle is the heading of what no language owns, the last part.
const frontendTitle = "Frontend"

// titles are the headings in their order: languages that have none yet may come.
var titles = []string{"Go", "Node", "Python", "Java", frontendTitle}

// document are the parts of docs/bench.md by their headings.
type document map[string]string

// over is the whole text: these parts, and those of old that are not among them.
func (d document) over(old string) string {
	kept := document{}
	for _, part := range strings.Split("\n"+old, "\n## ")[1:] {
		title, text, _ := strings.Cut(part, "\n")
		kept[title] = text
	}
	var s strings.Builder
	s.WriteString(documentIntro)
	for _, title := range titles {
		text, ok := d[title]
		if !ok {
			text, ok = kept[title]
		}
		if ok {
			s.WriteString("\n## " + title + "\n\n" + strings.TrimSpace(text) + "\n")
		}
	}
	return s.String()
}

func TestDocumentKeepsWhatWasNotMeasured(t *testing.T) {
	first := document{"Node": "node 1", "Go": "go 1\n\n| a |\n", frontendTitle: "size 1"}.over("")
	if got, want := first, documentIntro+"\n## Go\n\ngo 1\n\n| a |\n\n## Node\n\nnode 1\n\n## Frontend\n\nsize 1\n"; got != want {
		t.Errorf("the document is\n%s\nnot\n%s", got, want)
	}
	second := document{"Node": "node 2", frontendTitle: "size 2"}.over(first)
	if want := strings.NewReplacer("node 1", "node 2", "size 1", "size 2").Replace(first); second != want {
		t.Errorf("the document is\n%s\nnot\n%s", second, want)
	}
}
