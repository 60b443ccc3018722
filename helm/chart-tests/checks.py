"""Checks the chart: what it renders for each file of values, what it refuses, and what belongs to it. Nothing here needs a cluster.

Each check is a function of a file in `checking/`; its first line says what must be true.
"""

import argparse
import os
import sys
import traceback
from pathlib import Path

import render
from checking import engine, files, network, pods, values  # noqa: F401, each adds its checks
from checking.base import CHART, COMING, RELEASE, Context, Release, cases


def find_sources(root: Path) -> Path:
    """The root of the program's sources: around this folder, or where SANITIZER_SOURCES says."""
    said = os.environ.get("SANITIZER_SOURCES")
    candidates = [Path(said)] if said else [folder for parent in root.parents for folder in (parent, parent / "main")]
    for folder in candidates:
        if (folder / "cli/src/main.rs").exists():
            return folder
    raise SystemExit("checks.py: the sources of the programs are not found; set SANITIZER_SOURCES to their root")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=render.HERE, help="folder with the chart and plain/")
    parser.add_argument("--node", type=Path, help="folder with the packages of the custom resources' schemas")
    parser.add_argument("--quick", action="store_true", help="one version of Kubernetes, no Postgres")
    parser.add_argument("--only", metavar="NAME", help="one check")
    arguments = parser.parse_args()
    context = Context(arguments.root.resolve(), find_sources(render.HERE), arguments.node, arguments.quick)
    failures, done = [], 0

    def run(check, subject, where):
        nonlocal done
        if arguments.only not in (None, check.__name__):
            return
        done += 1
        try:
            check(subject)
        except Exception as error:  # A check that cannot be made is one that failed.
            short = str(error) if isinstance(error, AssertionError) and str(error) else "".join(traceback.format_exception(error)[-3:]).strip()
            failures.append(f"{check.__name__} ({where}): {short}")

    for case in cases(context):
        try:
            subject = Release(context, case, context.case(case))
        except Exception as error:
            failures.append(f"rendering ({case}): {error}")
            continue
        for check in RELEASE:
            run(check, subject, case)
    for check in CHART:
        run(check, context, "chart")
    coming = sorted(note for note in context.notes if note in COMING)
    if coming:
        print(f"not in the sources yet, taken as promised: {', '.join(coming)}")
    for note in sorted(context.notes - COMING):
        print(f"NOT CHECKED: {note}")
    for failure in failures:
        print(f"FAILED {failure}", file=sys.stderr)
    print(f"{done} checks of {len(cases(context))} files of values, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
