# Values: texts, a text of several lines, and what has a type in JSON.
echo 'version=1.2.3' >>"$TSTR_OUTPUT"
printf 'log<<END_7f3a\nfirst line\nsecond line\nEND_7f3a\n' >>"$TSTR_OUTPUT"
echo '{"cases": 12, "ratio": 0.5, "flags": ["fast", "quiet"]}' >>"$TSTR_OUTPUT"
# Numbers: the same one is summed over all lines.
echo 'requests,method=get,code=200 count=12i,seconds=0.25' >>"$TSTR_METRICS"
echo 'requests,method=get,code=200 count=3i,seconds=0.05' >>"$TSTR_METRICS"
# A summary for people.
printf '## 12 of 12 passed\n\n| method | requests |\n|---|---|\n| GET | 15 |\n' >>"$TSTR_SUMMARY"
# A record of the original tstr: anywhere in the output, without a line of its own.
printf "checked ${RECORD_START}host:example.org${RECORD_END} and went home\n"
