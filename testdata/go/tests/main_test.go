package main

import (
	"os"
	"testing"
)

func TestAdd(t *testing.T) {
	if got := add(1, 2); got != 3 {
		t.Errorf("add(1, 2) = %d", got)
	}
}

// Tests may write beside their sources.
func TestWrite(t *testing.T) {
	if err := os.WriteFile("scratch.txt", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove("scratch.txt"); err != nil {
		t.Fatal(err)
	}
}
