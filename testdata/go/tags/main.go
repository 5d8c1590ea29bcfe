// Command tags prints what it was built with.
package main

import "fmt"

func main() { fmt.Println(kind) }
