// Command version prints the release of Go that it was built with.
package main

import (
	"fmt"
	"runtime"
)

func main() { fmt.Println(runtime.Version()) }
