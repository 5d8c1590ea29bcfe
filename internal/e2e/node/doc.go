// Package node has end-to-end tests alone: those of Node's programs and sites.
package node
