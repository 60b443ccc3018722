#!/usr/bin/env bash
# Builds the program, makes a dirty table of 10,000 customers, cleans it, and says where the report is.
set -euo pipefail
cd "$(dirname "$0")"
folder="${1:-demo}"
cargo build --workspace
bin="${CARGO_TARGET_DIR:-target}/debug"
rm -rf "$folder"
"$bin/benchmarks" demo "$folder"
"$bin/sanitizer" run "$folder/job.yaml"
