module example.test/replace/app

go 1.25

require example.test/replace/lib v0.0.0

replace example.test/replace/lib => ../lib
