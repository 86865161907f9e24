#!/usr/bin/env bash
# The same by curl: examples/api/journey.sh [URL] [KEY]
set -euo pipefail
url=${1:-http://127.0.0.1:8080}
here=$(dirname "$0")
ask=(curl -sS --fail-with-body --retry 3)
[ $# -gt 1 ] && ask+=(-H "X-API-Key: $2")
# A part of the JSON on standard input, by names and numbers.
field() { python3 -c '
import json, sys
found = json.load(sys.stdin)
for name in sys.argv[1:]:
    found = found[int(name) if name.isdecimal() else name]
print(found)' "$@"; }
etag() { "${ask[@]}" -o /dev/null -w '%header{etag}' "$url/v1/plans/$plan/life-cycle"; }

echo plan
start=$(date -u +%Y-%m-%dT%H:00:00Z)
body=$(sed "s/START/$start/" "$here/scenario.json")
# The same key makes one plan, however often this is sent.
plan=$("${ask[@]}" "$url/v1/plans" -H "Idempotency-Key: journey-$start-$$" --json "{\"scenario\": $body, \"time_limit_s\": 20}" |
  field id)
# Events until the plan is made; the name of the last one is how it ended.
"${ask[@]}" -N "$url/v1/plans/$plan/events" | grep '^event:'
"${ask[@]}" "$url/v1/plans/$plan" | field plan cost_usd
echo why there
"${ask[@]}" "$url/v1/plans/$plan/explain/web" | field units 0 why

job=$("${ask[@]}" -X POST "$url/v1/plans/$plan/verify" -H "If-Match: $(etag)" | field id)
"${ask[@]}" -N "$url/v1/jobs/$job/events" | grep '^event:'
"${ask[@]}" "$url/v1/plans/$plan/approve" -H "If-Match: $(etag)" --json '{"why": "as expected"}' | field state
"${ask[@]}" -X PUT "$url/v1/plans/$plan/in-force" -H "If-Match: $(etag)" | field state

echo customer-17 goes to
"${ask[@]}" "$url/v1/direct/web?region=aws/eu-central-1&key=customer-17" | field cluster

echo forecast
job=$("${ask[@]}" "$url/v1/forecasts?horizon=6h&quantiles=0.5,0.9" -H 'Content-Type: text/csv' \
  --data-binary "@$here/history.csv" | field id)
"${ask[@]}" -N "$url/v1/jobs/$job/events" | grep '^event:'
"${ask[@]}" "$url/v1/forecasts/$job/quantiles" -H 'Accept: application/x-ndjson'
