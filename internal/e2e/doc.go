// Package e2e has tests alone: real programs built by the real command and the
// real clients on real engines, started, and their answers read.
package e2e
