package main

import (
	"fmt"
	"os"
)

func main() { fmt.Println("worker", os.Args[1:]) }
