// Package e2etest is what the packages of end-to-end tests have in common: the
// birdhouse command, projects to build with it, and what was built. Only tests
// import it.
//
// All of it skips a test under -short, by way of package harness. Commands and images
// are those of one state directory, which the tests of a package share.
package e2etest
