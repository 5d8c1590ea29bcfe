package spec

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// How wide excerpts get: a minified file may be one line of a megabyte.
const (
	excerptWidth = 160
	// excerptBefore is how much of a cut line is shown before the mark.
	excerptBefore = 60
	// hintBeside is the longest hint that stands beside the marks; others stand
	// below them.
	hintBeside = 60
)

// Text is what people see: each problem with its place, the line it is on, the
// one before, marks under the text that is wrong and what to write instead;
// and, when there are errors, how many. Sources are the files by name, the
// descriptor's is ""; a problem of a file that is not among them has no
// excerpt. The result ends with a line end, unless there are no problems.
func (p Problems) Text(sources map[string][]byte) string {
	var b strings.Builder
	errors, warnings := 0, 0
	for _, one := range p {
		if one.Severity == Warning {
			warnings++
		} else {
			errors++
		}
		b.WriteString(one.heading())
		b.WriteByte('\n')
		excerpt(&b, one, sources[one.File])
	}
	if errors > 0 {
		b.WriteString(count(errors, "problem"))
		if warnings > 0 {
			b.WriteString(" and " + count(warnings, "warning"))
		}
		b.WriteString(", nothing was built\n")
	}
	return b.String()
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// excerpt writes the lines of a problem with marks and hint, or the hint alone
// when its file or its place in it is not known.
func excerpt(b *strings.Builder, p Problem, source []byte) {
	hint := strings.Split(visibleLines(strings.TrimSpace(p.Hint)), "\n")
	if hint[0] == "" {
		hint = nil
	}
	text, ok := lineOf(source, p.Range.Start.Line)
	if !ok {
		for _, h := range hint {
			b.WriteString("    " + h + "\n")
		}
		return
	}
	number := len(fmt.Sprint(p.Range.Start.Line))
	gutter := fmt.Sprintf("  %*s | ", number, "")
	if before, ok := lineOf(source, p.Range.Start.Line-1); ok && strings.TrimSpace(before) != "" {
		shown, _, _ := cut(before, 0, 0)
		fmt.Fprintf(b, "  %*d | %s\n", number, p.Range.Start.Line-1, visible(shown))
	}

	start := min(max(p.Range.Start.Column-1, 0), len(text))
	end := len(text)
	if p.Range.End.Line == p.Range.Start.Line {
		end = min(max(p.Range.End.Column-1, start), len(text))
	}
	shown, start, end := cut(text, start, end)
	fmt.Fprintf(b, "  %*d | %s\n", number, p.Range.Start.Line, visible(shown))

	b.WriteString(gutter)
	for _, r := range shown[:start] {
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteString(strings.Repeat(" ", columns(r)))
		}
	}
	marks := 0
	for _, r := range shown[start:end] {
		marks += columns(r)
	}
	b.WriteString(strings.Repeat("^", max(marks, 1)))
	if len(hint) == 1 && len(hint[0]) <= hintBeside {
		b.WriteString(" " + hint[0])
		hint = nil
	}
	b.WriteByte('\n')
	for _, h := range hint {
		b.WriteString(strings.TrimRight(gutter+h, " ") + "\n")
	}
}

// lineOf returns a line, counted from 1, without its end, and whether there is
// one.
func lineOf(source []byte, number int) (string, bool) {
	text := strings.TrimPrefix(string(source), byteOrderMark)
	if text == "" || number < 1 {
		return "", false
	}
	for ; number > 1; number-- {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			return "", false
		}
		text = text[i+1:]
	}
	text, _, _ = strings.Cut(text, "\n")
	return strings.TrimSuffix(text, "\r"), true
}

// cut shortens a long line to what is around the text from start to end, and
// returns where that text then is.
func cut(text string, start, end int) (string, int, int) {
	if len(text) <= excerptWidth {
		return text, start, end
	}
	from := max(0, start-excerptBefore)
	for from > 0 && !utf8.RuneStart(text[from]) {
		from--
	}
	to := min(len(text), from+excerptWidth)
	for to < len(text) && !utf8.RuneStart(text[to]) {
		to++
	}
	end = min(end, to)
	shown := text[from:to]
	start, end = start-from, end-from
	if from > 0 {
		shown = "…" + shown
		start, end = start+len("…"), end+len("…")
	}
	if to < from+len(text[from:]) {
		shown += "…"
	}
	return shown, start, end
}

// columns is how many columns of a terminal a character takes.
func columns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// visible replaces what a terminal would obey instead of show: files are not
// trusted to be text.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			return utf8.RuneError
		}
		return r
	}, text)
}

// visibleLines is visible for text of several lines.
func visibleLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = visible(lines[i])
	}
	return strings.Join(lines, "\n")
}

// listed writes names as people do: "a", "a and b", "a, b and c".
func listed(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}
