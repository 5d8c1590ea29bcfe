package exec

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Normalize gives everything below dir the time 0, root as its owner (where the
// step runs as root) and a mode of ours: 0755 for directories and what may be
// executed, 0644 for the rest. So what a command made depends neither on when
// nor where it ran. A missing dir, and anything but files, directories and
// symlinks that stay inside, is an error.
func Normalize(dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var names []string
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		// Backwards, so that a directory comes after what is in it.
		names = append(names, name)
		return checkEntry(root, name, entry)
	})
	if err != nil {
		return err
	}
	for i := len(names) - 1; i >= 0; i-- {
		if err := stamp(root, names[i]); err != nil {
			return err
		}
	}
	return nil
}

func checkEntry(root *os.Root, name string, entry fs.DirEntry) error {
	switch entry.Type() {
	case 0, fs.ModeDir:
		return nil
	case fs.ModeSymlink:
		target, err := root.Readlink(name)
		if err != nil {
			return err
		}
		// An absolute one begins at the image's root.
		joined := path.Join(path.Dir(name), target)
		if !path.IsAbs(target) && (joined == ".." || strings.HasPrefix(joined, "../")) {
			return fmt.Errorf("the symlink /%s leads to %s, out of the layer", name, target)
		}
		return nil
	}
	return fmt.Errorf("/%s is neither a file, a directory nor a symlink (%s), and so not for an image", name, entry.Type())
}

func stamp(root *os.Root, name string) error {
	info, err := root.Lstat(name)
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := root.Lchown(name, 0, 0); err != nil {
			return err
		}
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		mode := fs.FileMode(0o644)
		if info.IsDir() || info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if err := root.Chmod(name, mode); err != nil {
			return err
		}
	}
	return setTime(root, name)
}

// setTime sets the time of a symlink itself, too, which os.Root cannot.
func setTime(root *os.Root, name string) error {
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := unix.UtimesNanoAt(int(dir.Fd()), path.Base(name), []unix.Timespec{{}, {}}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "utimensat", Path: name, Err: err}
	}
	return nil
}
