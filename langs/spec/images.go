package spec

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// For returns the descriptor of one of its images: the top level with the keys
// of images.<image> in place of its own, whole key by whole key. Paths such as
// "cmd" then mean the value that counts, wherever it is written. "" is the top
// level itself. An unknown image is a problem that lists those there are, and
// the Spec is nil.
func (s *Spec) For(image string) (*Spec, Problems) {
	one := *s
	one.Images = nil
	one.ranges, one.lines = maps.Clone(s.ranges), maps.Clone(s.lines)
	if image == "" {
		return &one, nil
	}
	override, ok := s.Images[image]
	if !ok {
		names := slices.Sorted(maps.Keys(s.Images))
		hint := "the descriptor has no `images`: build without --target"
		if near, ok := Nearest(image, names); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		} else if len(names) > 0 {
			hint = "there are: " + strings.Join(names, ", ")
		}
		return nil, Problems{s.Problem("images", fmt.Sprintf("there is no image %s", quote(image)), hint)}
	}
	from, to := reflect.ValueOf(override), reflect.ValueOf(&one).Elem()
	fields := fieldsOf(to.Type())
	for _, f := range fieldsOf(from.Type()) {
		path := "images." + image + "." + f.key
		if !s.Has(path) {
			continue
		}
		i := slices.IndexFunc(fields, func(top field) bool { return top.key == f.key })
		to.FieldByIndex(fields[i].index).Set(from.FieldByIndex(f.index))
		for p := range s.ranges {
			if rest, ok := strings.CutPrefix(p, f.key); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				delete(one.ranges, p)
				delete(one.lines, p)
			}
		}
		for p, r := range s.ranges {
			if rest, ok := strings.CutPrefix(p, path); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
				one.ranges[f.key+rest], one.lines[f.key+rest] = r, s.lines[p]
			}
		}
	}
	return &one, nil
}
