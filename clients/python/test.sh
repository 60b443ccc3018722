#!/usr/bin/env bash
# Lints, type-checks and tests the package. SANITIZER_BIN names the program `sanitizer`; PYTHON the interpreter.
# Arguments go to pytest.
set -euo pipefail

: "${SANITIZER_BIN:?must name the program sanitizer, such as target/debug/sanitizer}"
SANITIZER_BIN="$(realpath "$SANITIZER_BIN")"
export SANITIZER_BIN
cd "$(dirname "$0")"

folder="$(mktemp -d "${TMPDIR:-/tmp}/data-sanitizer-python.XXXXXX")"
trap 'rm -rf "$folder"' EXIT
# Nothing is left in the source tree.
export PYTHONDONTWRITEBYTECODE=1

"${PYTHON:-python3}" -m venv "$folder/venv"
bin="$folder/venv/bin"
"$bin/pip" install --quiet --disable-pip-version-check '.[pandas,polars,pyarrow]' \
  'mypy>=1.18,<3' 'pandas-stubs>=2.2,<4' 'pytest>=8.3,<10' 'ruff>=0.14,<0.18'

"$bin/ruff" format --no-cache --check src tests
"$bin/ruff" check --no-cache src tests
"$bin/mypy" --strict --cache-dir "$folder/mypy"
"$bin/pytest" -p no:cacheprovider --basetemp "$folder/pytest" "$@"
