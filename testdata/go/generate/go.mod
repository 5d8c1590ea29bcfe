module example.test/generate

go 1.25
