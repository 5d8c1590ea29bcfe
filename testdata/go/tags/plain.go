//go:build !fancy

package main

const kind = "plain"
