module example.test/named/v2

go 1.25
