package greet

import "testing"

func TestText(t *testing.T) {
	if got := Text("x"); got != "hello x" {
		t.Errorf("Text: %q", got)
	}
}
