module example.test/ambiguous

go 1.25
