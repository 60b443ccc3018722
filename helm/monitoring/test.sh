#!/usr/bin/env bash
# Checks the rules, their tests, the dashboards and the runbook. With scrapes of /metrics as arguments (one of a
# scheduler, one of an executor), every metric and label that is asked for must be in one of them.
# promtool is Debian's, from the package prometheus, which is installed where it is missing; PyYAML goes to a cache folder.
set -euo pipefail

scrapes=()
for scrape in "$@"; do scrapes+=("$(realpath -e -- "$scrape")"); done
cd "$(dirname "$0")"

if ! command -v promtool >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null
fi
venv="${XDG_CACHE_HOME:-$HOME/.cache}/data-sanitizer/monitoring"
if ! "$venv/bin/python" -c 'import yaml' 2>/dev/null; then
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check PyYAML==6.0.3
fi
export PATH="$venv/bin:$PATH"

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT

# All checks run, so that one look shows all that is wrong.
failed=()
check() {
  local name="$1"
  shift
  if PYTHONDONTWRITEBYTECODE=1 "$@" >"$folder/log" 2>&1; then
    echo "ok: $name"
  else
    echo "FAILED: $name" >&2
    cat "$folder/log" >&2
    failed+=("$name")
  fi
}

check "rules" promtool check rules ../data-sanitizer/files/rules.yaml
check "tests of the rules" promtool test rules rules_test.yaml rules_days_test.yaml
check "dashboards are up to date" python3 dashboards.py --check
check "what holds between them" python3 observe.py --queries "$folder/queries.yaml" "${scrapes[@]}"
check "queries of dashboards and runbook" promtool check rules "$folder/queries.yaml"

if [ "${#failed[@]}" -gt 0 ]; then
  echo "${#failed[@]} of 5 checks failed" >&2
  exit 1
fi
