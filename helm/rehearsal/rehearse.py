"""A production of one machine: starts everything, submits jobs, and checks what is told of them.

    rehearse.py FOLDER       SANITIZER_BIN names the program; what the processes say and what was scraped goes to FOLDER
"""

import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from concurrent import futures
from pathlib import Path

import adbc_driver_flightsql.dbapi as flight
import boto3
import grpc
import requests
import yaml
from moto.server import ThreadedMotoServer
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "monitoring"))
from metric_names import panels, without_variables  # noqa: E402

PROGRAM = os.environ["SANITIZER_BIN"]
CHART = HERE.parent / "data-sanitizer"
PATIENCE = 240
# Of people in the data, and secrets: none of them may be told by a process.
MAIL = "somebody.special@example.org"
SALT, TOKEN_KEY, STORE_SECRET = "salt-of-the-rehearsal", "token-key-of-the-rehearsal", "store-secret-of-the-rehearsal"

# Panels for which a short run has nothing to show, and why.
NOTHING_TO_SHOW = {
    "slo: Jobs that succeed, 30 days": "rests on days of recorded ratios",
    "slo: Error budget left": "rests on days of recorded ratios",
    "slo: Alerts that fire": "none does",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what: str, there, seconds: float = PATIENCE):
    end = time.monotonic() + seconds
    while not (found := there()):
        assert time.monotonic() < end, f"{what} did not come about"
        time.sleep(0.2)
    return found


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes traces, as an OpenTelemetry collector does (OTLP over gRPC), and keeps their spans."""

    def __init__(self) -> None:
        self.spans: list[dict] = []
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def Export(self, request, context):
        for resource in request.resource_spans:
            service = {attribute.key: attribute.value.string_value for attribute in resource.resource.attributes}["service.name"]
            for scope in resource.scope_spans:
                for span in scope.spans:
                    attributes = {a.key: a.value.string_value or a.value.int_value for a in span.attributes}
                    self.spans.append(
                        {
                            "service": service,
                            "name": span.name,
                            "trace": span.trace_id.hex(),
                            "id": span.span_id.hex(),
                            "parent": span.parent_span_id.hex(),
                            "attributes": attributes,
                        }
                    )
        return trace_service_pb2.ExportTraceServiceResponse()

    def of(self, trace: str) -> list[dict]:
        return [span for span in self.spans if span["trace"] == trace]


class Processes:
    """The processes of the rehearsal, each with a log of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = {**os.environ, **environment}
        self.running: list[subprocess.Popen] = []

    def start(self, name: str, command: list[str], **environment: str) -> Path:
        says = self.folder / f"{name}.out"
        with says.open("wb") as out, (self.folder / f"{name}.log").open("wb") as log:
            variables = {**self.environment, "OTEL_SERVICE_NAME": name, **environment}
            self.running.append(subprocess.Popen(command, stdout=out, stderr=log, env=variables, cwd=self.folder))
        return says

    def told(self, says: Path, begins: str) -> str:
        """The rest of the line that a process says when it is ready."""

        def line():
            return next((line[len(begins) :].strip() for line in says.read_text().splitlines() if line.startswith(begins)), None)

        log = says.with_suffix(".log")
        try:
            return wait_for(f"{begins!r} of {says.stem}", line)
        except AssertionError as error:
            raise AssertionError(f"{error}: {log.read_text()[-2000:]}") from None

    def end(self) -> None:
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def certificates(folder: Path) -> dict[str, str]:
    """The variables of a member of the cluster, with certificates as Compose has them."""
    script, members = HERE.parent / "compose" / "certificates.sh", folder / "members"
    subprocess.run([script, folder / "authority", members], check=True, capture_output=True)
    return {f"SANITIZER_CLUSTER_{name}": str(members / file) for name, file in (("CERT", "tls.crt"), ("KEY", "tls.key"), ("CA", "ca.crt"))}


def postgres() -> tuple[str, list[str]]:
    """The URL of a new database, and the command that removes it."""
    server = os.environ.get("SANITIZER_TEST_POSTGRES", "postgres://postgres@127.0.0.1:5432").rstrip("/")
    name = f"ds_test_rehearsal_{uuid.uuid4().hex}"
    psql = ["psql", "--quiet", f"{server}/postgres", "--command"]
    subprocess.run([*psql, f"CREATE DATABASE {name}"], check=True)
    return f"{server}/{name}", [*psql, f"DROP DATABASE {name} WITH (FORCE)"]


