#!/usr/bin/env bash
# Checks everything of this folder, without a cluster or a container engine.
set -euo pipefail
cd "$(dirname "$0")"
./images/test.sh
./chart-tests/test.sh
./monitoring/test.sh "$@"
