// Package e2e has tests alone: real programs built by the real command and the
// real clients on real engines, started, and their answers read.
//
// Here are the clients, the user's way, and what goes wrong; a folder each has the
// tests of a language and of the catalog, which so run side by side.
package e2e
