#!/usr/bin/env bash
# A production of one machine, without containers: Postgres, an S3 server, a scheduler, two executors, Flight SQL, Prometheus
# with the chart's rules, and a collector of traces. Submits jobs, and checks what all of them tell.
# The program is SANITIZER_BIN; Postgres is SANITIZER_TEST_POSTGRES, or the one that answers on 127.0.0.1:5432.
set -euo pipefail
: "${SANITIZER_BIN:?names the program sanitizer}"
cd "$(dirname "$0")"
if ! command -v prometheus >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null
fi
venv="${XDG_CACHE_HOME:-$HOME/.cache}/data-sanitizer/rehearsal"
if ! cmp -s requirements.txt "$venv/requirements.txt"; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
  cp requirements.txt "$venv/requirements.txt"
fi
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" rehearse.py "$folder"
../monitoring/test.sh "$folder"/scrape-*.txt
