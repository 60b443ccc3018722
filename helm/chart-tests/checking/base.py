"""What the checks have in common: a rendered release, and words to ask about it."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import helm_python

import render

KUBERNETES = ["1.29", "1.31", "1.33", "1.36"]
CUSTOM = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1", "cert-manager.io/v1"}
BALLISTA = {50050, 50051, 50052}
METRICS = 9464
# What the programs are going to have, and what is not in the sources yet. Shown when it is used; nothing else may be missing.
COMING: set[str] = set()

RELEASE, CHART = [], []


def release(check):
    """A check that gets a rendered release for each file of values."""
    RELEASE.append(check)
    return check


def chart(check):
    """A check that runs once."""
    CHART.append(check)
    return check


@dataclass
class Context:
    root: Path
    sources: Path | None
    node: Path | None
    quick: bool
    notes: set[str] = field(default_factory=set)

    @property
    def folder(self) -> Path:
        return self.root / render.NAME

    def case(self, name: str) -> dict:
        return render.values_of(self.folder / "ci" / f"{name}.yaml")

    def merged(self, values: dict) -> dict:
        with helm_python.Chart.load(self.folder) as loaded:
            return loaded.merge_values(values)


class Release:
    """What one file of values renders to."""

    def __init__(self, context: Context, case: str, values: dict, **options):
        self.context, self.case = context, case
        self.rendered = render.render(context.folder, values, **options)
        self.documents = render.documents(self.rendered)
        self.values = context.merged(values)

    def of(self, *kinds: str) -> list[dict]:
        return [document for document in self.documents if document["kind"] in kinds]

    def named(self, kind: str, name: str) -> dict:
        found = [document for document in self.of(kind) if document["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    def workload(self, component: str) -> dict | None:
        found = [w for w in self.of("Deployment", "StatefulSet") if component_of(w) == component]
        assert len(found) <= 1
        return found[0] if found else None

    def pods(self) -> list[tuple[str, dict, dict]]:
        """Component, metadata and spec of each pod."""
        pods = []
        for document in self.of("Deployment", "StatefulSet", "Job"):
            template = document["spec"]["template"]
            pods.append((component_of(document), template["metadata"], template["spec"]))
        for document in self.of("Pod"):
            pods.append((component_of(document), document["metadata"], document["spec"]))
        return pods

    def servers(self) -> list[tuple[str, dict, dict]]:
        return [pod for pod in self.pods() if pod[0] not in ("migrate", "test")]


def component_of(document: dict) -> str:
    return document["metadata"]["labels"]["app.kubernetes.io/component"]


def environment(container: dict) -> dict[str, dict]:
    return {entry["name"]: entry for entry in container.get("env", [])}


def bytes_of(quantity) -> int:
    factors = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(quantity)).groups()
    return int(float(number) * factors[unit])


def selects(selector: dict, labels: dict) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    for expression in selector.get("matchExpressions") or []:
        assert expression["operator"] == "In", "only In is understood here"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True


def cases(context: Context) -> list[str]:
    return sorted(path.stem for path in (context.folder / "ci").glob("*.yaml"))
