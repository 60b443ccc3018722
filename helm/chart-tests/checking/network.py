"""Checks of each release: who reaches whom, and who looks at what."""

import json

import yaml

from checking.base import BALLISTA, METRICS, Release, environment, release, selects


@release
def services_reach_ports(it: Release):
    """Each service selects the pods of one workload and points to a port that they have."""
    for service in it.of("Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        pods = [pod for pod in it.pods() if selects({"matchLabels": spec["selector"]}, pod[1]["labels"])]
        assert len(pods) == 1, f"{name} selects {len(pods)} workloads"
        offered = {port["name"] for container in pods[0][2]["containers"] for port in container["ports"]}
        for port in spec["ports"]:
            assert port["targetPort"] in offered, f"{name} points to {port['targetPort']}"


@release
def workloads_select_their_pods(it: Release):
    """Selectors match the pods of their workload alone, and hold nothing that a new version changes."""
    for document in it.of("Deployment", "StatefulSet"):
        selector = document["spec"]["selector"]
        matched = [pod for pod in it.pods() if selects(selector, pod[1]["labels"])]
        assert len(matched) == 1, f"{document['metadata']['name']} selects {len(matched)}"
        assert set(selector["matchLabels"]) == {f"app.kubernetes.io/{key}" for key in ("name", "instance", "component")}
        labels = document["spec"]["template"]["metadata"]["labels"]
        assert not {"helm.sh/chart", "app.kubernetes.io/version"} & labels.keys(), "a new chart alone would replace the pods"


@release
def cluster_ports_stay_inside(it: Release):
    """Ballista's ports and the metrics are offered by ClusterIP services only, and by no ingress."""
    inner = set()
    for service in it.of("Service"):
        ports = {port["port"] for port in service["spec"]["ports"]}
        if ports & (BALLISTA | {METRICS}):
            inner.add(service["metadata"]["name"])
            assert service["spec"].get("type", "ClusterIP") == "ClusterIP", f"{service['metadata']['name']} opens {ports}"
    for ingress in it.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                assert backend["name"] not in inner and backend["port"] == {"name": "http"}, "the ingress leads to members' ports"


def lets_in(it: Release, labels: dict, port: int, namespace: str, peer: dict) -> bool:
    """Whether the policies let a pod of that namespace (clean is the release's) and labels reach the port."""
    policies = [p for p in it.of("NetworkPolicy") if selects(p["spec"]["podSelector"], labels)]
    if not policies:
        return True
    for policy in policies:
        assert policy["spec"]["policyTypes"] == ["Ingress"]
        for rule in policy["spec"]["ingress"]:
            if "ports" in rule and port not in [entry["port"] for entry in rule["ports"]]:
                continue
            if not rule.get("from"):
                return True
            for source in rule["from"]:
                assert "ipBlock" not in source
                spaces = source.get("namespaceSelector")
                here = namespace == "clean" if spaces is None else selects(spaces, {"kubernetes.io/metadata.name": namespace})
                if here and selects(source.get("podSelector", {}), peer):
                    return True
    return False


@release
def network_is_closed(it: Release):
    """Members reach Ballista's ports, monitoring the metrics, the scheduler the database; nobody else does, from here or elsewhere."""
    if not it.values["networkPolicy"]["enabled"]:
        assert not it.of("NetworkPolicy")
        return
    members = {c: m["labels"] for c, m, _ in it.servers() if c in ("scheduler", "executor", "flight-sql")}
    tester = next(m["labels"] for c, m, _ in it.pods() if c == "test")
    stranger = {"app": "anything"}
    twin = {**members["executor"], "app.kubernetes.io/instance": "another"}
    counted = it.values["executor"]["keda"]["enabled"] and it.values["executor"]["keda"]["trigger"] == "postgresql"
    for component, metadata, spec in it.servers():
        for container in spec["containers"]:
            for port in (entry["containerPort"] for entry in container["ports"]):
                def may(namespace, peer):
                    return lets_in(it, metadata["labels"], port, namespace, peer)
                where = f"{component}:{port}"
                if port in BALLISTA:
                    for name, labels in members.items():
                        assert may("clean", labels), f"{name} does not reach {where}"
                    assert not may("clean", stranger), f"a stranger reaches {where}"
                    assert not may("clean", tester), f"the test reaches {where}"
                    assert not may("elsewhere", members["executor"]), f"another namespace reaches {where}"
                    assert not may("monitoring", stranger), f"monitoring reaches {where}"
                    assert not may("clean", twin), f"another release reaches {where}"
                elif port == METRICS:
                    assert may("monitoring", stranger), f"monitoring does not reach {where}"
                    assert not may("clean", stranger) and not may("clean", members["executor"]), f"others reach {where}"
                elif port == 5432:
                    assert may("clean", members["scheduler"]), "the scheduler does not reach the database"
                    assert not may("clean", members["executor"]) and not may("clean", stranger), f"others reach {where}"
                    assert may("keda", stranger) == counted, "KEDA reaches the database exactly when it counts there"
                else:
                    restricted = bool(it.values["networkPolicy"]["clients"])
                    assert may("clean", stranger) != restricted, f"clients of {where}"
                    if component == "scheduler":
                        assert may("clean", tester), "helm test does not reach the API"
                        if restricted:
                            assert may("ingress-nginx", stranger), "the ingress does not reach the API"


@release
def members_find_each_other(it: Release):
    """The scheduler's name is its members' service, which does not depend on readiness; executors are known by their address."""
    scheduler = it.workload("scheduler")["spec"]["template"]["spec"]
    host = environment(scheduler["containers"][0])["SANITIZER_SCHEDULER_EXTERNAL_HOST"]["value"]
    service = it.named("Service", host)
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert {"ip": "127.0.0.1", "hostnames": [host]} in scheduler["hostAliases"]
    executor = environment(it.workload("executor")["spec"]["template"]["spec"]["containers"][0])
    assert executor["SANITIZER_EXECUTOR_SCHEDULER"]["value"] == f"df://{host}:50050"
    assert executor["SANITIZER_EXECUTOR_EXTERNAL_HOST"]["valueFrom"] == {"fieldRef": {"fieldPath": "status.podIP"}}
    flight = it.workload("flight-sql")
    if flight is not None:
        variables = environment(flight["spec"]["template"]["spec"]["containers"][0])
        assert variables["SANITIZER_SERVE_CLUSTER"]["value"] == f"df://{host}:50050"
        assert variables["SANITIZER_API_ADDRESS"]["value"].startswith("127.0.0.1:"), "a second REST API is open"
        assert variables["SANITIZER_API_JOBS"]["value"] == "0"
        mounts = it.workload("executor")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        assert variables["SANITIZER_HOME"]["value"] in {mount["mountPath"] for mount in mounts}, "executors do not see the home of Flight SQL"


@release
def members_prove_who_they_are(it: Release):
    """All members have the same certificates, which are there or are made; without any, each is told that the network is closed."""
    tls, found = it.values["cluster"]["tls"], set()
    for component, prefix in (("scheduler", "SCHEDULER"), ("executor", "EXECUTOR"), ("flight-sql", None)):
        workload = it.workload(component)
        if workload is None:
            continue
        spec = workload["spec"]["template"]["spec"]
        variables = environment(spec["containers"][0])
        secured = {"SANITIZER_CLUSTER_CERT", "SANITIZER_CLUSTER_KEY", "SANITIZER_CLUSTER_CA"} <= variables.keys()
        assert secured == tls["enabled"], f"{component}: {sorted(variables)}"
        insecure = f"SANITIZER_{prefix}_INSECURE_CLUSTER_NETWORK"
        assert prefix is None or (insecure in variables) != secured, f"{component} would not start, or is open without need"
        if secured:
            assert variables["SANITIZER_CLUSTER_NAME"]["value"] == tls["name"], component
            secret = next(volume["secret"] for volume in spec["volumes"] if volume["name"] == "members")
            assert secret["defaultMode"] == 0o440, f"{component}: others read the key"
            found.add(secret["secretName"])
    if not tls["enabled"]:
        assert not it.of("Certificate", "Issuer")
        return
    made = [c["spec"] for c in it.of("Certificate") if c["spec"]["secretName"] in found]
    assert len(found) == 1 and (found == {tls["existingSecret"]} or len(made) == 1), f"members do not know each other: {found}"
    for spec in made:
        assert spec["dnsNames"] == [tls["name"]] and {"server auth", "client auth"} <= set(spec["usages"]), spec
        authority = it.named("Issuer", spec["issuerRef"]["name"])["spec"]["ca"]["secretName"]
        assert [c["spec"]["secretName"] for c in it.of("Certificate") if c["spec"].get("isCA")] == [authority], "the authority is another one's"


@release
def monitors_find_metrics(it: Release):
    """Every program that has metrics is looked at, once."""
    if not it.values["metrics"]["enabled"]:
        for component, _, spec in it.servers():
            variables = environment(spec["containers"][0])
            assert variables.get("SANITIZER_METRICS", {"value": "127."})["value"].startswith("127."), f"{component} offers metrics"
            assert METRICS not in [port["containerPort"] for port in spec["containers"][0]["ports"]]
        return
    if not it.values["metrics"]["monitors"]["enabled"]:
        assert not it.of("ServiceMonitor", "PodMonitor")
        return
    seen = []
    for monitor in it.of("ServiceMonitor"):
        for endpoint in monitor["spec"]["endpoints"]:
            for service in it.of("Service"):
                named = endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
                if named and selects(monitor["spec"]["selector"], service["metadata"]["labels"]):
                    seen += [c for c, m, _ in it.servers() if selects({"matchLabels": service["spec"]["selector"]}, m["labels"])]
    for monitor in it.of("PodMonitor"):
        for endpoint in monitor["spec"]["podMetricsEndpoints"]:
            for component, metadata, spec in it.servers():
                named = endpoint["port"] in [port["name"] for port in spec["containers"][0]["ports"]]
                if named and selects(monitor["spec"]["selector"], metadata["labels"]):
                    seen.append(component)
    there = [c for c, _, spec in it.servers() if METRICS in [port["containerPort"] for port in spec["containers"][0]["ports"]]]
    assert sorted(seen) == sorted(there), f"looked at: {seen}; offered by: {there}"


@release
def files_arrive_unchanged(it: Release):
    """Rules and dashboards are those of the files, to the letter."""
    folder = it.context.folder / "files"
    rules = it.of("PrometheusRule")
    assert len(rules) == int(it.values["metrics"]["rules"]["enabled"])
    for rule in rules:
        assert rule["spec"]["groups"] == yaml.safe_load((folder / "rules.yaml").read_text())["groups"]
    expected = {path.name: json.loads(path.read_text()) for path in (folder / "dashboards").glob("*.json")}
    found = {}
    for map_ in it.of("ConfigMap"):
        for name, text in map_["data"].items():
            assert len(text.encode()) < 2**20, f"{name} is too large for a ConfigMap"
            assert all(map_["metadata"]["labels"].get(k) == v for k, v in it.values["metrics"]["dashboards"]["labels"].items())
            found[name] = json.loads(text)
    assert found == (expected if it.values["metrics"]["dashboards"]["enabled"] else {}), "dashboards"
