# A test of every status that bats knows.

@test "passes" {
  echo "a line"
}

@test "fails" {
  echo "<printed> & 'quoted'"
  [ 1 -eq 2 ]
}

@test "is skipped" {
  skip
}

@test "is skipped for a reason" {
  skip "not # now"
}

@test "a name with \"quotes\" <&> # and ä" {
  true
}

@test "runs and fails" {
  run sh -c 'echo out; exit 3'
  [ "$status" -eq 0 ]
}

@test "is flaky" {
  BATS_TEST_RETRIES=2
  tries=$((BATS_TEST_TRY_NUMBER))
  [ "$tries" -eq 3 ]
}

@test "command not found" {
  no_such_command
}
