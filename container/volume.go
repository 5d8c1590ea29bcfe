package container

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// volume is a directory or file that a container sees at Target.
type volume struct {
	// Source is on this machine; "" for an empty directory of the container.
	Source   string
	Target   string
	ReadOnly bool
	// Propagation is of mounts below Source, "rprivate" unless asked for.
	Propagation string
}

// parseVolumes reads --volume flags.
func parseVolumes(flags []string) ([]volume, error) {
	var vs []volume
	for _, f := range flags {
		v, err := parseVolume(f)
		if err != nil {
			return nil, fmt.Errorf("--volume %q: %w", f, err)
		}
		if slices.ContainsFunc(vs, func(o volume) bool { return o.Target == v.Target }) {
			return nil, fmt.Errorf("--volume %q: %s is mounted twice", f, v.Target)
		}
		vs = append(vs, v)
	}
	return vs, nil
}

func parseVolume(flag string) (volume, error) {
	parts := strings.Split(flag, ":")
	v := volume{Propagation: "rprivate"}
	switch len(parts) {
	case 1:
		v.Target = parts[0]
	case 2, 3:
		v.Source, v.Target = parts[0], parts[1]
		if v.Source == "" {
			return v, fmt.Errorf("there is no path before the colon; write HOST-PATH:PATH")
		}
		if !path.IsAbs(v.Source) && !strings.HasPrefix(v.Source, ".") {
			return v, fmt.Errorf("named volumes are not kept here; write a path of this machine, such as %s or ./%s",
				path.Join("/srv", v.Source), v.Source)
		}
		abs, err := filepath.Abs(v.Source)
		if err != nil {
			return v, err
		}
		v.Source = abs
	default:
		return v, fmt.Errorf("write HOST-PATH:PATH or HOST-PATH:PATH:ro")
	}
	if !path.IsAbs(v.Target) {
		return v, fmt.Errorf("%q is not an absolute path in the container", v.Target)
	}
	v.Target = path.Clean(v.Target)
	if v.Target == "/" {
		return v, fmt.Errorf("the container's / cannot be replaced")
	}
	if len(parts) == 3 {
		for _, o := range strings.Split(parts[2], ",") {
			switch o {
			case "ro", "readonly":
				v.ReadOnly = true
			case "rw":
			case "private", "rprivate", "shared", "rshared", "slave", "rslave":
				v.Propagation = o
			case "z", "Z", "cached", "delegated", "consistent", "nocopy":
				// Labels, hints and volume contents: nothing to do for a bind.
			default:
				return v, fmt.Errorf("%q is not an option; there are ro, rw and the propagations of mount(8)", o)
			}
		}
	}
	return v, nil
}
