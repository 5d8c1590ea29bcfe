// Command ldflags prints what the linker put in.
package main

import "fmt"

var version, revision, channel = "unset", "unset", "unset"

func main() { fmt.Println(version, revision, channel) }
