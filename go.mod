module github.com/birdhouse-build/birdhouse

go 1.26.8
