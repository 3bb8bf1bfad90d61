package statuses

// Hello is what the examples are of.
func Hello() {}
