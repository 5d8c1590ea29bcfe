package llb

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
)

// Dump writes a graph as text: an operation each, inputs before users, with
// numbers in place of digests, so that equal graphs give equal text and a
// change shows as what changed. Session ids are left out, as
// they are no part of a cache key.
func Dump(w io.Writer, def *llb.Definition) error {
	d := dumper{w: w, number: map[digest.Digest]int{}}
	for _, dt := range def.Def {
		var op pb.Op
		if err := op.UnmarshalVT(dt); err != nil {
			return fmt.Errorf("reading the graph: %w", err)
		}
		dgst := digest.FromBytes(dt)
		if op.Op == nil { // the last one only names the result
			d.printf("result %s\n", d.input(op.Inputs[0]))
			continue
		}
		d.number[dgst] = len(d.number) + 1
		d.op(d.number[dgst], &op, def.Metadata[dgst].Description["llb.customname"])
	}
	return d.err
}

type dumper struct {
	w      io.Writer
	number map[digest.Digest]int
	err    error
}

func (d *dumper) printf(format string, args ...any) {
	if d.err == nil {
		_, d.err = fmt.Fprintf(d.w, format, args...)
	}
}

// input names an operation's output: "3", or "3.1" for its second one.
func (d *dumper) input(in *pb.Input) string {
	n := d.number[digest.Digest(in.Digest)]
	if in.Index == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d.%d", n, in.Index)
}

func (d *dumper) op(n int, op *pb.Op, name string) {
	ref := func(i int64) string {
		if i < 0 {
			return "scratch"
		}
		return d.input(op.Inputs[i])
	}
	switch o := op.Op.(type) {
	case *pb.Op_Source:
		d.printf("%d source %s\n", n, o.Source.Identifier)
		for _, k := range slices.Sorted(maps.Keys(o.Source.Attrs)) {
			if k != pb.AttrLocalSessionID && k != pb.AttrLocalUniqueID {
				d.printf("    %s %s\n", k, o.Source.Attrs[k])
			}
		}
	case *pb.Op_Exec:
		m := o.Exec.Meta
		d.printf("%d exec %s\n", n, name)
		d.printf("    args %s\n", quoted(m.Args))
		d.printf("    dir %s\n", m.Cwd)
		if m.User != "" {
			d.printf("    user %s\n", m.User)
		}
		for _, e := range m.Env {
			d.printf("    env %s\n", e)
		}
		d.printf("    network %s\n", strings.ToLower(o.Exec.Network.String()))
		for _, s := range o.Exec.Secretenv {
			d.printf("    secret env %s from %s%s\n", s.Name, s.ID, optional(s.Optional))
		}
		mounts := slices.Clone(o.Exec.Mounts)
		slices.SortStableFunc(mounts, func(a, b *pb.Mount) int { return strings.Compare(a.Dest, b.Dest) })
		for _, m := range mounts {
			d.printf("    mount %s %s\n", m.Dest, d.mount(m, ref))
		}
	case *pb.Op_File:
		d.printf("%d file %s\n", n, name)
		for i, a := range o.File.Actions {
			d.printf("    %s\n", action(i, a, len(op.Inputs), ref))
		}
	case *pb.Op_Merge:
		var from []string
		for _, in := range o.Merge.Inputs {
			from = append(from, ref(in.Input))
		}
		d.printf("%d merge %s: %s\n", n, strings.Join(from, " "), name)
	case *pb.Op_Diff:
		d.printf("%d diff %s to %s: %s\n", n, ref(o.Diff.Lower.Input), ref(o.Diff.Upper.Input), name)
	default:
		d.printf("%d %T %s\n", n, op.Op, name)
	}
}

func (d *dumper) mount(m *pb.Mount, ref func(int64) string) string {
	var s string
	switch m.MountType {
	case pb.MountType_CACHE:
		return fmt.Sprintf("cache %s %s", m.CacheOpt.ID, strings.ToLower(m.CacheOpt.Sharing.String()))
	case pb.MountType_SECRET:
		return "secret " + m.SecretOpt.ID + optional(m.SecretOpt.Optional)
	case pb.MountType_SSH:
		return "ssh " + m.SSHOpt.ID + optional(m.SSHOpt.Optional)
	case pb.MountType_TMPFS:
		return "tmpfs"
	}
	s = "from " + ref(m.Input)
	if m.Selector != "" {
		s += " path " + m.Selector
	}
	if m.Readonly {
		s += " read-only"
	}
	if m.ContentCache == pb.MountContentCache_OFF {
		s += " unread"
	}
	if m.Output >= 0 {
		s += fmt.Sprintf(" output %d", m.Output)
	}
	return s
}

func optional(b bool) string {
	if b {
		return " optional"
	}
	return ""
}

// action describes a file action; inputs beyond the operation's own are results
// of earlier actions.
func action(i int, a *pb.FileAction, inputs int, ref func(int64) string) string {
	name := func(in int64) string {
		if in >= int64(inputs) {
			return fmt.Sprintf("action %d", in-int64(inputs))
		}
		return ref(in)
	}
	s := fmt.Sprintf("action %d on %s: ", i, name(a.Input))
	switch x := a.Action.(type) {
	case *pb.FileAction_Copy:
		c := x.Copy
		s += fmt.Sprintf("copy %s:%s to %s", name(a.SecondaryInput), c.Src, c.Dest)
		if c.ModeStr != "" {
			s += " mode " + c.ModeStr
		} else if c.Mode >= 0 {
			s += fmt.Sprintf(" mode %#o", os.FileMode(c.Mode))
		}
		if o := c.Owner; o != nil {
			s += fmt.Sprintf(" owner %d:%d", o.User.GetByID(), o.Group.GetByID())
		}
		if c.FollowSymlink {
			s += " follow links"
		}
		if len(c.IncludePatterns) > 0 {
			s += " include " + quoted(c.IncludePatterns)
		}
		if len(c.ExcludePatterns) > 0 {
			s += " exclude " + quoted(c.ExcludePatterns)
		}
		s += when(c.Timestamp)
	case *pb.FileAction_Mkfile:
		s += fmt.Sprintf("write %s mode %#o, %d bytes %s", x.Mkfile.Path, x.Mkfile.Mode, len(x.Mkfile.Data), digest.FromBytes(x.Mkfile.Data).Encoded()[:12]) + when(x.Mkfile.Timestamp)
	case *pb.FileAction_Mkdir:
		s += fmt.Sprintf("mkdir %s mode %#o", x.Mkdir.Path, x.Mkdir.Mode) + when(x.Mkdir.Timestamp)
	default:
		s += fmt.Sprintf("%T", a.Action)
	}
	return s
}

func when(ns int64) string {
	if ns < 0 {
		return " time of the build"
	}
	return fmt.Sprintf(" time %d", ns/1e9)
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, " ")
}
