package main

import "testing"

func TestAdd(t *testing.T) {
	if got := add(1, 2); got != 4 {
		t.Errorf("add(1, 2) = %d, want 4", got)
	}
}
