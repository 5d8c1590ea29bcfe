package main

import (
	"fmt"

	"code.corp.example.test/team/lib"
)

func main() { fmt.Println(lib.Text) }
