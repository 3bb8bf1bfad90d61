# Three beats, half a second apart, and exit code 0: that is a pass.
echo "heartbeat of ${TSTR_TEST:-a test}, run ${TSTR_RUN_ID:-unknown}, attempt ${TSTR_ATTEMPT:-1}"
for beat in 1 2 3; do
  echo "beat $beat at $(busybox date -u +%H:%M:%S)"
  busybox sleep 0.5
done
echo "alive"
