module example.test/statuses

go 1.21
