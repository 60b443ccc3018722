#!/usr/bin/env bash
# Holds the REST API against its own OpenAPI document with schemathesis, as each role: no answer with status 5xx,
# none that the document does not describe, and nothing accepted that it forbids. And a client that was generated from
# the document cleans a file.
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
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "schemathesis>=4.32,<4.33" \
  "openapi-python-client>=0.29,<0.30" "openapi-spec-validator>=0.7,<0.9"

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

call "$url/api/v1/openapi.json" >"$folder/openapi.json"
"$folder/venv/bin/openapi-spec-validator" "$folder/openapi.json"
# What the generator cannot read, it leaves out with a warning.
(cd "$folder" && PATH="$folder/venv/bin:$PATH" openapi-python-client generate --path openapi.json \
  --output-path generated --meta none --fail-on-warning >generator.log 2>&1) ||
  { cat "$folder/generator.log"; exit 1; }
(cd "$folder" && venv/bin/python - "$url" "$engineer" people.csv) <<'SCRIPT'
import sys, time
from generated import AuthenticatedClient
from generated.api.jobs import jobs_ingest, jobs_list, jobs_show
from generated.api.results import results_removed
from generated.models import Accepted, IngestForm, JobStatus, Problem
from generated.types import File

url, key, path = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=key)
def send(tenant):
    with open(path, "rb") as file:
        form = IngestForm(file=File(payload=file, file_name="people.csv"), dataset_name="generated")
        return jobs_ingest.sync(tenant, client=client, body=form)

accepted = send("default")
assert isinstance(accepted, Accepted), accepted
while (job := jobs_show.sync(accepted.job_id, client=client)).status not in (JobStatus.SUCCESS, JobStatus.FAILED):
    time.sleep(0.1)
assert (job.status, job.dataset_name, job.metrics.rows_dropped) == (JobStatus.SUCCESS, "generated", 1), job
assert jobs_list.sync(client=client, dataset_name="generated").jobs[0].job_id == accepted.job_id
removed = results_removed.sync(accepted.job_id, client=client)
assert len(removed.rows) == 1, removed
refused = send("somebody")
assert isinstance(refused, Problem) and refused.status == 404, refused
print("a generated client cleaned a file")
SCRIPT

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
