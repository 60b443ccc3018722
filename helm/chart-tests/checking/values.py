"""Checks of what the chart makes of values, and which it refuses."""

import base64
import http.server
import json
import re
import threading

import helm_python
import yaml

import render
from checking.base import Context, Release, chart, environment
from checking.network import members_find_each_other, network_is_closed, services_reach_ports
from checking.pods import kubernetes_takes_it, names_fit


def refused(context: Context, values: dict, message: str):
    try:
        render.render(context.folder, values)
    except helm_python.HelmError as error:
        assert message in str(error), f"refused for another reason: {error}"
    else:
        raise AssertionError(f"accepted, in place of: {message}")


def over(values: dict, path: str, value) -> dict:
    """A copy of the values with one of them replaced."""
    head, _, rest = path.partition(".")
    copy = dict(values)
    copy[head] = over(copy.get(head) or {}, rest, value) if rest else value
    return copy


@chart
def contradictions_are_refused(context: Context):
    """Values that cannot be meant are refused, with a message that says why."""
    small, keda = context.case("small"), context.case("keda-prometheus")
    one = context.case("one-node")
    flight = context.case("flight-sql")
    for values, message in [
        (over(small, "executor.keda", {"enabled": True, "postgresql": {"existingSecret": "x"}}), "executor.autoscaling and executor.keda are both enabled"),
        (over(small, "database", {}), "no database: set database.existingSecret"),
        (over(small, "postgresql.enabled", True), "database.existingSecret and postgresql.enabled are both set"),
        (over(small, "store", {}), "no store: set store.url"),
        (over(small, "cluster", {}), "no certificates for the members of the cluster"),
        (over(small, "cluster.tls.certManager", {"enabled": True}), "cluster.tls.existingSecret and cluster.tls.certManager.enabled are both set"),
        (over(small, "cluster.tls.name", "https://x"), "at '/cluster/tls/name'"),
        (over(small, "store.volume.enabled", True), "store.url and store.volume.enabled are both set"),
        (over(small, "store.url", "/data"), "at '/store/url'"),
        (over(small, "store.env.AWS_SECRET_ACCESS_KEY", "hunter2"), "AWS_SECRET_ACCESS_KEY"),
        (over(small, "store.env.PATH", "/"), "PATH"),
        (over(keda, "executor.keda.trigger", "postgresql"), "executor.keda.postgresql.existingSecret must name a secret"),
        (over(keda, "executor.keda.prometheus", {}), "executor.keda.prometheus.serverAddress must be set"),
        (over(keda, "executor.keda.trigger", "cron"), "at '/executor/keda/trigger'"),
        (over(keda, "metrics.enabled", False), "the prometheus trigger of executor.keda needs metrics.enabled"),
        (over(keda, "executor.keda.minReplicas", 11), "executor.keda.minReplicas is more than maxReplicas"),
        (over(small, "executor.autoscaling.minReplicas", 5), "executor.autoscaling.minReplicas is more than maxReplicas"),
        (over(small, "executor.resources", {"requests": {"cpu": None}, "limits": {"memory": "4Gi"}}), "executor.autoscaling needs executor.resources.requests.cpu"),
        (over(flight, "flightSql.allow", []), "flightSql.allow must name what statements may read"),
        (over(flight, "metrics.enabled", False), "metrics.monitors and metrics.rules need metrics.enabled"),
        (over(small, "api.jwt.jwksUrl", "https://a/keys"), "api.jwt.issuer must be set"),
        (over(small, "api.jwt", {"jwksUrl": "https://a/keys", "issuer": "a"}), "api.jwt.audience must be set"),
        (over(one, "executor.resources.limits.memory", None), "/executor/resources/limits"),
        (over(one, "executor.resources.limits.memory", "4GB"), "at '/executor/resources/limits/memory'"),
        (over(one, "executor.resources.limits.memory", "64Mi"), "less than 64 MiB"),
        (over(one, "executor.memoryPercent", 100), "at '/executor/memoryPercent'"),
        (over(one, "podSecurityContext.runAsNonRoot", False), "at '/podSecurityContext/runAsNonRoot'"),
        (over(one, "podSecurityContext.runAsUser", 0), "at '/podSecurityContext/runAsUser'"),
        (over(one, "containerSecurityContext.privileged", True), "at '/containerSecurityContext/privileged'"),
        (over(one, "networkPolicy.monitoring", []), "at '/networkPolicy/monitoring'"),
        (over(one, "scheduler.replicas", 2), "additional properties 'replicas' not allowed"),
        (over(one, "scheduler.extraEnv", [{"name": "SANITIZER_API_KEY", "value": "x"}]), "at '/scheduler/extraEnv/0/name'"),
        (over(one, "scheduler.terminationGracePeriodSeconds", 10), "at '/scheduler/terminationGracePeriodSeconds'"),
        (over(one, "executor.podDisruptionBudget.maxUnavailable", 0), "at '/executor/podDisruptionBudget/maxUnavailable'"),
        (over(one, "service.type", "ExternalName"), "at '/service/type'"),
        (over(one, "log.format", "xml"), "at '/log/format'"),
        (over(one, "scheduler.image.digest", "latest"), "at '/scheduler/image/digest'"),
    ]:
        refused(context, values, message)


