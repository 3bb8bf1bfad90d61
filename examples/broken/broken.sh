# Writes to both streams in turn and fails.
echo "1..3"
echo "ok 1 - the front door opens"
echo "warning: the hinges squeak" >&2
echo "ok 2 - the lights go on"
echo "error: expected hot water, got: none" >&2
echo "not ok 3 - the shower is warm"
exit 3
