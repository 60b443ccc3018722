"""Checks of each release: pods, and what all resources have."""

import base64
import json
import re
from pathlib import Path

import helm_python
import kubernetes_validate

from checking.base import CUSTOM, KUBERNETES, Release, environment, release


@release
def kubernetes_takes_it(it: Release):
    """Every resource is valid, without unknown fields, for all supported versions."""
    for version in KUBERNETES[:1] if it.context.quick else KUBERNETES:
        for document in it.documents:
            if document["apiVersion"] not in CUSTOM:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    where = "/".join(str(step) for step in error.path)
                    raise AssertionError(f"{version}: {document['kind']} {document['metadata']['name']}: {where}: {error.message}") from None


@release
def lint_is_content(it: Release):
    """helm lint finds nothing that is worse than a hint."""
    values = it.context.case(it.case)
    for version in KUBERNETES[:1] if it.context.quick else KUBERNETES:
        report = helm_python.lint(it.context.folder, values, strict=True, kube_version=f"v{version}.0")
        found = [message for message in report["messages"] if message["severity"] >= 2]
        assert not found and not report["errors"], found or report["errors"]


@release
def pods_are_locked_down(it: Release):
    """No pod runs as root, writes to its root file system, has capabilities, or knows of the cluster."""
    for component, _, spec in it.pods():
        pod = spec["securityContext"]
        assert pod["runAsNonRoot"] is True, component
        assert pod["seccompProfile"] == {"type": "RuntimeDefault"}, component
        assert spec["automountServiceAccountToken"] is False, f"{component} mounts a token"
        assert spec["enableServiceLinks"] is False, f"{component} gets variables that the programs may refuse"
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys(), component
        assert not any("hostPath" in volume for volume in spec.get("volumes", [])), component
        for container in spec.get("initContainers", []) + spec["containers"]:
            security = container.get("securityContext")
            assert security, f"{component}/{container['name']} has no securityContext"
            assert security["allowPrivilegeEscalation"] is False, component
            assert security["readOnlyRootFilesystem"] is True, f"{component} writes to its root file system"
            assert security["capabilities"] == {"drop": ["ALL"]}, component
            assert "privileged" not in security, component


@release
def containers_have_limits(it: Release):
    """Each container asks for CPU and memory, and has a limit of memory."""
    for component, _, spec in it.pods():
        for container in spec["containers"]:
            resources = container.get("resources") or {}
            assert "memory" in resources.get("limits", {}), f"{component} has no limit of memory"
            assert {"cpu", "memory"} <= resources.get("requests", {}).keys(), f"{component} asks for nothing"


@release
def containers_have_probes(it: Release):
    """Whatever keeps running has all three probes, on its own ports and of the right kind."""
    for component, _, spec in it.servers():
        for container in spec["containers"]:
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert kind in container, f"{component} has no {kind}"
                probe = container[kind]
                asked = next(probe[way] for way in ("httpGet", "grpc", "tcpSocket", "exec") if way in probe)
                port = asked.get("port")
                assert port is None or port in ports or port in ports.values(), f"{component}: {kind} asks port {port}"
                if component == "executor":
                    way, ask = ("httpGet", {"path": "/readyz", "port": "metrics"}) if it.values["metrics"]["enabled"] else ("exec", {"command": ["http-ok", "SANITIZER_METRICS", "/readyz"]})
                    assert probe.get(way) == ask, f"{kind} of the executor: {probe}"
                if component == "scheduler":
                    tls = "HTTPS" if it.values["api"]["tls"]["existingSecret"] else "HTTP"
                    path = it.values["api"]["readinessPath" if kind == "readinessProbe" else "livenessPath"]
                    assert probe["httpGet"] == {"path": path, "port": "http", "scheme": tls}, f"{kind} of the scheduler: {probe}"


