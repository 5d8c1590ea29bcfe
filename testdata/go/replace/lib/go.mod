module example.test/replace/lib

go 1.25
