// Command app prints a text of a module that only a private proxy serves.
package main

import (
	"fmt"

	"example.test/private"
)

func main() { fmt.Println(private.Text) }
