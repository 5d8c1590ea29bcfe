package image

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// ReportData is what people want to know about an image. Sizes are bytes as
// stored and sent: compressed layers.
type ReportData struct {
	// Ref is the name that the image was asked for by.
	Ref string `json:"ref"`
	// Digest is of the manifest.
	Digest   string `json:"digest"`
	Platform string `json:"platform"`
	// Layers are the lowest first.
	Layers []LayerReport `json:"layers"`
	// Size is the sum of the layers' sizes.
	Size int64 `json:"size"`

	User       string            `json:"user"`
	WorkingDir string            `json:"workingDir"`
	Entrypoint []string          `json:"entrypoint"`
	Cmd        []string          `json:"cmd"`
	Env        []string          `json:"env"`
	Expose     []string          `json:"expose"`
	Volumes    []string          `json:"volumes"`
	StopSignal string            `json:"stopSignal,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`

	// Scanned says that the layers were read: only then Waste and Findings
	// mean something.
	Scanned bool `json:"scanned"`
	// Waste is the bytes, uncompressed, of files that a later layer hides or
	// repeats.
	Waste int64 `json:"waste"`
	// Findings are in the order of layers and of the files in them.
	Findings []Finding `json:"findings"`

	// Elapsed is shown at the end of the table when it is not 0.
	Elapsed time.Duration `json:"-"`
}

// LayerReport is one layer.
type LayerReport struct {
	// Name and Changes are of the layer's Note; "-" and "" where there is none.
	Name    string `json:"name"`
	Changes string `json:"changes"`
	// What is the Note's or a short form of the command that made the layer.
	What   string `json:"what"`
	Size   int64  `json:"size"`
	Digest string `json:"digest"`
	DiffID string `json:"diffID"`
}

// Report describes img without reading its layers. ref is the name to show.
func Report(img v1.Image, ref string) (*ReportData, error) {
	r, err := report(img, ref)
	if err != nil {
		return nil, fmt.Errorf("reading image %s: %w", ref, err)
	}
	return r, nil
}

func report(img v1.Image, ref string) (*ReportData, error) {
	config, err := checked(img)
	if err != nil {
		return nil, err
	}
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	c := config.Config
	r := &ReportData{
		Ref: ref, Digest: digest.String(),
		Platform: platforms.Format(ocispecs.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}),
		Layers:   []LayerReport{},
		User:     c.User, WorkingDir: c.WorkingDir, Entrypoint: c.Entrypoint, Cmd: c.Cmd, Env: c.Env,
		Expose: sortedKeys(c.ExposedPorts), Volumes: sortedKeys(c.Volumes),
		StopSignal: c.StopSignal, Labels: c.Labels, Findings: []Finding{},
	}
	notes := notes(config, len(m.Layers))
	for i, l := range m.Layers {
		r.Layers = append(r.Layers, LayerReport{
			Name: notes[i].Name, Changes: notes[i].Changes, What: notes[i].What,
			Size: l.Size, Digest: l.Digest.String(), DiffID: config.RootFS.DiffIDs[i].String(),
		})
		r.Size += l.Size
	}
	return r, nil
}

// notes returns what the history says about each of n layers.
func notes(config *v1.ConfigFile, n int) []Note {
	notes := make([]Note, 0, n)
	for _, h := range config.History {
		if h.EmptyLayer {
			continue
		}
		note, ok := ParseHistory(ocispecs.History{CreatedBy: h.CreatedBy, Comment: h.Comment})
		if !ok {
			note = Note{Name: "-", What: command(h.CreatedBy)}
		}
		notes = append(notes, note)
	}
	if len(notes) != n {
		// A history that does not fit would put names on the wrong layers.
		notes = make([]Note, n)
		for i := range notes {
			notes[i].Name = "-"
		}
	}
	return notes
}

// command makes a command of a Dockerfile short enough for a table.
func command(createdBy string) string {
	s := strings.Join(strings.Fields(createdBy), " ")
	s = strings.TrimSuffix(s, " # buildkit")
	s = strings.TrimPrefix(s, "/bin/sh -c #(nop) ")
	s = strings.Replace(s, "RUN /bin/sh -c ", "RUN ", 1)
	s = strings.Replace(s, "/bin/sh -c ", "RUN ", 1)
	s = strings.TrimSpace(s)
	const most = 60
	if runes := []rune(s); len(runes) > most {
		s = string(runes[:most-1]) + "…"
	}
	return s
}

