module ottla.test/common

go 1.22
