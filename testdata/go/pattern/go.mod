module example.test/pattern

go 1.25
