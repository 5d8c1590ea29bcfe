// Package lib has a text.
package lib

// Text is a text.
const Text = "from the library"
