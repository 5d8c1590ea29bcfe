module example.test/ssh

go 1.25

require code.corp.example.test/team/lib v1.0.0
