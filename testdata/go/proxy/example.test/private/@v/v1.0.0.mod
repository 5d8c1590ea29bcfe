module example.test/private

go 1.25
