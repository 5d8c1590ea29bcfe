// Package golang has end-to-end tests alone: those of Go programs.
package golang
