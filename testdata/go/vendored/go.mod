module example.test/vendored

go 1.25

require github.com/google/shlex v0.0.0-20191202100458-e7afc7fbc510
