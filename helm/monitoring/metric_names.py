#!/usr/bin/env python3
"""Names of the metrics that rules and dashboards use.

    metric_names.py FILE...               the sorted names, one a line
    metric_names.py --recorded FILE...    names of recording rules that are used, instead
    metric_names.py --scrape S FILE...    compares them with scrapes (--scrape may be given again); exit status 1
                                          where one is missing, or lacks a label that is asked for

FILE is a rule file (.yaml, .yml), a dashboard of Grafana (.json) or a document with PromQL between fences (.md).
A histogram counts as one metric, without _bucket, _sum and _count. Names that Prometheus makes itself (up, ALERTS)
are left out.
"""

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

# What Prometheus makes itself.
SYNTHETIC = {"up", "ALERTS", "ALERTS_FOR_STATE"}
# Labels that Prometheus adds to what it scrapes.
TARGET_LABELS = {"job", "instance"}
SUFFIXES = ("_bucket", "_sum", "_count")

KEYWORDS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "start", "end", "atan2"}
# What a list of labels follows.
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}

TOKEN = re.compile(
    r"""
    (?P<comment>\#[^\n]*)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`)
  | (?P<range>\[[^\]]*\])
  | (?P<number>0x[0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?(?:ms|[smhdwy]\w*)?)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<other>\S)
    """,
    re.VERBOSE,
)
# Grafana's variables, with what stands for them where nobody has chosen anything.
VARIABLE = re.compile(r"\$\{?(\w+)(?::\w+)?\}?")
INTERVALS = {"__rate_interval": "5m", "__interval": "1m", "__range": "1h"}


def without_variables(expression: str) -> str:
    """An expression of a dashboard as Prometheus takes it."""
    return VARIABLE.sub(lambda found: INTERVALS.get(found.group(1), ".*"), expression)


@dataclass
class Used:
    """What an expression uses."""

    # Labels by name of the series, as far as a selector names them.
    selected: dict[str, set[str]] = field(default_factory=dict)
    # Labels of by, on and so on.
    grouped: set[str] = field(default_factory=set)


def used(expression: str) -> Used:
    """The series and labels of an expression."""
    found = Used()
    tokens = [
        (token.lastgroup, token.group())
        for token in TOKEN.finditer(without_variables(expression))
        if token.lastgroup not in ("comment", "range")
    ]
    at = 0

    def names_until(close: str) -> list[tuple[str, str]]:
        """The tokens up to a bracket, which is passed."""
        nonlocal at
        inside = []
        while at < len(tokens) and tokens[at][1] != close:
            inside.append(tokens[at])
            at += 1
        at += 1
        return inside

    while at < len(tokens):
        kind, text = tokens[at]
        at += 1
        following = tokens[at][1] if at < len(tokens) else ""
        if kind != "name":
            continue
        if text in GROUPING:
            if following == "(":
                at += 1
                found.grouped |= {name for what, name in names_until(")") if what == "name"}
        elif text.lower() not in KEYWORDS and following != "(" and not is_aggregation(tokens, at):
            labels = found.selected.setdefault(text, set())
            if following == "{":
                at += 1
                labels |= {name for what, name in names_until("}") if what == "name"}
    return found


def is_aggregation(tokens: list[tuple[str, str]], at: int) -> bool:
    """Whether a name is that of an aggregation: `sum by (…) (…)`."""
    return at < len(tokens) and tokens[at][1] in ("by", "without")


def base(name: str) -> str:
    """A series' metric."""
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def panels(dashboard: dict) -> list[dict]:
    """All panels, those of closed rows too."""
    listed = dashboard.get("panels", [])
    return [inner for panel in listed for inner in (panel, *panel.get("panels", []))]


