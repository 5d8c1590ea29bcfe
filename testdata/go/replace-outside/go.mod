module example.test/outside

go 1.25

require example.test/lib v0.0.0

replace example.test/lib => ../lib
