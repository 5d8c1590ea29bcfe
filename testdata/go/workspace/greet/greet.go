// Package greet makes texts.
package greet

// Text is a greeting of name.
func Text(name string) string { return "hello " + name }
