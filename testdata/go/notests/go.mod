module example.test/notests

go 1.25
