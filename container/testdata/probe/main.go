// Probe is the program of the images that the tests run. Its first argument
// says what it does.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Println("no arguments")
		return
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "show":
		cwd, err := os.Getwd()
		check(err)
		host, err := os.Hostname()
		check(err)
		groups, err := os.Getgroups()
		check(err)
		fmt.Println("args", strings.Join(args, ","))
		fmt.Println("cwd", cwd)
		fmt.Println("uid", os.Getuid(), "gid", os.Getgid(), "groups", groups)
		fmt.Println("host", host == os.Getenv("HOSTNAME"))
		for _, e := range os.Environ() {
			fmt.Println("env", e)
		}
	case "status":
		data, err := os.ReadFile("/proc/self/status")
		check(err)
		os.Stdout.Write(data)
	case "cat":
		for _, name := range args {
			data, err := os.ReadFile(name)
			check(err)
			os.Stdout.Write(data)
		}
	case "ls":
		for _, name := range args {
			entries, err := os.ReadDir(name)
			check(err)
			for _, e := range entries {
				fmt.Println(e.Name())
			}
		}
	case "write":
		check(os.WriteFile(args[0], []byte(args[1]), 0o644))
	case "exit":
		code, err := strconv.Atoi(args[0])
		check(err)
		os.Exit(code)
	case "echo":
		_, err := io.Copy(os.Stdout, os.Stdin)
		check(err)
		fmt.Fprintln(os.Stderr, "end of input")
	case "tty":
		info, err := os.Stdout.Stat()
		check(err)
		fmt.Println("tty", info.Mode()&os.ModeCharDevice != 0, "term", os.Getenv("TERM"))
	case "sleep": // does nothing about signals
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "ignore": // stays in spite of signals that ask it to end
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "trap":
		got := make(chan os.Signal, 8)
		signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1)
		fmt.Println("ready")
		for s := range got {
			fmt.Println("got", s)
			if s == syscall.SIGTERM {
				os.Exit(7)
			}
		}
	case "listen":
		l, err := net.Listen("tcp", args[0])
		check(err)
		fmt.Println("ready", l.Addr())
		c, err := l.Accept()
		check(err)
		fmt.Fprint(c, "hello from the container")
		check(c.Close())
	default:
		fmt.Fprintln(os.Stderr, "unknown", os.Args[1])
		os.Exit(2)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
