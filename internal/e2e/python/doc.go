// Package python has end-to-end tests alone: those of Python's programs.
package python
