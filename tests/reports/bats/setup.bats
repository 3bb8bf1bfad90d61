# The setup of the file fails.

setup_file() {
  false
}

@test "never runs" {
  true
}
