// Package bench measures birdhouse side by side with the best Dockerfile for the
// same program on the same bases, and with ko: `make bench`. Everything runs on
// one machine in one go, contestants taking turns; the table of medians goes to
// docs/bench.md. A language is an entry of a table and a folder of testdata with its
// program and its Dockerfile; contestants and cases are the same for all. There are
// only tests here, most of which the build tag `bench` turns on.
package bench
