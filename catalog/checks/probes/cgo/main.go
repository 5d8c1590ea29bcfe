// Command cgo is a program in Go and C, as the compilers of a build image for
// both make it: it finds names of hosts and users through the C library.
package main

/*
#include <math.h>
#include <stdlib.h>
#cgo LDFLAGS: -lm
*/
import "C"

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"slices"
	"unsafe"
)

func main() {
	if err := run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("everything works")
}

func run() error {
	if got := C.sqrt(C.double(len(os.Args) * 16)); got != 4 {
		return fmt.Errorf("the square root of 16 is %v", got)
	}
	text := C.CString("allocated by C")
	defer C.free(unsafe.Pointer(text))
	if got := C.GoString(text); got != "allocated by C" {
		return fmt.Errorf("a text came back as %q", got)
	}
	resolver := net.Resolver{PreferGo: false}
	addrs, err := resolver.LookupHost(context.Background(), "localhost")
	if err != nil || !slices.Contains(addrs, "127.0.0.1") {
		return fmt.Errorf("localhost is %v, %v", addrs, err)
	}
	u, err := user.LookupId("65532")
	if err != nil || u.Username != "nonroot" {
		return fmt.Errorf("the user 65532 is %+v, %v", u, err)
	}
	return nil
}
