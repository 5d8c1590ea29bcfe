// Package java has end-to-end tests alone: those of Java's programs.
package java
