module example.test/twomains

go 1.25