@release
def secrets_stay_secret(it: Release):
    """Secret values come from secrets; none stands in a variable, an argument or a ConfigMap."""
    for component, _, spec in it.pods():
        for container in spec["containers"]:
            for entry in container.get("env", []):
                telling = re.search(r"KEY|SECRET|PASSWORD|TOKEN|SALT|DATABASE", entry["name"])
                if not telling or entry["name"].endswith(("TLS_KEY", "CLUSTER_KEY")):
                    continue
                value = entry.get("value")
                inner = value is not None and re.fullmatch(r"postgres://\w+:\$\(POSTGRES_PASSWORD\)@[\w.-]+:5432/\w+", value)
                assert "secretKeyRef" in entry.get("valueFrom", {}) or inner, f"{component}: {entry['name']} stands in the clear"
            for argument in container.get("args", []) + container.get("command", []):
                assert not re.search(r"://[^/\s]*:[^$/\s][^/\s]*@", argument), f"{component}: {argument}"
    hidden = [base64.b64decode(value).decode() for secret in it.of("Secret") for value in secret["data"].values()]
    others = json.dumps([document for document in it.documents if document["kind"] != "Secret"]) + it.rendered["NOTES.txt"]
    for value in hidden:
        assert len(value) >= 16 and value not in others, "a secret's value stands elsewhere"


