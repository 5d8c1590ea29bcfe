// Command vendored splits its arguments as a shell would.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/google/shlex"
)

func main() {
	words, err := shlex.Split(strings.Join(os.Args[1:], " "))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("%q\n", words)
}
