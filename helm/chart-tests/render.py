"""Renders the chart, and writes what is made of it: the plain manifests and the table of values in the README."""

import re
import shutil
import sys
from pathlib import Path

import helm_python
import yaml

# Where the chart and the plain manifests lie.
HERE = Path(__file__).resolve().parents[1]
NAME = "data-sanitizer"

# File of the plain manifests, and the templates that go there. Hooks are not in it: the scheduler migrates when it starts.
PLAIN = {
    "account.yaml": ["serviceaccount.yaml"],
    "network.yaml": ["networkpolicy.yaml"],
    "scheduler.yaml": ["scheduler/deployment.yaml", "scheduler/services.yaml"],
    "executor.yaml": ["executor/deployment.yaml", "executor/autoscaler.yaml", "executor/disruption.yaml"],
}
NOT_PLAIN = ["scheduler/migrate.yaml", "tests/ready.yaml"]


def values_of(path: Path) -> dict:
    return yaml.safe_load(path.read_text()) or {}


def render(chart: Path, values: dict, name: str = NAME, namespace: str = "clean", **options) -> dict[str, str]:
    """Text by template, without what rendered to nothing."""
    with helm_python.Chart.load(chart) as loaded:
        rendered = loaded.render(values, name=name, namespace=namespace, **options)
    prefix = f"{NAME}/templates/"
    return {path.removeprefix(prefix): text for path, text in rendered.items() if text.strip()}


def documents(rendered: dict[str, str]) -> list[dict]:
    found = []
    for path, text in rendered.items():
        if not path.endswith(".txt"):
            found += [document for document in yaml.safe_load_all(text) if document]
    return found


def plain(root: Path) -> dict[str, str]:
    """The plain manifests: file names and their text."""
    chart = root / NAME
    rendered = render(chart, values_of(chart / "ci" / "small.yaml"))
    rendered.pop("NOTES.txt", None)
    files = {}
    for file, templates in PLAIN.items():
        text = "\n---\n".join(rendered.pop(template).strip() for template in templates)
        # Nobody looks after these with Helm.
        text = re.sub(r"\n +(helm\.sh/chart|app\.kubernetes\.io/managed-by): .*", "", text)
        files[file] = f"# Made by chart-tests/render.sh from {NAME}/ci/small.yaml.\n{text}\n"
    left = set(rendered) - set(NOT_PLAIN)
    if left:
        raise SystemExit(f"render.py: nothing says into which plain file these go: {sorted(left)}")
    resources = "".join(f"  - {file}\n" for file in files)
    files["kustomization.yaml"] = (
        "# Made by chart-tests/render.sh. What it needs first: README.md beside it.\n"
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"resources:\n{resources}"
    )
    return files


def table(values: str) -> str:
    """The keys of values.yaml with their defaults and the comments above them, as a table."""
    rows, path, comment = [], [], []
    defaults = yaml.safe_load(values)
    for line in values.splitlines():
        text = line.strip()
        if not text:
            comment = []
            continue
        if text.startswith("#"):
            comment.append(text.removeprefix("#").strip())
            continue
        key = re.match(r"^( *)([A-Za-z][\w-]*):(.*)$", line)
        if key is None:
            continue
        depth = len(key[1]) // 2
        path = path[:depth] + [key[2]]
        if comment:
            value = defaults
            for step in path:
                value = value[step]
            leaf = key[3].strip() != "" or not isinstance(value, dict)
            shown = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip() if leaf else ""
            shown = f"`{shown}`".replace("|", "\\|") if shown else ""
            rows.append(f"| `{'.'.join(path)}` | {shown} | {' '.join(comment)} |")
        comment = []
    return "\n".join(["| value | default | |", "|---|---|---|", *rows])


def with_table(readme: str, values: str) -> str:
    begin, end = "<!-- values -->\n", "\n<!-- end of values -->"
    before, rest = readme.split(begin)
    return before + begin + table(values) + end + rest.split(end)[1]


def main() -> None:
    """Writes what is generated below the folder that is given, or beside this file."""
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    folder = root / "plain"
    keep = (folder / "README.md").read_text() if (folder / "README.md").exists() else None
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if keep is not None:
        (folder / "README.md").write_text(keep)
    for file, text in plain(root).items():
        (folder / file).write_text(text)
    readme = root / NAME / "README.md"
    readme.write_text(with_table(readme.read_text(), (root / NAME / "values.yaml").read_text()))


if __name__ == "__main__":
    main()
