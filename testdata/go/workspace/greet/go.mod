module example.test/workspace/greet

go 1.25
