// Command embed prints a file that it carries.
package main

import (
	"embed"
	"fmt"
	"os"
	"strings"
)

//go:embed pages
var pages embed.FS

func main() {
	page, err := pages.ReadFile("pages/index.html")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for range 1000 {
		count(string(page))
	}
	fmt.Print(string(page))
}

//go:noinline
func count(s string) int { return strings.Count(s, "<p>") }