def people(rows: int) -> str:
    """A dirty table: duplicates, gaps, spaces, addresses in several spellings."""
    lines = ["id,name,age,email,city"]
    for row in range(rows):
        number = row % (rows - rows // 20)  # The last twentieth is there already.
        age = "" if number % 7 == 0 else 20 + number % 50
        mail = MAIL if number == 3 else f"person{number}@example.org"
        lines.append(f"{number},  Person {number} ,{age},{mail},{['Berlin', 'berlin', 'Paris'][number % 3]}")
    return "\n".join(lines) + "\n"


class Api:
    """The REST API, as an admin sees it."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.session = f"{url}/api/v1", requests.Session()
        self.session.headers["Authorization"] = f"Bearer {key}"

    def submit(self, content: str, dataset: str, headers: dict | None = None, **fields: str) -> str:
        files = {"file": (f"{dataset}.csv", content)}
        answer = self.session.post(f"{self.url}/datasets/default/ingest", files=files, data={"dataset_name": dataset, **fields}, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()["job_id"]

    def get(self, path: str) -> dict:
        answer = self.session.get(f"{self.url}{path}")
        assert answer.ok, f"{path}: {answer.text}"
        return answer.json()

    def ended(self, job: str) -> dict:
        return wait_for(f"the end of {job}", lambda: (seen := self.get(f"/jobs/{job}"))["status"] in ("success", "failed", "cancelled") and seen)


def run_jobs(api: Api) -> tuple[dict, str]:
    """Jobs that succeed, fail and are cancelled, a review, and refusals. Gives the first job and the trace it came with."""
    trace = uuid.uuid4().hex
    headers = {"traceparent": f"00-{trace}-{'ab' * 8}-01"}
    spec = json.dumps({"steps": [{"type": "normalize_text"}, {"type": "dedupe"}, {"type": "impute", "strategy": "median", "columns": ["age"]}, {"type": "near_dedupe", "columns": ["name", "city"], "threshold": 0.95}]})
    first = api.ended(api.submit(people(4000), "people", headers))
    assert first["status"] == "success", first
    assert first["trace_id"] == trace, first
    near = api.ended(api.submit(people(500), "near", spec=spec))
    assert near["status"] == "success", near
    # At the same time, so that one executor is not enough.
    for job in [api.submit(people(3000), "people") for _ in range(6)]:
        assert api.ended(job)["status"] == "success"
    failed = api.ended(api.submit("no parquet", "unreadable", spec=json.dumps({"source": {"format": "parquet"}})))
    assert failed["status"] == "failed", failed
    unwanted = api.submit(people(4000), "unwanted")
    assert api.session.delete(f"{api.url}/jobs/{unwanted}").status_code == 202
    assert api.ended(unwanted)["status"] == "cancelled"
    cells = api.get(f"/jobs/{first['job_id']}/provenance?limit=3&column=name")["cells"]
    decisions = [{"row_id": cell["row_id"], "column_name": "name", "decision": kind} for cell, kind in zip(cells, ("approve", "approve", "reject"))]
    answer = api.session.post(f"{api.url}/jobs/{first['job_id']}/review", json={"decisions": decisions})
    assert answer.ok and len(decisions) == 3, answer.text
    assert requests.get(f"{api.url}/jobs").status_code == 401
    assert api.session.get(f"{api.url}/jobs/{uuid.uuid4()}").status_code == 404
    return first, trace


def check_trace(collector: Collector, trace: str, root: str, wanted: list[tuple[str, str]]) -> None:
    """One connected trace, from the call to the executors and the object store."""

    def whole():
        spans = collector.of(trace)
        names = Counter((span["service"].split("-")[0], span["name"].split(" ")[0]) for span in spans)
        return spans if all(names[want] for want in wanted) else None

    try:
        spans = wait_for("a whole trace", whole, 60)
    except AssertionError as error:
        seen = Counter((span["service"], span["name"]) for span in collector.of(trace))
        raise AssertionError(f"{error}: {seen}") from None

    def connected():
        # A span is told of when it has ended, so parents come last.
        spans = collector.of(trace)
        return {span["parent"] for span in spans} <= {span["id"] for span in spans} | {root}

    wait_for("an end of all parents", connected, 60)
    services = {span["service"] for span in spans}
    print(f"one trace of {len(collector.of(trace))} spans, of {', '.join(sorted(services))}")


def read_by_sql(processes: Processes, folder: Path, cluster: str, place: str, rows: int, trace: str) -> str:
    """Reads what a job published, over Flight SQL, on the same executors."""
    users = [PROGRAM, "users", "--home", str(folder / "sql"), "add", "ada", "--tenant", "default"]
    subprocess.run(users, check=True, env={**processes.environment, "SANITIZER_PASSWORD": "a password"}, capture_output=True)
    command = [PROGRAM, "serve", "--home", str(folder / "sql"), "--flight-sql", "127.0.0.1:0", "--http", "127.0.0.1:0", "--jobs", "0"]
    command += ["--cluster", cluster, "--allow", "s3://clean/", "--metrics", "127.0.0.1:0", "--log-format", "json"]
    says = processes.start("flight-sql", command)
    address = processes.told(says, "Flight SQL listens on ")
    metrics = processes.told(says, "metrics are at ")
    login = {"username": "ada", "password": "a password", "adbc.flight.sql.rpc.call_header.traceparent": f"00-{trace}-{'cd' * 8}-01"}
    with flight.connect(f"grpc://{address}", db_kwargs=login, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) AS n, count(DISTINCT id) AS ids FROM '{place}'")
        assert cursor.fetchall() == [(rows, rows)]
        try:
            cursor.execute("SELECT no_such_column FROM 'nothing.csv'")
            raise AssertionError("it was there")
        except Exception as error:  # noqa: BLE001, each driver has its own
            assert not isinstance(error, AssertionError), error
    print(f"read {rows} rows over Flight SQL")
    return metrics


def check_dashboards(url: str) -> None:
    """Prometheus has an answer to every query of every panel."""
    answered, empty = 0, []
    for path in sorted((CHART / "files" / "dashboards").glob("*.json")):
        dashboard = json.loads(path.read_text())
        for panel in panels(dashboard):
            found = []
            for target in panel.get("targets", []):
                query = without_variables(target["expr"])
                answer = requests.get(f"{url}/api/v1/query", params={"query": query}).json()
                assert answer["status"] == "success", f"{panel['title']}: {query}: {answer}"
                found += answer["data"]["result"]
            if found:
                answered += 1
            elif panel.get("targets"):
                empty.append(f"{path.stem}: {panel['title']}")
    unexpected = [panel for panel in empty if panel not in NOTHING_TO_SHOW]
    print(f"{answered} panels have data, {len(empty)} have nothing to show after so short a run")
    assert not unexpected, "no data for\n" + "\n".join(unexpected)


# What has to have been counted by the end, in one process of the role at least.
COUNTED = {
    "scheduler": ["cluster_jobs_total", "cluster_stage_duration_seconds_count", "object_store_bytes_total", "memory_pool_bytes", "job_duration_seconds_count"],
    "executor": ["tasks_total", "shuffle_written_bytes_total", "object_store_requests_total"],
    "flight-sql": ["flight_sql_statements_total"],
}


def check_counted(scrapes: dict[str, str]) -> None:
    """Work that was done is in the figures of those who did it."""
    for role, names in COUNTED.items():
        lines = [line for process, text in scrapes.items() if process.startswith(role) for line in text.splitlines()]
        for name in names:
            values = [float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"data_sanitizer_{name}[{{ ]", line)]
            assert any(values), f"{role}: {name} is {values}"


def check_logs(folder: Path, job: str, trace: str, key: str) -> None:
    """Lines are JSON; those of a job and a request name it and its trace; no data of people and no secret is in any."""
    of_job = of_request = 0
    for path in folder.glob("*.log"):
        text = path.read_text()
        if path.stem == "prometheus":
            continue
        for secret in (MAIL, "person7@example.org", SALT, TOKEN_KEY, STORE_SECRET, key):
            assert secret not in text, f"{path.name} tells {secret}"
        for line in text.splitlines():
            entry = json.loads(line)
            assert {"timestamp", "level", "message", "target"} <= entry.keys() or "log" in entry, line
            span = entry.get("span", {})
            if span.get("job_id") == job:
                of_job += 1
                assert (span["trace_id"], bool(span["tenant_id"])) == (trace, True), line
            if entry["message"] == "a request was refused":
                of_request += 1
                assert re.fullmatch("[0-9a-f]{32}", span["trace_id"]), line
    assert of_job >= 2 and of_request >= 2, (of_job, of_request)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    database, remove_database = postgres()
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    store.start()
    store_url = "http://{}:{}".format(*store.get_host_and_port())
    boto3.client("s3", endpoint_url=store_url, aws_access_key_id="rehearsal", aws_secret_access_key=STORE_SECRET, region_name="us-east-1").create_bucket(Bucket="clean")
    collector = Collector()
    processes = Processes(
        folder,
        {
            "AWS_ACCESS_KEY_ID": "rehearsal",
            "AWS_SECRET_ACCESS_KEY": STORE_SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT": store_url,
            "AWS_ALLOW_HTTP": "true",
            "SANITIZER_SALT": SALT,
            "SANITIZER_TOKEN_KEY": TOKEN_KEY,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.port}",
            **certificates(folder),
        },
    )
    try:
        local = ["--metrics", "127.0.0.1:0", "--log-format", "json"]
        subprocess.run([PROGRAM, "migrate", "--database", database], check=True, capture_output=True)
        command = [PROGRAM, "scheduler", "--bind", "127.0.0.1:0", "--external-host", "127.0.0.1", "--http", "127.0.0.1:0", "--store", "s3://clean/service"]
        # The memory is Compose's: less than what a job has when it asks for none.
        scheduler = processes.start("scheduler", command + local, SANITIZER_API_DATABASE=database, SANITIZER_API_JOB_MEMORY="1GiB")
        members = processes.told(scheduler, "scheduler listens on ")
        cluster = f"df://{members}"
        scrapes = {"scheduler": processes.told(scheduler, "metrics are at ")}
        for number in (1, 2):
            command = [PROGRAM, "executor", "--scheduler", cluster, "--bind-host", "127.0.0.1", "--port", "0", "--task-port", "0", "--external-host", "127.0.0.1", "--slots", "1"]
            executor = processes.start(f"executor-{number}", command + local)
            scrapes[f"executor-{number}"] = processes.told(executor, "metrics are at ")
        url = processes.told(scheduler, "REST API listens on ")
        key = processes.told(scheduler, "first API key, shown this once: ")
        api = Api(url, key)
        # As the chart's, and more often.
        port = free_port()
        config = yaml.safe_load((HERE.parent / "compose" / "prometheus.yaml").read_text())
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["rule_files"] = [str(CHART / "files" / "rules.yaml")]
        target = lambda name: scrapes[name].removeprefix("http://").removesuffix("/metrics")  # noqa: E731
        config["scrape_configs"] = [
            {"job_name": "data-sanitizer-scheduler", "static_configs": [{"targets": [target("scheduler")]}]},
            {"job_name": "data-sanitizer-executor", "static_configs": [{"targets": [target("executor-1"), target("executor-2")]}]},
        ]

        first, trace = run_first(processes, folder, config, port, api)
        place = f"s3://clean/service/{first_output(api, first)}/data"
        asked = uuid.uuid4().hex
        scrapes["flight-sql"] = read_by_sql(processes, folder, cluster, place, first["metrics"]["rows_cleaned"], asked)
        wanted = [("scheduler", "POST"), ("scheduler", "attempt"), ("scheduler", "pass"), ("scheduler", "object_store"), ("executor", "task"), ("executor", "object_store")]
        check_trace(collector, trace, "ab" * 8, wanted)
        workers = {span["service"] for span in collector.spans if span["name"] == "task"}
        assert workers == {"executor-1", "executor-2"}, workers
        wanted = [("flight", "/arrow.flight.protocol.FlightService/DoGet"), ("executor", "task")]
        check_trace(collector, asked, "cd" * 8, wanted)
        for name, address in scrapes.items():
            text = requests.get(address).text
            (folder / f"scrape-{name}.txt").write_text(text)
            subprocess.run(["promtool", "check", "metrics"], input=text, text=True, check=True, capture_output=True)
        check_counted({name: (folder / f"scrape-{name}.txt").read_text() for name in scrapes})
        prometheus = f"http://127.0.0.1:{port}"
        config["scrape_configs"].append({"job_name": "data-sanitizer-flight-sql", "static_configs": [{"targets": [target("flight-sql")]}]})
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        requests.post(f"{prometheus}/-/reload").raise_for_status()
        time.sleep(8)
        check_dashboards(prometheus)
        firing = {alert["labels"]["alertname"] for alert in requests.get(f"{prometheus}/api/v1/alerts").json()["data"]["alerts"] if alert["state"] == "firing"}
        print(f"alerts that fire: {', '.join(sorted(firing)) or 'none'}")
    finally:
        processes.end()
        store.stop()
        subprocess.run(remove_database, check=False, capture_output=True)
    check_logs(folder, first["job_id"], trace, key)
    print("the rehearsal went well")


def run_first(processes: Processes, folder: Path, config: dict, port: int, api: Api) -> tuple[dict, str]:
    """Prometheus watches from before the first job on."""
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/prometheus", f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"]
    processes.start("prometheus", command)

    def ready():
        try:
            return requests.get(f"http://127.0.0.1:{port}/-/ready").ok
        except requests.ConnectionError:
            return False

    wait_for("Prometheus", ready)
    time.sleep(3)
    return run_jobs(api)


def first_output(api: Api, job: dict) -> str:
    """Where the output of a job lies, from the store on."""
    return f"cleaned/{api.get('/me')['tenant_id']}/{job['job_id']}/a{job['attempt']}"


if __name__ == "__main__":
    main()
