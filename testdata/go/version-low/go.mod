module example.test/version

go 1.26
