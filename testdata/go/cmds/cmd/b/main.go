package main

import (
	"fmt"

	"example.test/cmds/internal/greet"
)

func main() { fmt.Println(greet.Text("b")) }
