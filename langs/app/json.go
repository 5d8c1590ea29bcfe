package app

import (
	"encoding/json"
	"strings"
)

// JSON writes a value in one line, which is always the same for the same value. What it is given
// can be written.
func JSON(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}
