module example.test/reserved

go 1.25
