module example.test/sibling/app

go 1.25

require example.test/sibling/lib v0.0.0

