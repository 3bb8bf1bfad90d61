# Everything in the folder $TSTR_ARTIFACTS is kept, whether the test passes or fails.
busybox mkdir -p "$TSTR_ARTIFACTS/shots" /tstr/work/suite
echo '<h1>The report</h1>' >"$TSTR_ARTIFACTS/report.html"
echo 'a picture' >"$TSTR_ARTIFACTS/shots/front-door.txt"
# Kept because the test names it; what lies beside it is not.
echo '<testsuite tests="1"><testcase classname="door" name="opens"/></testsuite>' >/tstr/work/suite/junit.xml
echo 'scratch' >/tstr/work/suite/scratch.bin
echo 'left three files'
