module example.test/cmds

go 1.25
