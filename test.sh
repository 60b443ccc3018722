#!/usr/bin/env bash
# Runs all tests. Installs what they need where it is missing, and starts a throwaway Postgres where none answers.
set -euo pipefail
cd "$(dirname "$0")"
if ! cargo nextest --version >/dev/null 2>&1; then
  cargo install --locked cargo-nextest
fi

# Some tests set the clock of a process wrong, start a Postgres of their own, or talk to the service from Python.
missing=()
compgen -G "/usr/lib/*/faketime/libfaketime.so.1" >/dev/null || missing+=(libfaketime)
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || missing+=(postgresql)
python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3 python3-venv)
for program in curl openssl npm; do command -v "$program" >/dev/null || missing+=("$program"); done
command -v psql >/dev/null || missing+=(postgresql-client)
if [ "${#missing[@]}" -gt 0 ]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"
fi

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Postgres does not run as root.
as_owner() {
  if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

if [ -z "${SANITIZER_TEST_POSTGRES:-}" ] && ! answers 5432; then
  programs="$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)"
  folder="$(mktemp -d)"
  if [ "$(id -u)" = 0 ]; then chown postgres "$folder"; fi
  port=$((20000 + RANDOM % 20000))
  stop() {
    as_owner "$programs/pg_ctl" -D "$folder/data" -m immediate stop >/dev/null 2>&1 || true
    rm -rf "$folder"
  }
  trap stop EXIT
  as_owner "$programs/initdb" -D "$folder/data" -U postgres -A trust -N >/dev/null
  as_owner "$programs/pg_ctl" -D "$folder/data" -l "$folder/log" -w \
    -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories=$folder" start >/dev/null
  export SANITIZER_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port"
fi

cargo nextest run --workspace --all-targets --no-fail-fast "$@"

# What talks to the service from outside, once the program is built.
if [ "$#" -eq 0 ]; then
  export SANITIZER_BIN="${CARGO_TARGET_DIR:-target}/debug/sanitizer"
  SANITIZER_BIN="$(realpath "$SANITIZER_BIN")"
  ./cli/tests/contract.sh
  ./clients/python/test.sh
  ./helm/test.sh
  ./helm/rehearsal/test.sh
fi
