// Package jlink makes a Java runtime of the modules that a program needs, for any
// architecture of which the modules are there, as a layer of an image.
package jlink

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// Options say what to link.
type Options struct {
	// Home is the JDK of this machine, /usr/lib/jvm/java-21, whose place the runtime
	// has in the image.
	Home string
	// Of is the JDK of the image's architecture, of which only jmods and release are
	// needed: /usr/lib/jvm/java-21-openjdk-arm64.
	Of string
	// Args is a file of arguments that names the modules.
	Args string
	// Root is the file system in which the JDK's packages are recorded, "/" in
	// builds.
	Root string

	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// cacerts is the trust store that all images with Java have.
const cacerts = "/etc/ssl/certs/java/cacerts"

// Link writes the runtime below the folder out, with the path that it has in the
// image. It is recorded there as the source package of the JDK: what is linked is no
// package any more, but is made of one, and advisories name source packages. The
// error is an *exec.ExitError when jlink failed, and has said why.
func Link(ctx context.Context, o Options, out string) error {
	version, ok := strings.CutPrefix(path.Base(o.Home), "java-")
	if !ok || version == "" || strings.Trim(version, "0123456789") != "" {
		return fmt.Errorf("the JDK %q does not end in /java-VERSION", o.Home)
	}
	if _, err := os.Stat(path.Join(o.Of, "jmods/java.base.jmod")); err != nil {
		return fmt.Errorf("the modules of the image's architecture are not there: %w", err)
	}
	to := path.Join(out, o.Home)
	if err := os.MkdirAll(path.Dir(to), 0o755); err != nil {
		return err
	}
	err := exec.Run(ctx, exec.Options{
		Args: []string{
			path.Join(o.Home, "bin/jlink"), "--module-path", path.Join(o.Of, "jmods"), "--release-info", path.Join(o.Of, "release"), "--output", to,
			"--strip-java-debug-attributes", "--no-header-files", "--no-man-pages", "@" + o.Args,
		},
		Env: os.Environ(), Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr,
	})
	if err != nil {
		return err
	}
	if err := trim(to); err != nil {
		return fmt.Errorf("leaving out what only developers use: %w", err)
	}
	store := path.Join(to, "lib/security/cacerts")
	if err := os.Remove(store); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(path.Dir(store), 0o755); err != nil {
		return err
	}
	if err := os.Symlink(cacerts, store); err != nil {
		return err
	}
	if err := record(o.Root, out, "openjdk-"+version); err != nil {
		return fmt.Errorf("recording the runtime: %w", err)
	}
	return exec.Normalize(out)
}

// trim leaves the commands out that modules bring along for developers, and what the
// compiler knows of older versions, which is larger than most modules: libraries that
// refer to the compiler make it a part of runtimes.
func trim(to string) error {
	if err := os.Remove(path.Join(to, "lib/ct.sym")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	commands, err := os.ReadDir(path.Join(to, "bin"))
	if err != nil {
		return err
	}
	for _, c := range commands {
		if c.Name() == "java" || c.Name() == "keytool" {
			continue
		}
		if err := os.Remove(path.Join(to, "bin", c.Name())); err != nil {
			return err
		}
	}
	return nil
}

// kept are the fields of a package's record that hold for what is linked of it.
var kept = []string{"Source", "Version", "Architecture", "Maintainer", "Section", "Homepage"}

// record writes the copyright, the record of the source package and the checksums of
// all files, where Debian's packages have them.
func record(root, out, source string) error {
	const status, docs = "var/lib/dpkg/status.d", "usr/share/doc"
	copyright, err := os.ReadFile(path.Join(root, docs, source+"-jre-headless/copyright"))
	if err != nil {
		return err
	}
	of, err := os.ReadFile(path.Join(root, status, source+"-jdk-headless"))
	if err != nil {
		return err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "Package: %s\n", source)
	for line := range strings.Lines(string(of)) {
		name, _, _ := strings.Cut(line, ":")
		for _, k := range kept {
			if name == k {
				text.WriteString(strings.TrimSuffix(line, "\n") + "\n")
			}
		}
	}
	fmt.Fprintf(&text, "Description: Java runtime, linked of some of the modules of %s-jdk-headless\n", source)
	for _, dir := range []string{path.Join(docs, source), status} {
		if err := os.MkdirAll(path.Join(out, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path.Join(out, docs, source, "copyright"), copyright, 0o644); err != nil {
		return err
	}
	sums, err := checksums(out)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path.Join(out, status, source), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return os.WriteFile(path.Join(out, status, source+".md5sums"), []byte(sums), 0o644)
}

// checksums are lines as md5sum writes them, in the order of names.
func checksums(out string) (string, error) {
	var lines strings.Builder
	err := fs.WalkDir(os.DirFS(out), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path.Join(out, name))
		if err != nil {
			return err
		}
		defer f.Close()
		sum := md5.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sum.Sum(nil), name)
		return nil
	})
	return lines.String(), err
}
