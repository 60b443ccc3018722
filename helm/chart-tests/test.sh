#!/usr/bin/env bash
# Checks the chart without a cluster: lint, schemas of Kubernetes and of the custom resources, what is refused, what is rendered.
#   ./test.sh               everything
#   ./test.sh --mutations   also breaks the chart in many ways, and demands that the checks notice each
# Needs python3, and node with npm for the schemas of the custom resources. Tools go to a cache folder (DATA_SANITIZER_HELM_TOOLS).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONDONTWRITEBYTECODE=1
. chart-tests/tools.sh

if [ ! -e "$tools_folder/node-is-there" ]; then
  npm install --silent --no-audit --no-fund --prefix "$tools_folder/node" "${tools_node[@]}"
  touch "$tools_folder/node-is-there"
fi

yaml=(data-sanitizer/Chart.yaml data-sanitizer/values.yaml data-sanitizer/ci plain)
"$PYTHON" -m yamllint --strict -d '{extends: default, rules: {
  line-length: {max: 160}, document-start: disable, braces: {max-spaces-inside: 1}, comments: {min-spaces-from-content: 1},
  indentation: {spaces: 2, indent-sequences: whatever}, truthy: {check-keys: false}, octal-values: disable}}' "${yaml[@]}"
"$tools_folder/venv/bin/check-jsonschema" --quiet --check-metaschema data-sanitizer/values.schema.json
"$PYTHON" chart-tests/checks.py --node "$tools_folder/node"
if [ "${1:-}" = --mutations ]; then
  "$PYTHON" chart-tests/mutations.py --node "$tools_folder/node"
fi
echo "the chart is as it should be"
