"""Checks of each release: what the programs are told, and how many there are."""

import math
import re
from pathlib import Path

from checking.base import COMING, Release, bytes_of, environment, release, selects


@release
def memory_follows_the_limit(it: Release):
    """The engine's memory is the stated share of the container's limit; its threads are the cores that it was given."""
    roles = {
        "scheduler": ("scheduler", "SANITIZER_API_JOB_MEMORY", "SANITIZER_API_JOB_THREADS", "threads"),
        "executor": ("executor", "SANITIZER_EXECUTOR_MEMORY_LIMIT", "SANITIZER_EXECUTOR_SLOTS", "slots"),
        "flight-sql": ("flightSql", "SANITIZER_SERVE_MEMORY_LIMIT", "SANITIZER_SERVE_THREADS", "threads"),
    }
    for component, (role, memory, threads, override) in roles.items():
        workload = it.workload(component)
        if workload is None:
            continue
        values, container = it.values[role], workload["spec"]["template"]["spec"]["containers"][0]
        limit = bytes_of(container["resources"]["limits"]["memory"])
        expected = math.floor(limit * values["memoryPercent"] / 100 / 2**20)
        found = environment(container)[memory]["value"]
        assert found == f"{expected}MiB", f"{component}: {found}, not {expected}MiB of {limit}"
        cpu = values["resources"]["limits"].get("cpu") or values["resources"]["requests"]["cpu"]
        cores = float(str(cpu)[:-1]) / 1000 if str(cpu).endswith("m") else float(cpu)
        expected = values[override] or max(1, math.floor(cores))
        found = environment(container)[threads]["value"]
        assert found == str(expected), f"{component}: {threads} is {found}, not {expected}"


def variables_of_the_sources(sources: Path) -> set[str]:
    """All variables of the environment that the programs know."""
    structs = {
        "SANITIZER_API_": ("scheduler/daemon/src/api/settings.rs", "ApiSettings"),
        "SANITIZER_SERVE_": ("cli/src/serve/options.rs", "ServeOptions"),
        "SANITIZER_SCHEDULER_": ("scheduler/src/ballista/options.rs", "SchedulerOptions"),
        "SANITIZER_EXECUTOR_": ("executor/src/options.rs", "ExecutorOptions"),
    }
    rust = {path: path.read_text() for path in sources.rglob("*.rs") if not {"tests", "benchmarks", "target"} & set(path.relative_to(sources).parts)}
    known = set()
    for prefix, (file, struct) in structs.items():
        assert any(f'"{prefix}"' in text for text in rust.values()), f"{prefix} is read nowhere"
        body = re.search(rf"pub struct {struct} \{{(.*?)\n\}}", (sources / file).read_text(), re.S)[1]
        known |= {prefix + name.upper() for name in re.findall(r"^ +pub (\w+):", body, re.M)}
    for text in rust.values():
        known |= set(re.findall(r'"(SANITIZER_[A-Z_]*[A-Z])"', text))
    return known


def flags_of(rust: str) -> set[str]:
    """The long flags of structs of arguments: the name that is given, or the field's."""
    found = re.findall(r"#\[arg\((long(?:[^\]]|\](?!\n))*)\)\](?:\s+#\[serde[^\n]*\])?\s+(?:pub )?(\w+):", rust)
    given = [(re.search(r'long = "([^"]+)"', attributes), field) for attributes, field in found]
    return {name[1] if name else field.replace("_", "-") for name, field in given}


