#!/usr/bin/env python3
"""What must hold between rules, their tests, dashboards and the runbook; promtool sees each of them alone.

    observe.py [--queries FILE] [SCRAPE...]

Prints what is wrong and ends with 1 where something is. With --queries, the queries of dashboards and runbook are written to
FILE as recording rules, so that promtool reads them. With scrapes, metrics, labels and buckets must be there.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import yaml

from metric_names import Metric, compared, expressions, panels, read_scrape, recorded, without_variables

HERE = Path(__file__).resolve().parent
CHART = HERE.parent / "data-sanitizer"
RULES = CHART / "files" / "rules.yaml"
TESTS = HERE / "rules_test.yaml"
RUNBOOK = HERE.parents[1] / "docs" / "runbook.md"
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))

SEVERITIES = {"page", "critical", "warning"}
# The constant that a histogram is compared with: above its last bound, a quantile cannot tell.
OBJECTIVES = {
    "data_sanitizer_job_wait_seconds": "data_sanitizer:job_latency_objective_seconds",
    "data_sanitizer_job_duration_seconds": "data_sanitizer:job_latency_objective_seconds",
    "data_sanitizer_api_request_duration_seconds": "data_sanitizer:status_call_objective_seconds",
}


def anchor(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def all_rules() -> list[dict]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def check_alerts(alerts: list[dict]) -> list[str]:
    wrong = []
    base = re.search(r"^# runbook-base: (\S+)$", RULES.read_text(), re.MULTILINE)
    if base is None:
        return [f"{RULES.name} does not say where the runbook is (# runbook-base: ADDRESS)"]
    names = [alert["alert"] for alert in alerts]
    wrong += [f"there are two alerts {name}" for name in sorted({n for n in names if names.count(n) > 1})]
    for alert in alerts:
        name = alert["alert"]
        labels, notes = alert.get("labels", {}), alert.get("annotations", {})
        if labels.get("severity") not in SEVERITIES:
            wrong.append(f"{name} has no severity of {', '.join(sorted(SEVERITIES))}")
        if labels.get("service") != "data-sanitizer":
            wrong.append(f"{name} has no label service")
        if not notes.get("summary"):
            wrong.append(f"{name} has no summary")
        # An alert that only says that something is not there has no value worth telling.
        told = "absent(" in alert["expr"] or "min(" in alert["expr"] or "_up == 0" in alert["expr"]
        if not told and "{{ $value" not in notes.get("description", "") and "$labels" not in notes.get("description", ""):
            wrong.append(f"the description of {name} tells no value")
        if not notes.get("description"):
            wrong.append(f"{name} has no description")
        url = f"{base.group(1)}#{anchor(name)}"
        if notes.get("runbook_url") != url:
            wrong.append(f"the runbook_url of {name} is not {url}")
    return wrong


def check_runbook(alerts: list[dict]) -> list[str]:
    names = {alert["alert"] for alert in alerts}
    text = RUNBOOK.read_text()
    # What stands between fences is no heading.
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6} (.+)$", prose, re.MULTILINE)
    wrong = [f"runbook: no section {name}" for name in sorted(names - set(headings))]
    # Alerts are the headings of the third level.
    sections = re.findall(r"^### (\w+)$", prose, re.MULTILINE)
    wrong += [f"runbook: a section {name} without an alert" for name in sections if name not in names]
    anchors = {anchor(heading) for heading in headings}
    for target in re.findall(r"\]\(#([^)]+)\)", prose):
        if target not in anchors:
            wrong.append(f"runbook: a link to #{target}, which is not there")
    return wrong


def check_tests(rules: list[dict]) -> list[str]:
    fires, silent, computed = set(), set(), set()
    for test in yaml.safe_load(TESTS.read_text())["tests"]:
        for case in test.get("alert_rule_test", []):
            (fires if case.get("exp_alerts") else silent).add(case["alertname"])
        for case in test.get("promql_expr_test", []):
            if case.get("exp_samples"):
                computed |= set(re.findall(r"data_sanitizer:[\w:]+", case["expr"]))
    wrong = []
    for rule in rules:
        alert, record = rule.get("alert"), rule.get("record")
        if alert and alert not in fires:
            wrong.append(f"{TESTS.name}: {alert} never fires")
        if alert and alert not in silent:
            wrong.append(f"{TESTS.name}: {alert} is never silent")
        if record and record not in computed:
            wrong.append(f"{TESTS.name}: {record} is never computed")
    known = {rule.get("alert") for rule in rules}
    wrong += [f"{TESTS.name}: there is no alert {name}" for name in sorted((fires | silent) - known)]
    return wrong


def check_recorded(rules: list[dict]) -> list[str]:
    made = {rule["record"] for rule in rules if "record" in rule}
    asked = recorded([RULES, *DASHBOARDS, RUNBOOK])
    wrong = [f"{name} is used and no rule makes it" for name in sorted(asked - made)]
    return wrong + [f"{name} is made and nobody uses it" for name in sorted(made - asked)]


def check_dashboard(file: Path) -> list[str]:
    dashboard = json.loads(file.read_text())
    wrong, ids, taken = [], set(), {}
    if not dashboard.get("uid") or dashboard.get("schemaVersion", 0) < 39 or dashboard.get("timezone") != "browser":
        wrong.append("uid, schemaVersion or timezone")
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel in panels(dashboard):
        title, at = panel.get("title"), panel["gridPos"]
        if panel["id"] in ids:
            wrong.append(f"{title}: the id {panel['id']} is another panel's too")
        ids.add(panel["id"])
        if at["x"] + at["w"] > 24:
            wrong.append(f"{title}: wider than the page")
        for cell in ((x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])):
            if taken.setdefault(cell, title) != title:
                wrong.append(f"{title}: lies over {taken[cell]}")
                break
        if panel["type"] == "row":
            continue
        if not panel.get("description"):
            wrong.append(f"{title}: no description")
        if not panel["fieldConfig"]["defaults"].get("unit"):
            wrong.append(f"{title}: no unit")
        if not panel.get("targets"):
            wrong.append(f"{title}: no query")
    text = file.read_text()
    # A datasource by its own name exists in one Grafana only.
    wrong += [f"a datasource {uid}" for uid in set(re.findall(r'"uid": "([^"]+)"', text)) - {"${datasource}", dashboard["uid"]}]
    for name in {found for _, query in expressions(file) for found in re.findall(r"\$\{?(\w+)", query)}:
        if not name.startswith("__") and name not in variables:
            wrong.append(f"there is no variable {name}")
    return [f"{file.name}: {what}" for what in wrong]


def queries() -> str:
    """The queries of all dashboards and of the runbook as recording rules."""
    asked = [found for file in [*DASHBOARDS, RUNBOOK] for found in expressions(file)]
    rules = [
        {"record": f"query:{number}", "expr": without_variables(query), "labels": {"at": where}}
        for number, (where, query) in enumerate(asked)
    ]
    return yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}, width=1000)


def check_bounds(rules: list[dict], scrape: dict[str, Metric]) -> list[str]:
    constants = {rule["record"]: rule["expr"] for rule in rules if "record" in rule}
    wrong = []
    for name, constant in OBJECTIVES.items():
        objective = float(re.fullmatch(r"vector\((.+)\)", constants[constant]).group(1))
        bounds = scrape.get(name, Metric()).bounds
        if bounds and max(bounds) <= objective:
            wrong.append(f"{name} ends at {max(bounds):g} s and can never exceed {constant}, {objective:g} s")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--queries", type=Path, metavar="FILE")
    parser.add_argument("scrapes", nargs="*", type=Path, metavar="SCRAPE")
    arguments = parser.parse_args()
    rules = all_rules()
    alerts = [rule for rule in rules if "alert" in rule]
    wrong = check_alerts(alerts) + check_runbook(alerts) + check_tests(rules) + check_recorded(rules)
    for file in DASHBOARDS:
        wrong += check_dashboard(file)
    if not DASHBOARDS:
        wrong.append("there are no dashboards")
    if arguments.queries:
        arguments.queries.write_text(queries())
    if arguments.scrapes:
        scrape: dict[str, Metric] = {}
        for file in arguments.scrapes:
            read_scrape(file.read_text(), scrape)
        wrong += compared([RULES, *DASHBOARDS, RUNBOOK], scrape) + check_bounds(rules, scrape)
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
