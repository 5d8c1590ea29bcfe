package main

import "testing"

func TestGenerated(t *testing.T) {
	if generated != "generated" {
		t.Errorf("generated is %q", generated)
	}
}
