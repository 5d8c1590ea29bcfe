module example.test/workspace/api

go 1.25

require (
	example.test/workspace/greet v0.0.0
	github.com/google/uuid v1.6.0
)

replace example.test/workspace/greet => ../greet
