module example.test/testcmd

go 1.25
