# Sourced: puts the Python tools into a folder of the cache and names the interpreter in PYTHON. Nothing of the machine is changed.
# The folder's name is of the versions, so that others make another one.
tools_python=(helm-python-sdk==0.2.2 kubernetes-validate==1.37.0 yamllint==1.38.0 check-jsonschema==0.39.0)
tools_node=(@kubernetes-models/cert-manager@6.0.0 @kubernetes-models/keda@2.0.0 @kubernetes-models/prometheus-operator@6.0.0 typescript@5.9.3)
tools_home="${DATA_SANITIZER_HELM_TOOLS:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/data-sanitizer-helm}"
tools_folder="$tools_home/$(printf '%s\n' "${tools_python[@]}" "${tools_node[@]}" | cksum | cut -d' ' -f1)"
PYTHON="$tools_folder/venv/bin/python"

if [ ! -e "$tools_folder/python-is-there" ]; then
  mkdir -p "$tools_folder"
  python3 -m venv "$tools_folder/venv"
  "$PYTHON" -m pip install --quiet --no-input --disable-pip-version-check "${tools_python[@]}"
  touch "$tools_folder/python-is-there"
fi