@chart
def unknown_values_are_refused(context: Context):
    """A key that does not exist is refused at every level, except below those that are handed on as they are."""
    handed_on = {"commonLabels", "env", "annotations", "labels", "nodeSelector", "affinity", "behavior", "podAnnotations", "podLabels",
                 "podSecurityContext", "containerSecurityContext"}
    one = context.case("one-node")

    def walk(values: dict, path: list[str]):
        refused(context, over(one, ".".join([*path, "unknownKey"]), 1), "additional properties 'unknownKey' not allowed")
        for key, value in values.items():
            if isinstance(value, dict) and key not in handed_on:
                if key == "requests" or key == "limits":
                    continue
                walk(value, [*path, key])

    walk(yaml.safe_load((context.folder / "values.yaml").read_text()), [])


@chart
def memory_takes_all_notations(context: Context):
    """Quantities of Kubernetes, as text or as number, become MiB."""
    one = context.case("one-node")
    for limit, percent, expected in [
        ("4Gi", 75, "3072MiB"), ("4Gi", 50, "2048MiB"), ("512Mi", 50, "256MiB"), ("1.5Gi", 75, "1152MiB"), (4294967296, 75, "3072MiB"),
        ("4294967296", 75, "3072MiB"), (2**40, 50, "524288MiB"), ("2G", 75, "1430MiB"), ("1500M", 75, "1072MiB"), ("2097152Ki", 75, "1536MiB"),
        ("1Ti", 90, "943718MiB"), ("4000000k", 75, "2861MiB"),
    ]:
        values = over(over(one, "executor.memoryPercent", percent), "executor.resources.limits.memory", limit)
        it = Release(context, "one-node", values)
        found = environment(it.workload("executor")["spec"]["template"]["spec"]["containers"][0])["SANITIZER_EXECUTOR_MEMORY_LIMIT"]["value"]
        assert found == expected, f"{percent}% of {limit!r}: {found}, not {expected}"
    for cpu, expected in [("500m", "1"), ("2500m", "2"), ("4", "4"), (3, "3"), (1.5, "1"), ("0.5", "1")]:
        it = Release(context, "one-node", over(one, "executor.resources.requests.cpu", cpu))
        found = environment(it.workload("executor")["spec"]["template"]["spec"]["containers"][0])["SANITIZER_EXECUTOR_SLOTS"]["value"]
        assert found == expected, f"{cpu!r}: {found} slots, not {expected}"


@chart
def long_names_work(context: Context):
    """A release with the longest name that Helm allows is valid, and two of them do not meet."""
    values = context.case("large")
    it = Release(context, "large", values, name="r" * 53)
    for check in (kubernetes_takes_it, names_fit, services_reach_ports, network_is_closed, members_find_each_other):
        check(it)
    first, second = (Release(context, "large", values, name=name) for name in ("one", "two"))
    both = {(d["kind"], d["metadata"]["name"]) for d in first.documents} & {(d["kind"], d["metadata"]["name"]) for d in second.documents}
    assert not both, both


@chart
def passwords_are_kept(context: Context):
    """An upgrade keeps the password that the cluster has; without one, each is random and long. (A stand-in answers for the cluster.)"""
    name = f"{render.NAME}-postgresql"
    known = base64.b64encode(b"the first password").decode()
    answers = {
        "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": [
            {"name": "secrets", "singularName": "", "namespaced": True, "kind": "Secret", "verbs": ["get"]}]},
        f"/api/v1/namespaces/clean/secrets/{name}": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": {"password": known}},
    }

    class Stand(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = answers.get(self.path.split("?")[0])
            text = json.dumps(answer or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stand)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        kubeconfig = {"apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
                      "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                      "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}

        def password(namespace: str) -> str:
            with helm_python.Config(kubeconfig_content=yaml.safe_dump(kubeconfig), namespace=namespace) as config, helm_python.Chart.load(context.folder) as loaded:
                text = config.render(loaded, context.case("one-node"), name=render.NAME, namespace=namespace, is_upgrade=True)
            return yaml.safe_load(text[f"{render.NAME}/templates/postgresql/secret.yaml"])["data"]["password"]

        assert password("clean") == known, "an upgrade changes the password"
        fresh = {base64.b64decode(password("elsewhere")).decode() for _ in range(3)}
        assert len(fresh) == 3 and all(re.fullmatch(r"[A-Za-z0-9]{32}", value) for value in fresh), "passwords are weak, or break a URL"
    finally:
        server.shutdown()
