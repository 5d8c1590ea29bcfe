module example.test/sibling/lib

go 1.25
