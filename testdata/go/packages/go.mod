module example.test/packages

go 1.25
