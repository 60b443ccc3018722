"""Checks of what belongs to the chart: its files, plain manifests, documentation, custom resources, and the query of KEDA."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import helm_python
import kubernetes_validate
import yaml

import render
from checking.base import CUSTOM, KUBERNETES, Context, Release, cases, chart
from checking.network import files_arrive_unchanged
from checking.values import refused


@chart
def custom_resources_are_valid(context: Context):
    """Certificates, ScaledObject, TriggerAuthentication, monitors and rules fit the schemas of their operators, and have no unknown fields."""
    if context.node is None:
        context.notes.add("custom resources were not checked (no --node)")
        return
    custom = [d for case in cases(context) for d in Release(context, case, context.case(case)).documents if d["apiVersion"] in CUSTOM]
    kinds = {document["kind"] for document in custom}
    assert kinds == {"Certificate", "Issuer", "ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PodMonitor", "PrometheusRule"}, kinds
    script = Path(__file__).with_name("custom_resources.mjs")
    done = subprocess.run(["node", script, context.node], input=json.dumps(custom), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@chart
def files_are_not_templates(context: Context):
    """Braces in rules stay; rules that are none are refused; each dashboard becomes a ConfigMap."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Context(Path(folder), None, None, True)
        shutil.copytree(context.folder, copy.folder)
        rule = {"alert": "A", "expr": 'x{a="b"} > 0', "annotations": {"summary": "{{ $labels.tenant }} has {{ $value | humanize }}"}}
        (copy.folder / "files" / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": [rule]}]}))
        (copy.folder / "files" / "dashboards" / "More_Of_It.json").write_text('{"title": "{{ .Values }} {{instance}}", "panels": []}\n')
        files_arrive_unchanged(Release(copy, "large", context.case("large")))
        for broken in ("groups: [\n", "other: 1\n", ""):
            (copy.folder / "files" / "rules.yaml").write_text(broken)
            refused(copy, context.case("large"), "files/rules.yaml holds no groups of rules")


@chart
def plain_is_up_to_date(context: Context):
    """plain/ is what render.sh writes, complete for kubectl, and free of Helm and of secrets."""
    folder = context.root / "plain"
    expected = render.plain(context.root)
    found = {path.name: path.read_text() for path in folder.iterdir() if path.name != "README.md"}
    assert found == expected, f"run render.sh: {sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))}"
    listed = yaml.safe_load(found["kustomization.yaml"])["resources"]
    assert sorted(listed) == sorted(name for name in found if name != "kustomization.yaml")
    documents = [d for name in listed for d in yaml.safe_load_all(found[name])]
    text = "".join(found[name] for name in listed)
    assert "helm.sh/" not in text and "managed-by: Helm" not in text
    assert not [d for d in documents if d["kind"] in ("Secret", "Job", "Pod") or d["apiVersion"] in CUSTOM]
    for document in documents:
        for version in KUBERNETES:
            kubernetes_validate.validate(document, version, strict=True)
    rendered = Release(context, "small", context.case("small"))
    left = {(d["kind"], d["metadata"]["name"]) for d in rendered.documents} - {(d["kind"], d["metadata"]["name"]) for d in documents}
    assert {kind for kind, _ in left} == {"Job", "Pod"}, f"not in plain/: {left}"
    readme = (folder / "README.md").read_text()
    used = set(re.findall(r"(?:secretKeyRef: \{name: |secretRef: \{name: )([\w-]+)", text))
    for secret in used:
        assert f"create secret generic {secret} " in readme, f"plain/README.md does not tell of {secret}"
    if shutil.which("kubectl"):
        built = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        assert len([d for d in yaml.safe_load_all(built.stdout)]) == len(documents)
    else:
        context.notes.add("kubectl is not there: the kustomization was read, and not built")


@chart
def documentation_is_up_to_date(context: Context):
    """The README has all values with their defaults, and names every example; every value is explained."""
    values = (context.folder / "values.yaml").read_text()
    readme = (context.folder / "README.md").read_text()
    assert readme == render.with_table(readme, values), "run render.sh: the table of values in README.md"
    for case in cases(context):
        assert f"ci/{case}.yaml" in readme, f"README.md does not tell of ci/{case}.yaml"
    table = render.table(values)

    def walk(tree: dict, path: list[str]):
        for key, value in tree.items():
            here = ".".join([*path, key])
            explained = f"| `{here}` |" in table
            if isinstance(value, dict) and value and not explained:
                raise AssertionError(f"{here} has no comment")
            assert explained, f"{here} has no comment"
            if isinstance(value, dict) and value and re.search(rf"\| `{re.escape(here)}` \|  \|", table):
                if key not in ("podSecurityContext", "containerSecurityContext", "resources", "behavior"):
                    walk(value, [*path, key])

    walk(yaml.safe_load(values), [])


@chart
def nothing_private_is_inside(context: Context):
    """No path of a machine, no address of a private registry, no key stands in the files."""
    for path in [*context.folder.rglob("*"), *(context.root / "plain").rglob("*")]:
        if path.is_file():
            text = path.read_text()
            for pattern in (r"/(root|work|home/(?!sanitizer)\w+)/", r"BEGIN [A-Z ]*PRIVATE KEY", r"AKIA[0-9A-Z]{16}", r"dsk_[0-9A-Za-z]{8,}"):
                assert not re.search(pattern, text), f"{path.name}: {pattern}"
    with helm_python.Chart.load(context.folder) as loaded:
        assert loaded.metadata["apiVersion"] == "v2" and loaded.metadata["type"] == "application"
        assert loaded.values["scheduler"]["image"]["registry"] == "ghcr.io"


@chart
def the_queue_is_counted(context: Context):
    """KEDA's query, by the login of files/scaler.sql, on the migrations of the sources: it counts what waits and runs, and can do no more."""
    found = shutil.which("initdb") or next(iter(sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb")), reverse=True)), None)
    if context.quick:
        return
    if found is None:
        context.notes.add("no Postgres is installed: KEDA's query was not run")
        return
    programs = Path(found).resolve().parent if Path(found).resolve().name == "initdb" else Path(found).parent
    scaled = Release(context, "large", context.case("large")).of("ScaledObject")[0]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]
    with tempfile.TemporaryDirectory() as folder:
        owner = []
        if os.getuid() == 0:
            # Postgres does not run as root.
            shutil.chown(folder, "postgres")
            owner = ["runuser", "-u", "postgres", "--"]

        def run(program, *arguments, text=None):
            command = [*owner, str(programs / program), *arguments]
            return subprocess.run(command, input=text, capture_output=True, text=True, cwd=folder)

        def sql(login, text, *flags):
            return run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *flags, "-h", folder, "-U", login, "-d", "postgres", text=text)

        def must(done):
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        must(run("initdb", "-D", f"{folder}/data", "-U", "super", "--auth=trust", "--no-sync"))
        must(run("pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", f"-k {folder} -c listen_addresses='' -c fsync=off", "start"))
        try:
            must(sql("super", "CREATE ROLE app LOGIN CREATEROLE; GRANT ALL ON SCHEMA public TO app;"))
            for migration in sorted((context.sources / "scheduler/migrations/postgres").glob("*.sql")):
                must(sql("app", migration.read_text(), "-1"))
            must(sql("super", """
                INSERT INTO tenants (id, name, created_at) VALUES (gen_random_uuid(), 't', now());
                INSERT INTO datasets (id, tenant_id, name, created_at) SELECT gen_random_uuid(), id, 'd', now() FROM tenants;
                INSERT INTO jobs (id, tenant_id, dataset_id, dataset_name, spec, status, created_by, created_at, updated_at, not_before)
                SELECT gen_random_uuid(), d.tenant_id, d.id, 'd', '{}', status, 'x', now(), now(), now()
                FROM datasets d, unnest(ARRAY['pending', 'queued', 'queued', 'pass1_running', 'pass2_running', 'success', 'failed', 'cancelled']) AS status;"""))
            must(sql("super", "ALTER ROLE app SUPERUSER"))  # Stands for a login that may make roles without being asked.
            must(sql("app", (context.folder / "files" / "scaler.sql").read_text()))
            assert must(sql("sanitizer_scaler", query)) == str(4 * 8), "KEDA counts wrong"
            for forbidden in ("SELECT spec FROM jobs", "SELECT * FROM api_keys", "UPDATE jobs SET status = 'queued'", "DELETE FROM jobs",
                              "SET ROLE data_sanitizer_service"):
                assert "permission denied" in sql("sanitizer_scaler", forbidden).stderr, f"KEDA's login may: {forbidden}"
        finally:
            run("pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
