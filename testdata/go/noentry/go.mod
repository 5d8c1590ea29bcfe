module example.test/noentry

go 1.25
