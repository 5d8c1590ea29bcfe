// Command probe is the only program in the root file systems of the engine's
// tests.
package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch args[0] {
	case "write": // write FILE TEXT
		return os.WriteFile(args[1], []byte(args[2]), 0o644)
	case "sleep": // sleep MARK: the mark tells its process from others
		fmt.Println("sleeping")
		time.Sleep(10 * time.Minute)
		return nil
	case "fill": // fill FILE MEGABYTES
		f, err := os.Create(args[1])
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscan(args[2], &n); err != nil {
			return err
		}
		b := make([]byte, 1<<20)
		for i := range n {
			copy(b, fmt.Sprint(i, args))
			if _, err := f.Write(b); err != nil {
				return err
			}
		}
		return f.Close()
	case "network": // network FILE: what interfaces and name servers there are
		ifs, err := net.Interfaces()
		if err != nil {
			return err
		}
		var names []string
		for _, i := range ifs {
			names = append(names, i.Name)
		}
		resolv, err := os.ReadFile("/etc/resolv.conf")
		if err != nil {
			return err
		}
		return os.WriteFile(args[1], []byte(strings.Join(names, " ")+"\n"+string(resolv)), 0o644)
	}
	return fmt.Errorf("no command %q", args)
}
