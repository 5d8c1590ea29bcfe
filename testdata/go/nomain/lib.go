// Package nomain is no program.
package nomain
