package descriptor

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// WritePlan writes a plan for people: each decision with where it came from,
// then what runs in a build and which layers the image has.
func WritePlan(w io.Writer, p *plan.Plan) error {
	var rows [][]string
	for _, f := range p.Facts {
		rows = append(rows, []string{f.Name, f.Value, f.Source})
	}
	if err := table(w, rows); err != nil {
		return err
	}

	rows = nil
	for _, s := range p.Stages {
		for i, step := range s.Steps {
			name, base := s.Name, s.Root()
			if i > 0 {
				name, base = "", ""
			}
			rows = append(rows, []string{name, base, oneLine(step.Name), strings.Join(notes(s, step), ", ")})
		}
	}
	if err := section(w, "build", rows); err != nil {
		return err
	}

	rows = [][]string{{"base", "rarely", p.Run.String()}}
	if len(p.Run.Packages) > 0 {
		rows = append(rows, []string{"packages", "rarely", strings.Join(p.Run.Packages, ", ") + " and what they need"})
	}
	for _, l := range p.Layers {
		rows = append(rows, []string{l.Name, l.Changes, l.What})
	}
	return section(w, "image", rows)
}

// notes say what is special about a step.
func notes(s plan.Stage, step plan.Step) []string {
	var out []string
	if s.Gate {
		out = append(out, "must succeed")
	}
	if step.Network {
		out = append(out, "network")
	}
	if s.PerPlatform {
		out = append(out, "for each platform")
	}
	var secrets []string
	for _, m := range step.Mounts {
		switch m.Kind {
		case plan.MountSecret, plan.MountSecretEnv:
			if !m.Optional {
				secrets = append(secrets, "secret "+m.SecretID)
			}
		case plan.MountSSH:
			secrets = append(secrets, "ssh "+m.SecretID)
		}
	}
	slices.Sort(secrets)
	return append(out, slices.Compact(secrets)...)
}

func section(w io.Writer, title string, rows [][]string) error {
	if _, err := fmt.Fprintf(w, "\n%s\n", title); err != nil {
		return err
	}
	for i := range rows {
		rows[i][0] = "  " + rows[i][0]
	}
	return table(w, rows)
}

// table aligns the columns and leaves no space at a line's end.
func table(w io.Writer, rows [][]string) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(b.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// oneLine keeps text of a project from breaking the table or the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}
