// Command api prints a greeting.
package main

import (
	"fmt"

	"example.test/workspace/greet"
	"github.com/google/uuid"
)

func main() { fmt.Println(greet.Text(uuid.Nil.String())) }
