module example.test/tags

go 1.25