@release
def programs_know_what_they_get(it: Release):
    """Variables, flags, commands and paths are those of the sources."""
    sources = it.context.sources
    known = variables_of_the_sources(sources)
    text = {name: "".join((sources / file).read_text() for file in files) for name, files in {
        "sanitizer-scheduler": ["scheduler/daemon/src/arguments.rs", "scheduler/daemon/src/api/arguments.rs"],
        "sanitizer-executor": ["executor/daemon/src/arguments.rs"],
        "sanitizer": ["cli/src/serve/arguments.rs", "scheduler/daemon/src/api/arguments.rs"],
    }.items()}
    everything = "".join(path.read_text() for path in (sources / "cli" / "src").rglob("*.rs")) + (sources / "scheduler/src/rest/info.rs").read_text()

    def demand(name, there):
        if not there:
            assert name in COMING, f"{name} is not known to the programs"
            it.context.notes.add(name)

    for component, _, spec in it.pods():
        for container in spec["containers"]:
            names = [entry["name"] for entry in container.get("env", [])]
            assert len(names) == len(set(names)), f"{component}: a variable twice"
            for name in names:
                if name.startswith("SANITIZER_"):
                    demand(name, name in known)
            command = container.get("command", [None])
            if command[0] not in text:
                continue
            for argument in container.get("args", []):
                if argument.startswith("--"):
                    flag = argument.split("=")[0].removeprefix("--")
                    assert flag in flags_of(text[command[0]]), f"{component}: --{flag} is no argument of {command[0]}"
            for word in command[1:]:
                demand(word, re.search(rf"^    {word.capitalize()}\b", everything, re.M))
            if component == "scheduler":
                for kind in ("livenessProbe", "readinessProbe"):
                    path = container[kind]["httpGet"]["path"]
                    demand(path, f'path = "{path}"' in everything)


@release
def ends_are_long_enough(it: Release):
    """Pods get more time to end than the programs take for it; probes are no quicker than the programs' own patience."""
    sources = it.context.sources
    farewell = int(re.search(r"FAREWELL: Duration = Duration::from_secs\((\d+)\)", (sources / "scheduler/src/lifecycle/worker.rs").read_text())[1])
    grace = int(re.search(r"GRACE: Duration = Duration::from_secs\((\d+)\)", (sources / "scheduler/src/service/mod.rs").read_text())[1])
    scheduler = it.workload("scheduler")["spec"]["template"]["spec"]
    assert scheduler["terminationGracePeriodSeconds"] > farewell + grace, "the scheduler is killed before it gave its jobs back"
    executor = it.workload("executor")["spec"]["template"]["spec"]
    assert executor["terminationGracePeriodSeconds"] >= 120, "executors are killed before their tasks have ended"
    connect = int(re.search(r"connect_seconds: (\d+),", (sources / "executor/src/options.rs").read_text())[1])
    window = {kind: executor["containers"][0][kind]["periodSeconds"] * executor["containers"][0][kind]["failureThreshold"] for kind in ("startupProbe", "livenessProbe")}
    assert window["startupProbe"] > connect, "executors are killed while they wait for the scheduler"
    assert window["livenessProbe"] >= 240, "a scheduler that starts anew would take all executors along"


@release
def workers_have_the_keys(it: Release):
    """Salt, token key and the store's settings are the same for the scheduler and the executors."""
    def keys(component):
        container = it.workload(component)["spec"]["template"]["spec"]["containers"][0]
        shared = {n: e for n, e in environment(container).items() if n in ("SANITIZER_SALT", "SANITIZER_TOKEN_KEY") or n.startswith(("AWS_", "GOOGLE_", "AZURE_"))}
        return shared, [source for source in container.get("envFrom", []) if "secretRef" in source]

    assert keys("scheduler") == keys("executor"), "the executors lack keys of the scheduler"
    found = keys("executor")[0].keys()
    for value, name in (("salt", "SANITIZER_SALT"), ("tokenKey", "SANITIZER_TOKEN_KEY")):
        assert (name in found) == bool(it.values["secrets"][value]["existingSecret"]), name
    assert set(it.values["store"]["env"]) <= found


@release
def there_is_one_scheduler(it: Release):
    """The scheduler is one pod, and the old one is gone before the new one comes."""
    spec = it.workload("scheduler")["spec"]
    assert spec["replicas"] == 1 and spec["strategy"] == {"type": "Recreate"}


