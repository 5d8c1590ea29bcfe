module example.test/nomain

go 1.25