// JSON writes the report for machines.
func (r *ReportData) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// Text writes the report for people: the layers, top to bottom as they are
// stacked from the base on, and the total. A report that was scanned also shows
// how the image runs and what was found.
func (r *ReportData) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s\n\n", clean(r.Ref), clean(r.Platform), r.Digest)
	if r.Scanned {
		r.runText(&b)
	}
	r.layersText(&b)
	if r.Scanned && len(r.Findings) > 0 {
		r.findingsText(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *ReportData) layersText(b *strings.Builder) {
	rows := [][4]string{{"layer", "changes", "size", "what"}}
	for _, l := range r.Layers {
		rows = append(rows, [4]string{clean(l.Name), clean(l.Changes), Size(l.Size), clean(l.What)})
	}
	rows = append(rows, [4]string{"total", "", Size(r.Size), r.summary()})
	var width [3]int
	for _, row := range rows {
		for i := range width {
			width[i] = max(width[i], len([]rune(row[i])))
		}
	}
	for i, row := range rows {
		size := fmt.Sprintf("%*s", width[2], row[2])
		if i == 0 {
			size = fmt.Sprintf("%-*s", width[2], row[2])
		}
		line := fmt.Sprintf("  %-*s  %-*s  %s  %s", width[0], row[0], width[1], row[1], size, row[3])
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func (r *ReportData) summary() string {
	parts := []string{count(len(r.Layers), "layer")}
	if r.Scanned {
		waste, others := 0, 0
		for _, f := range r.Findings {
			if f.waste() {
				waste++
			} else {
				others++
			}
		}
		switch {
		case waste == 0:
			parts = append(parts, "no waste")
		case r.Waste > 0:
			parts = append(parts, Size(r.Waste)+" wasted")
		default:
			parts = append(parts, "waste in "+count(waste, "place"))
		}
		if others == 0 {
			parts = append(parts, "no findings")
		} else {
			parts = append(parts, count(others, "finding"))
		}
	}
	s := strings.Join(parts, ", ")
	if r.Elapsed > 0 {
		s += fmt.Sprintf("  %.1f s", r.Elapsed.Seconds())
	}
	return s
}

func (r *ReportData) runText(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "  %s\t%s\n", name, clean(value))
		}
	}
	user := r.User
	if user == "" {
		user = "root (the image names no user)"
	}
	line("user", user)
	line("entrypoint", words(r.Entrypoint))
	line("cmd", words(r.Cmd))
	line("workdir", r.WorkingDir)
	for _, e := range r.Env {
		line("env", e)
	}
	line("expose", strings.Join(r.Expose, " "))
	line("volumes", strings.Join(r.Volumes, " "))
	line("stopsignal", r.StopSignal)
	for _, k := range sortedKeys(r.Labels) {
		line("label", k+"="+r.Labels[k])
	}
	_ = t.Flush()
	b.WriteString("\n")
}

func (r *ReportData) findingsText(b *strings.Builder) {
	b.WriteString("\n")
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		where := ""
		if f.Layer >= 0 && f.Layer < len(r.Layers) {
			where = fmt.Sprintf("layer %d", f.Layer+1)
			if n := r.Layers[f.Layer].Name; n != "-" {
				where += " " + n
			}
		}
		bytes := ""
		if f.Bytes > 0 {
			bytes = Size(f.Bytes)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\n", f.Kind, clean(where), clean(f.Path), bytes, clean(f.Message))
	}
	_ = t.Flush()
}

// words shows a command so that its arguments can be told apart.
func words(args []string) string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		if a == "" || strings.ContainsFunc(a, func(c rune) bool { return unicode.IsSpace(c) || c == '"' || c == '\\' }) {
			out[i] = fmt.Sprintf("%q", a)
		}
	}
	return strings.Join(out, " ")
}

// Size formats bytes for people, in powers of 1000: "310 B", "3.1 kB",
// "0.46 MB", "1.20 GB".
func Size(n int64) string {
	switch {
	case n < 1000:
		return fmt.Sprintf("%d B", n)
	case n < 100_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	case n < 1_000_000_000:
		return fmt.Sprintf("%.2f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.2f GB", float64(n)/1e9)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// clean keeps an image's own text from writing control sequences to a terminal.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '\ufffd'
		}
		return c
	}, s)
}
