// Command generate prints a constant that go generate writes.
package main

import "fmt"

//go:generate go run ./internal/gen

func main() { fmt.Println(generated) }
