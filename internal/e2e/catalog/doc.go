// Package catalog has end-to-end tests alone: those of base images, of Debian's
// packages and of publishing.
package catalog
