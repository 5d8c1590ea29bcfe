// Command app prints a text of the module beside it.
package main

import (
	"fmt"

	"example.test/replace/lib"
)

func main() { fmt.Println(lib.Text) }
