module example.test/toolchain

go 1.24.0

toolchain go1.26.8

godebug containermaxprocs=1
