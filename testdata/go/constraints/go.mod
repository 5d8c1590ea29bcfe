module example.test/constraints

go 1.25