@release
def volumes_fit(it: Release):
    """Mounts have volumes, volumes have mounts, claims and accounts are there, and the programs write only where they may."""
    claims = {claim["metadata"]["name"] for claim in it.of("PersistentVolumeClaim")}
    claims |= {it.values["store"]["volume"]["existingClaim"], it.values["flightSql"]["home"]["existingClaim"]}
    accounts = {account["metadata"]["name"] for account in it.of("ServiceAccount")}
    if not it.values["serviceAccount"]["create"]:
        accounts |= {it.values["serviceAccount"]["name"] or "default"}
    for component, _, spec in it.pods():
        volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
        if component == "postgresql" and it.values["postgresql"]["persistence"]["enabled"]:
            volumes["data"] = {}
        mounts = [mount for container in spec["containers"] for mount in container.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == set(volumes), f"{component}: mounts and volumes"
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims, f"{component}: {volume}"
            if "emptyDir" in volume:
                assert "sizeLimit" in volume["emptyDir"], f"{component}: an emptyDir that may fill the node"
        if "serviceAccountName" in spec and component != "migrate":
            assert spec["serviceAccountName"] in accounts, f"{component}: {spec['serviceAccountName']}"
        variables = environment(spec["containers"][0])
        writable = [mount["mountPath"] for mount in mounts if not mount.get("readOnly")]
        for name in ("TMPDIR", "SANITIZER_EXECUTOR_WORK_DIR", "SANITIZER_HOME", "PGDATA"):
            if name in variables:
                path = Path(variables[name]["value"])
                assert any(path.is_relative_to(mount) for mount in writable), f"{component}: {name} is not writable"
        if component in ("scheduler", "executor", "flight-sql"):
            assert "TMPDIR" in variables, component
        for name, entry in variables.items():
            if re.fullmatch(r"SANITIZER_\w+_TLS_(CERT|KEY)", name):
                assert any(Path(entry["value"]).is_relative_to(mount["mountPath"]) for mount in mounts if mount["name"] == "tls"), name
            if re.fullmatch(r"SANITIZER_CLUSTER_(CERT|KEY|CA)", name):
                assert any(Path(entry["value"]).is_relative_to(mount["mountPath"]) for mount in mounts if mount["name"] == "members"), name
    store = environment(it.workload("scheduler")["spec"]["template"]["spec"]["containers"][0])["SANITIZER_API_STORE"]["value"]
    for component in ("scheduler", "executor"):
        mounted = {mount["mountPath"] for mount in it.workload(component)["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
        assert (store in mounted) == store.startswith("/"), f"{component} does not see the store"


@release
def images_are_pinned(it: Release):
    """Images have a digest, or a tag that is not latest; our own have that of the application's version when nothing else is said."""
    with helm_python.Chart.load(it.context.folder) as loaded:
        version = loaded.metadata["appVersion"]
    roles = {"scheduler": it.values["scheduler"], "executor": it.values["executor"], "flight-sql": it.values["flightSql"], "test": it.values["tests"],
             "postgresql": it.values["postgresql"], "migrate": it.values["database"]["migrations"]}
    for component, _, spec in it.pods():
        said = roles[component]["image"]
        name = f"{said['registry']}/{said['repository']}"
        expected = f"{name}@{said['digest']}" if said["digest"] else f"{name}:{said['tag'] or version}"
        for container in spec["containers"]:
            assert container["image"] == expected, f"{component}: {container['image']}, not {expected}"
            assert not container["image"].endswith(":latest"), component
        assert spec.get("imagePullSecrets", []) == it.values["imagePullSecrets"], component


@release
def names_fit(it: Release):
    """Names are unique, short enough, and no resource names a namespace of its own."""
    seen = set()
    for document in it.documents:
        key = (document["kind"], document["metadata"]["name"])
        assert key not in seen, f"twice: {key}"
        seen.add(key)
        assert len(key[1]) <= 63, f"too long: {key}"
        assert "namespace" not in document["metadata"], f"{key} names a namespace"
        for name, value in document["metadata"]["labels"].items():
            assert len(value) <= 63, f"label {name} of {key}"


@release
def notes_help(it: Release):
    """The notes say how to get the first key and how to send a table, over the right scheme."""
    notes = it.rendered["NOTES.txt"]
    scheme = "https" if it.values["api"]["tls"]["existingSecret"] else "http"
    assert f"logs deployment/{it.workload('scheduler')['metadata']['name']} | grep -o 'dsk_" in notes
    assert f"{scheme}://127.0.0.1:8080/api/v1/datasets/default/ingest -F file=@" in notes
    test = next(spec for component, _, spec in it.pods() if component == "test")
    assert test["containers"][0]["args"][-1].startswith(f"{scheme}://") and test["containers"][0]["args"][-1].endswith(it.values["api"]["readinessPath"])


@release
def settings_take_effect(it: Release):
    """What a pod may be told is what it is told."""
    for role, component in (("scheduler", "scheduler"), ("executor", "executor"), ("flightSql", "flight-sql")):
        workload, said = it.workload(component), it.values[role]
        if workload is None:
            continue
        template = workload["spec"]["template"]
        spec, container = template["spec"], template["spec"]["containers"][0]
        for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
            assert (spec.get(key) or None) == (said[key] or None), f"{component}: {key}"
        assert spec["terminationGracePeriodSeconds"] == said["terminationGracePeriodSeconds"]
        assert said["podLabels"].items() <= template["metadata"]["labels"].items(), f"{component}: podLabels"
        assert said["podAnnotations"].items() <= template["metadata"]["annotations"].items(), f"{component}: podAnnotations"
        for key, there in (("extraEnv", container["env"]), ("extraEnvFrom", container.get("envFrom", [])), ("extraVolumes", spec["volumes"]),
                           ("extraVolumeMounts", container["volumeMounts"]), ("extraArgs", container.get("args", []))):
            assert all(entry in there for entry in said[key]), f"{component}: {key}"
        variables = environment(container)
        assert variables["SANITIZER_LOG"]["value"] == it.values["log"]["level"] and variables["SANITIZER_LOG_FORMAT"]["value"] == it.values["log"]["format"]
        endpoint = it.values["tracing"]["otlpEndpoint"]
        assert variables.get("OTEL_EXPORTER_OTLP_ENDPOINT", {"value": ""})["value"] == endpoint
        assert variables.get("OTEL_SERVICE_NAME", {"value": ""})["value"] == (f"data-sanitizer-{component}" if endpoint else "")
        scratch = next(volume for volume in spec["volumes"] if volume["name"] == "scratch")
        assert ("ephemeral" in scratch) == bool(said["scratch"]["storageClass"]), f"{component}: scratch"
    for document in it.documents:
        assert it.values["commonLabels"].items() <= document["metadata"]["labels"].items(), f"{document['kind']}: commonLabels"
    for account in it.of("ServiceAccount"):
        assert account["metadata"].get("annotations", {}) == it.values["serviceAccount"]["annotations"]
        assert account["automountServiceAccountToken"] is False