@release
def one_thing_scales(it: Release):
    """At most one scaler, of the executors; where there is one, the Deployment does not say how many."""
    scalers = it.of("HorizontalPodAutoscaler", "ScaledObject")
    assert len(scalers) <= 1
    executor = it.workload("executor")
    assert ("replicas" in executor["spec"]) == (not scalers), "the Deployment and a scaler both say how many"
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == ("Deployment", executor["metadata"]["name"])
    keda = it.values["executor"]["keda"]
    empty = keda["enabled"] and keda["minReplicas"] == 0
    variables = environment(it.workload("scheduler")["spec"]["template"]["spec"]["containers"][0])
    grace = int(variables["SANITIZER_SCHEDULER_NO_EXECUTORS_GRACE_SECONDS"]["value"])
    assert grace == (900 if empty else 120), "jobs must wait until the first executor of a cluster scaled to zero is there"
    for scaled in it.of("ScaledObject"):
        spec = scaled["spec"]
        assert spec["minReplicaCount"] == keda["minReplicas"] and spec["maxReplicaCount"] == keda["maxReplicas"]
        (trigger,) = spec["triggers"]
        asked = trigger["metadata"]["query"]
        assert all(status in asked for status in ("queued", "pass1_running", "pass2_running")), asked
        assert f"* {keda['executorsPerJob']}" in asked, asked
        if trigger["type"] == "postgresql":
            secret = it.named("TriggerAuthentication", trigger["authenticationRef"]["name"])["spec"]["secretTargetRef"]
            assert [entry["parameter"] for entry in secret] == ["password" if it.values["postgresql"]["enabled"] else "connection"]
            if it.values["postgresql"]["enabled"]:
                it.named("Service", trigger["metadata"]["host"].split(".")[0])
        else:
            assert "data_sanitizer_jobs{" in asked and trigger["metadata"]["ignoreNullValues"] == "false"


@release
def disruption_leaves_executors(it: Release):
    """A budget keeps nodes from being emptied of all executors at once, and never forbids it."""
    budgets = it.of("PodDisruptionBudget")
    assert len(budgets) == int(it.values["executor"]["podDisruptionBudget"]["enabled"])
    for budget in budgets:
        selected = [component for component, metadata, _ in it.pods() if selects(budget["spec"]["selector"], metadata["labels"])]
        assert selected == ["executor"] and budget["spec"]["maxUnavailable"] not in (0, "0%")


@release
def spread_counts_executors(it: Release):
    """Topology spread counts the executors of this release."""
    executor = it.workload("executor")["spec"]["template"]
    spread = executor["spec"].get("topologySpreadConstraints", [])
    assert len(spread) == len(it.values["executor"]["topologySpread"])
    for constraint in spread:
        assert selects(constraint["labelSelector"], executor["metadata"]["labels"])


@release
def migrations_come_first(it: Release):
    """The hook runs before everything, with nothing that the chart makes; with the bundled Postgres there is none."""
    jobs = it.of("Job")
    wanted = it.values["database"]["migrations"]["enabled"] and not it.values["postgresql"]["enabled"]
    assert len(jobs) == int(wanted), "the hook of migrations"
    for job in jobs:
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        spec = job["spec"]["template"]["spec"]
        made = {(d["kind"], d["metadata"]["name"]) for d in it.documents}
        assert ("ServiceAccount", spec["serviceAccountName"]) not in made, "the hook's account is not there yet"
        used = {e["valueFrom"]["secretKeyRef"]["name"] for c in spec["containers"] for e in c["env"] if "valueFrom" in e}
        assert not {("Secret", name) for name in used} & made, "the hook's secret is not there yet"
        arguments = spec["containers"][0]["args"]
        assert arguments[0] == "--database=$(SANITIZER_API_DATABASE)"
        assert ("--token-database=$(SANITIZER_API_TOKEN_DATABASE)" in arguments) == bool(it.values["database"]["tokenUrlKey"])
