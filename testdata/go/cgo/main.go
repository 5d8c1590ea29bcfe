// Command cgo prints a cosine computed by the C library.
package main

// #cgo LDFLAGS: -lm
// #include <math.h>
import "C"

import (
	"fmt"
	"os"
	"strconv"
)

func main() {
	x := 0.0
	if len(os.Args) > 1 {
		var err error
		if x, err = strconv.ParseFloat(os.Args[1], 64); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Printf("%.3f\n", float64(C.cos(C.double(x))))
}
