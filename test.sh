#!/usr/bin/env bash
# Runs all tests. Installs cargo-nextest where it is missing.
set -euo pipefail
cd "$(dirname "$0")"
if ! cargo nextest --version >/dev/null 2>&1; then
  cargo install --locked cargo-nextest
fi
exec cargo nextest run --workspace --all-targets --no-fail-fast "$@"
