#!/usr/bin/env bash
# Writes plain/ and the table of values in the chart's README anew, from the chart. With a folder: of the copy that lies there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. chart-tests/tools.sh
"$PYTHON" chart-tests/render.py "${1:-$PWD}"
