package container

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// settings are all that a container's runtime configuration depends on.
type settings struct {
	Args     []string
	Env      []string
	Cwd      string
	User     specs.User
	Hostname string
	ReadOnly bool
	TTY      bool
	// Size is the terminal's; nil when there is none to ask.
	Size *specs.Box
	// Cgroup is 0 for a machine without control groups, 1 or 2.
	Cgroup int
	// Mounts come after the container's own, shallow paths first.
	Mounts []specs.Mount
}

// capabilities are Docker's default set
// (https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities).
var capabilities = []string{
	"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD",
	"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT",
}

// newSpec returns the runtime configuration
// (https://github.com/opencontainers/runtime-spec/blob/main/config.md) with
// Docker's defaults, on the machine's network. The root file system is the
// directory "rootfs" of the bundle.
func newSpec(s settings) *specs.Spec {
	caps := &specs.LinuxCapabilities{Bounding: capabilities}
	if s.User.UID == 0 {
		caps.Effective, caps.Permitted = capabilities, capabilities
	}
	namespaces := []specs.LinuxNamespace{
		{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
	}
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	}
	if s.Cgroup > 0 {
		mounts = append(mounts, specs.Mount{
			Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"},
		})
	}
	if s.Cgroup == 2 {
		namespaces = append(namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	}
	own := slices.Clone(s.Mounts)
	slices.SortStableFunc(own, func(a, b specs.Mount) int { return depth(a.Destination) - depth(b.Destination) })
	mounts = append(mounts, own...)

	spec := &specs.Spec{
		Version: "1.0.2",
		Process: &specs.Process{
			Terminal:        s.TTY,
			User:            s.User,
			Args:            s.Args,
			Env:             s.Env,
			Cwd:             s.Cwd,
			Capabilities:    caps,
			NoNewPrivileges: true,
		},
		Root:     &specs.Root{Path: "rootfs", Readonly: s.ReadOnly},
		Hostname: s.Hostname,
		Mounts:   mounts,
		Linux: &specs.Linux{
			Namespaces: namespaces,
			Resources: &specs.LinuxResources{
				Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}},
			},
			MaskedPaths: []string{
				"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
				"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
				"/sys/firmware",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	if s.TTY {
		spec.Process.ConsoleSize = s.Size
	}
	return spec
}

func bind(source, target, propagation string, readOnly bool) specs.Mount {
	mode := "rw"
	if readOnly {
		mode = "ro"
	}
	return specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"rbind", mode, propagation}}
}

func depth(p string) int { return strings.Count(path.Clean(p), "/") }