def expressions(file: Path) -> list[tuple[str, str]]:
    """The expressions of a file, each with where it stands."""
    if file.suffix == ".md":
        blocks = re.findall(r"^```promql\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL)
        # One a line.
        return [(f"{file.name}: {line}", line) for block in blocks for line in block.splitlines() if line.strip()]
    if file.suffix == ".json":
        dashboard = json.loads(file.read_text())
        listed = [
            (f"{file.name}: {panel.get('title')}", target["expr"])
            for panel in panels(dashboard)
            for target in panel.get("targets", [])
        ]
        for variable in dashboard.get("templating", {}).get("list", []):
            query = variable.get("query")
            query = query.get("query", "") if isinstance(query, dict) else query
            # label_values(metric, label)
            asked = re.fullmatch(r"label_values\((.*),\s*(\w+)\)", query or "")
            if variable.get("type") == "query" and asked:
                expression = f"count by ({asked.group(2)}) ({asked.group(1)})"
                listed.append((f"{file.name}: ${variable['name']}", expression))
        for note in dashboard.get("annotations", {}).get("list", []):
            listed.append((f"{file.name}: {note['name']}", note["expr"]))
        return listed
    rules = yaml.safe_load(file.read_text())
    return [
        (f"{file.name}: {rule.get('record') or rule.get('alert')}", str(rule["expr"]))
        for group in rules["groups"]
        for rule in group["rules"]
    ]


def metrics(files: list[Path]) -> set[str]:
    """Names of the metrics that the files use."""
    names = {name for file in files for _, text in expressions(file) for name in used(text).selected}
    return {base(name) for name in names if ":" not in name} - SYNTHETIC


def recorded(files: list[Path]) -> set[str]:
    """Names of the recording rules that the files use."""
    names = {name for file in files for _, text in expressions(file) for name in used(text).selected}
    return {name for name in names if ":" in name}


@dataclass
class Metric:
    """A metric of a scrape."""

    labels: set[str] = field(default_factory=set)
    # Whether there is a sample: without any, nothing is known of its labels.
    sampled: bool = False
    # Upper bounds of a histogram, without infinity.
    bounds: set[float] = field(default_factory=set)


SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+\S+")
LABEL = re.compile(r'(\w+)="((?:\\.|[^"\\])*)"')


def read_scrape(text: str, into: dict[str, Metric]) -> None:
    """Adds the metrics of a scrape in Prometheus' text format."""
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(maxsplit=3)
            # OpenMetrics names a counter without _total here.
            kinds[name] = kind
            into.setdefault(name, Metric())
        sample = None if line.startswith("#") else SAMPLE.match(line)
        if sample is None:
            continue
        name, labels = sample.group(1), dict(LABEL.findall(sample.group(2) or ""))
        if kinds.get(base(name)) in ("histogram", "summary"):
            name = base(name)
        metric = into.setdefault(name, Metric())
        metric.sampled = True
        if "le" in labels and labels["le"] != "+Inf":
            metric.bounds.add(float(labels["le"]))
        metric.labels |= labels.keys()


def compared(files: list[Path], scrape: dict[str, Metric]) -> list[str]:
    """What the files ask for and the scrape does not have."""
    wrong = []
    for file in files:
        for where, text in expressions(file):
            asked = used(text)
            known, complete = set(TARGET_LABELS), True
            for name, labels in asked.selected.items():
                if ":" in name or name in SYNTHETIC:
                    # Their labels are those of what they rest on.
                    complete = False
                    continue
                # A metric may end in _count without being a histogram.
                metric = scrape.get(base(name)) or scrape.get(name)
                if metric is None:
                    wrong.append(f"{where}: the scrape has no metric {base(name)}")
                    complete = False
                    continue
                known |= metric.labels
                complete &= metric.sampled
                for label in sorted(labels - metric.labels - TARGET_LABELS):
                    if metric.sampled:
                        wrong.append(f"{where}: {base(name)} has no label {label}")
            if complete:
                for label in sorted(asked.grouped - known):
                    wrong.append(f"{where}: no metric has a label {label}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--recorded", action="store_true", help="names of recording rules instead")
    parser.add_argument("--scrape", action="append", type=Path, default=[], help="a scrape to compare with")
    arguments = parser.parse_args()
    if not arguments.scrape:
        names = recorded(arguments.files) if arguments.recorded else metrics(arguments.files)
        print("\n".join(sorted(names)))
        return 0
    scrape: dict[str, Metric] = {}
    for file in arguments.scrape:
        read_scrape(file.read_text(), scrape)
    wrong = compared(arguments.files, scrape)
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
