module example.test/ldflags

go 1.25
