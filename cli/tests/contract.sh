#!/usr/bin/env bash
# Holds the REST API against its own OpenAPI document with schemathesis, as each role: no answer with status 5xx,
# none that the document does not describe, and nothing accepted that it forbids.
# The program to test is SANITIZER_BIN.
set -euo pipefail
: "${SANITIZER_BIN:?names the program sanitizer}"
folder="$(mktemp -d)"
service=""
stop() {
  if [ -n "$service" ]; then kill "$service" 2>/dev/null || true; wait "$service" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap stop EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis>=4.32,<4.33"

SANITIZER_LOG=error SANITIZER_TOKEN_KEY="a key for this test only" "$SANITIZER_BIN" serve --home "$folder/home" --http 127.0.0.1:0 --flight-sql 127.0.0.1:0 >"$folder/says" &
service=$!
for _ in $(seq 600); do
  if grep -q "^REST API listens on" "$folder/says" && [ -s "$folder/home/first-api-key" ]; then break; fi
  sleep 0.1
done
url="$(sed -n 's/^REST API listens on //p' "$folder/says")"
admin="$(cat "$folder/home/first-api-key")"

call() {
  curl --silent --show-error --fail --header "Authorization: Bearer $admin" "$@"
}
call --request PATCH --header 'Content-Type: application/json' \
  --data '{"calls_per_second": 100000, "max_queued": 100000}' "$url/api/v1/tenants/default" >/dev/null
key() {
  call --header 'Content-Type: application/json' --data "{\"name\": \"$1\", \"role\": \"$1\"}" "$url/api/v1/keys" |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["secret"])'
}
call --header 'Content-Type: application/json' --data '{"name": "nobody"}' "$url/api/v1/tenants" >/dev/null
engineer="$(key data_engineer)"
reviewer="$(key reviewer)"

# Something to find: a job, a dataset, a version, a rule, an upload.
printf 'id,name\n1,Ann\n1,Ann\n2,\n' >"$folder/people.csv"
job="$(call --form "file=@$folder/people.csv" "$url/api/v1/datasets/default/ingest" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["job_id"])')"
for _ in $(seq 600); do
  if call "$url/api/v1/jobs/$job" | grep -q '"status":"success"'; then break; fi
  sleep 0.1
done
call --request PUT --header 'Content-Type: application/json' --data '{"steps": []}' "$url/api/v1/rules/tidy" >/dev/null
upload="$(call --header 'Content-Type: application/json' --data '{"name": "a.csv"}' "$url/api/v1/uploads" |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["upload_id"])')"
cat >"$folder/schemathesis.toml" <<SETTINGS
[parameters]
"path.job_id" = "$job"
"path.upload_id" = "$upload"
"path.tenant_id" = "default"
"path.dataset" = "people"
"path.version" = 1
"path.step_type" = "dedupe"

# Limits that are made up are for a tenant that nobody needs.
[[operations]]
include-name = "PATCH /api/v1/tenants/{tenant_id}"
parameters = { "path.tenant_id" = "nobody" }
SETTINGS

# A value that fits the document may still name nothing, or not go with another one: 422 says so. Events have no end.
cd "$folder"
for credential in "$admin" "$engineer" "$reviewer" ""; do
  header=()
  if [ -n "$credential" ]; then header=(--header "Authorization: Bearer $credential"); fi
  "$folder/venv/bin/schemathesis" run "$url/api/v1/openapi.json" "${header[@]}" \
    --phases=examples,coverage,fuzzing --max-examples 20 --seed 7 --no-color \
    --exclude-checks positive_data_acceptance --exclude-path-regex '/events$' >"$folder/log" 2>&1 ||
    { tail -150 "$folder/log"; exit 1; }
  grep -E "generated|failures|passed" "$folder/log" | tail -2
done
