module example.test/app

go 1.25

require example.test/private v1.0.0
