// Package shared is no program.
package shared
