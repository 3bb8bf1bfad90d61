# Over its time.

@test "passes" {
  true
}

@test "takes too long" {
  sleep 30
}
