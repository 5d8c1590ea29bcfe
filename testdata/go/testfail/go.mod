module example.test/testfail

go 1.25
