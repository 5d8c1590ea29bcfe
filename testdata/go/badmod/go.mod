module example.test/badmod

go 1.25

requires github.com/google/uuid v1.6.0

replace example.test/x ../x
