# Says which cell of the matrix it is, and passes after the asked time.
[ "${1:-}" = --seconds ] && seconds=$2
echo "${GREETING:-hi} from ${TSTR_LABEL_REGION:-no region} over the ${TSTR_LABEL_NETWORK:-unknown} network"
echo "cell: ${TSTR_CELL:-none}"
echo "labels:"
busybox env | busybox grep '^TSTR_LABEL_' | busybox sort
left=${seconds:-1}
while [ "$left" -gt 0 ]; do
  echo "checking ($left s left)"
  busybox sleep 1
  left=$((left - 1))
done
echo "ok"
