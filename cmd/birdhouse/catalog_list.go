package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/sizes"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

func newCatalogListCommand() *cobra.Command {
	var lock, format string
	var packages bool
	cmd := &cobra.Command{
		Use:   "list [IMAGE]...",
		Short: "List the base images, or those named: tags, sizes, what is in them, how old it is",
		Long: "list prints the base images, or those named by reference or repository. Sizes are those of\n" +
			"the compressed layers, as they were last measured (birdhouse catalog measure).",
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "markdown" {
				if err := checkFormat(format); err != nil {
					return err
				}
			}
			c, err := openCatalog(lock)
			if err != nil {
				return err
			}
			bases, err := selectBases(c, args)
			if err != nil {
				return err
			}
			list, err := newCatalogList(c, bases, time.Now())
			if err != nil {
				return err
			}
			switch format {
			case "json":
				return writeJSON(cmd.OutOrStdout(), list)
			case "markdown":
				return list.markdown(cmd.OutOrStdout())
			}
			return list.text(cmd.OutOrStdout(), packages)
		},
	}
	cmd.Flags().BoolVar(&packages, "packages", false, "list the Debian packages in each, and why they are there")
	registerCatalog(cmd, &lock)
	cmd.Flags().StringVar(&format, "format", "text", "output `format`: text, json, or markdown for the table of sizes")
	return cmd
}

// catalogList is what list prints.
type catalogList struct {
	// Lock is the time of the packages, Days their age.
	Lock time.Time `json:"lock"`
	Days int       `json:"days"`
	// Measured is the time of the lock that the sizes are of.
	Measured time.Time      `json:"measured"`
	Images   []catalogImage `json:"images"`
}

// catalogImage is an entry of the list.
type catalogImage struct {
	Ref           string                `json:"ref"`
	Tags          []string              `json:"tags"`
	Architectures []string              `json:"architectures"`
	Sizes         map[string]sizes.Size `json:"sizes"`
	Layers        []string              `json:"layers"`
	// Packages say which of their layer need them.
	Packages []catalog.LockedPackage `json:"packages"`

	// count is how many packages there are for one architecture.
	count int
}

func newCatalogList(c *catalog.Catalog, bases []plan.Base, now time.Time) (*catalogList, error) {
	table, err := sizes.Default()
	if err != nil {
		return nil, err
	}
	list := &catalogList{
		Lock: c.Locked().UTC(), Days: int(now.Sub(c.Locked()).Hours() / 24), Measured: table.Lock.UTC(), Images: []catalogImage{},
	}
	for _, base := range bases {
		tags, err := c.Tags(base, "")
		if err != nil {
			return nil, err
		}
		entry := catalogImage{
			Ref: base.String(), Tags: append(tags.Moving, tags.Dated), Architectures: []string{}, Sizes: table.Images[base.String()],
			Layers: []string{}, Packages: []catalog.LockedPackage{},
		}
		for _, arch := range c.Architectures() {
			img, err := c.Image(base, arch, arch)
			if err != nil {
				return nil, err
			}
			first := len(entry.Architectures) == 0
			entry.Architectures = append(entry.Architectures, arch)
			for _, l := range img.Layers {
				if first {
					entry.Layers = append(entry.Layers, l.Name+" ("+l.What+")")
				}
				entry.Packages = append(entry.Packages, c.LockedPackages(img, l, arch)...)
			}
			if first {
				entry.count = len(entry.Packages)
			}
		}
		list.Images = append(list.Images, entry)
	}
	return list, nil
}

// megabytes is "17.35", and "-" for what is not known.
func megabytes(n int64) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", float64(n)/1e6)
}

func (l *catalogList) text(out io.Writer, packages bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "IMAGE\tMB\tPACKAGES\tTAGS\tLAYERS\n")
	for _, img := range l.Images {
		var mb []string
		for _, arch := range img.Architectures {
			mb = append(mb, arch+" "+megabytes(img.Sizes[arch].Gzip))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t:%s\t%s\n", img.Ref, strings.Join(mb, " "), img.count, strings.Join(img.Tags, " :"), strings.Join(img.Layers, "; "))
		if !packages {
			continue
		}
		for _, p := range img.Packages {
			why := ""
			if len(p.NeededBy) > 0 {
				why = "needed by " + strings.Join(p.NeededBy, ", ")
			}
			fmt.Fprintf(w, "  %s\t%s\t\t%s\t%s\n", p.Name, p.Architecture, p.Version, why)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "Debian packages as of %s, %s\n", l.Lock.Format(time.DateOnly), days(l.Days))
	return err
}

func days(n int) string {
	switch n {
	case 0:
		return "of today"
	case 1:
		return "a day old"
	}
	return fmt.Sprintf("%d days old", n)
}

// markdown is the table of sizes in docs/.
func (l *catalogList) markdown(out io.Writer) error {
	var b strings.Builder
	b.WriteString("# Sizes of the base images\n\n<!-- written by `make generate` from what `make sizes` has measured -->\n\n")
	fmt.Fprintf(&b, "What the compressed layers take, in MB (1,000,000 bytes), with the packages of %s. Images share their lower layers, so that\n"+
		"a second one that lies on the same base is smaller to fetch than it stands here. Both are compressed at BuildKit's default level, as\n"+
		"`birdhouse catalog publish` and every build do it. An image without a number was not measured.\n\n", l.Measured.Format(time.DateOnly))
	b.WriteString("| image | amd64 gzip | amd64 zstd | arm64 gzip | arm64 zstd |\n|---|---:|---:|---:|---:|\n")
	for _, img := range l.Images {
		if len(img.Sizes) == 0 {
			continue
		}
		fmt.Fprintf(&b, "| `%s`", img.Ref)
		for _, arch := range []string{"amd64", "arm64"} {
			fmt.Fprintf(&b, " | %s | %s", megabytes(img.Sizes[arch].Gzip), megabytes(img.Sizes[arch].Zstd))
		}
		b.WriteString(" |\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
