module example.test/images

go 1.25
