"""Holds images, compose, workflows and Terraform against the sources: every option, variable, port, path and version
that they name must be one that is there."""

import os
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"scheduler": "scheduler", "executor": "executor", "sanitizer": "cli"}
PROGRAMS = {"scheduler": "sanitizer-scheduler", "executor": "sanitizer-executor", "sanitizer": "sanitizer"}
REGISTRY = "ghcr.io/data-sanitizer/"
METRICS = 9464  # The programs have no default; this is the port of the whole deployment.
problems = []


def complain(where, what):
    problems.append(f"{where}: {what}")


def read(path):
    return (ROOT / path).read_text()


def one(path, pattern):
    """The only group of a pattern that must be in a source."""
    found = re.search(pattern, read(path), re.S)
    if not found:
        complain(path, f"holds nothing like {pattern}; this check looks there for a default")
        return ""
    return found[1]


# What the sources know


def fields(path, name):
    body = one(path, rf"pub struct {name} \{{(.*?)\n\}}")
    return set(re.findall(r"^    (?:pub )?(\w+):", body, re.M))


# The crates of the programs.
PROGRAM_CRATES = ("cli", "scheduler/daemon", "executor/daemon")


def sources():
    for crate in ("cli", "cli/process", "scheduler", "scheduler/daemon", "executor", "executor/daemon", "planner", "sql"):
        for path in sorted((ROOT / crate / "src").rglob("*.rs")):
            # Comments name what they please.
            yield re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)


SOURCES = list(sources())
LITERALS = {name for text in SOURCES for literal in re.findall(r'"[^"\n]*"', text) for name in re.findall(r"SANITIZER_[A-Z_]+", literal)}
SETTINGS = {
    "SANITIZER_API_": fields("scheduler/daemon/src/api/settings.rs", "ApiSettings"),
    "SANITIZER_SCHEDULER_": fields("scheduler/src/ballista/options.rs", "SchedulerOptions") - {"api"},
    "SANITIZER_EXECUTOR_": fields("executor/src/options.rs", "ExecutorOptions"),
    "SANITIZER_SERVE_": fields("cli/src/serve/options.rs", "ServeOptions") - {"api"},
}
# Those of the client, which begin like a setting of the server and are none.
CLIENT = {"SANITIZER_API_KEY", "SANITIZER_API_URL"}


def known_variable(name):
    for prefix, names in SETTINGS.items():
        if name.startswith(prefix) and name not in CLIENT:
            return name.removeprefix(prefix).lower() in names
    return name in LITERALS


def known_options():
    names = {"help", "version"}
    for path in [*(path for crate in PROGRAM_CRATES for path in (ROOT / crate / "src").rglob("arguments.rs")), ROOT / "cli/process/src/cluster_tls.rs"]:
        names |= {name.replace("_", "-") for name in re.findall(r"^    (?:pub )?(\w+):", path.read_text(), re.M)}
    for text in SOURCES:
        names |= set(re.findall(r'long = "([a-z-]+)"', text))
    return names


def known_commands():
    body = one("cli/src/arguments.rs", r"enum Command \{(.*?)\n\}")
    return {re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower() for name in re.findall(r"^    (\w+)[(,{]", body, re.M)}


OPTIONS = known_options()
COMMANDS = known_commands()
REST = int(one("scheduler/daemon/src/api/settings.rs", r"address: SocketAddr::from\(\(Ipv4Addr::LOCALHOST, (\d+)\)\)") or 0)
FLIGHT_SQL = int(one("sql/src/flight/mod.rs", r"address: SocketAddr::from\(\(\[127, 0, 0, 1\], (\d+)\)\)") or 0)
MEMBERS = int(one("scheduler/src/ballista/options.rs", r"bind: SocketAddr::from\(\(Ipv4Addr::LOCALHOST, (\d+)\)\)") or 0)
RESULTS = int(one("executor/src/options.rs", r"\n            port: (\d+),") or 0)
TASKS = int(one("executor/src/options.rs", r"task_port: (\d+),") or 0)
PORTS = {
    "scheduler": {REST, MEMBERS, METRICS},
    "executor": {RESULTS, TASKS, METRICS},
    "sanitizer": {REST, FLIGHT_SQL, METRICS},
}
VARIABLE_PORTS = {"SANITIZER_API_ADDRESS": REST, "SANITIZER_METRICS": METRICS, "SANITIZER_SERVE_FLIGHT_SQL": FLIGHT_SQL, "SANITIZER_SCHEDULER_BIND": MEMBERS}
# Paths of the REST API, and of the listener of metrics.
PATHS = {path for text in SOURCES for path in re.findall(r'"(/(?:health|ready)\w*)"', text)}
RUST_VERSION = one("Cargo.toml", r'\nrust-version = "([\d.]+)"')
VERSION = one("Cargo.toml", r'\[workspace\.package\]\nversion = "([\d.]+)"')


def check_command(where, words):
    """The arguments of one of the programs; the first word is the program."""
    program, *arguments = words
    if program == "sanitizer" and arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        complain(where, f"`sanitizer {arguments[0]}` is no command")
    for argument in arguments:
        option = re.match(r"--([a-z][a-z-]*)", argument)
        if option and option[1] not in OPTIONS:
            complain(where, f"--{option[1]} is no option of {program}")


def check_text(path):
    """Variables anywhere in a file, and commands that begin a line of it."""
    text = read(path)
    for name in sorted(set(re.findall(r"SANITIZER_[A-Z_]*[A-Z]\b", text))):
        if not known_variable(name):
            complain(path, f"no source knows {name}")
    for line in re.findall(r"^(?:RUN )?((?:.* )?(?:ghcr\.io/data-sanitizer/\w+:\S+ |sanitizer(?:-scheduler|-executor)? ).*)$", text, re.M):
        start = re.search(r"(?:^|ghcr\.io/data-sanitizer/)(sanitizer-scheduler|sanitizer-executor|scheduler|executor|sanitizer)(?::\S+)? (.*)", line)
        if start and path.endswith((".md", "Dockerfile")) and not re.match(r"[#\-|]", line):
            program = PROGRAMS.get(start[1], start[1])
            check_command(path, [program, *start[2].split(" #")[0].split()])


def check_asked(where, text):
    for asked in re.findall(r'"http-ok", "\w+", "([^"]+)"', text):
        if asked not in PATHS:
            complain(where, f"asks {asked}, which no source answers")


# Dockerfiles


def ignored(path):
    """Whether .dockerignore keeps a path out of the context: the last pattern that matches decides."""
    out = False
    for pattern in read(".dockerignore").splitlines():
        pattern = pattern.strip()
        if not pattern or pattern.startswith("#"):
            continue
        keep, pattern = pattern.startswith("!"), pattern.lstrip("!").strip("/")
        regex = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
        if re.fullmatch(rf"{regex}(?:/.*)?", path):
            out = not keep
    return out


def instructions(path):
    text = re.sub(r"^\s*#.*\n", "", read(path), flags=re.M)
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest


def check_dockerfiles():
    beginnings = {}
    built = set()
    binaries = {name for crate in PROGRAM_CRATES for name in re.findall(r'\[\[bin\]\]\nname = "([\w-]+)"', read(f"{crate}/Cargo.toml"))}
    for image, folder in FOLDERS.items():
        path = f"{folder}/Dockerfile"
        program = PROGRAMS[image]
        beginnings[path] = read(path).split("\nFROM debian:")[0]
        all_of = list(instructions(path))
        words = [word for word, _ in all_of]
        for wanted in ("USER", "HEALTHCHECK", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "LABEL"):
            if wanted not in words:
                complain(path, f"has no {wanted}")
        stages = set()
        arguments = {}
        for word, rest in all_of:
            if word == "ARG" and "=" in rest:
                arguments.update([rest.split("=", 1)])
            elif word == "FROM":
                base, *name = re.split(r"\s+AS\s+", rest, flags=re.I)
                for key, value in arguments.items():
                    base = base.replace(f"${{{key}}}", value)
                if base not in stages and not re.search(r":[\w.-]*\d", base):
                    complain(path, f"the base {base} is not pinned by a tag with a version")
                stages.update(name)
            elif word == "COPY":
                *flags, _ = [part for part in rest.split() if part.startswith("--")] + [""]
                *paths, _ = [part for part in rest.split() if not part.startswith("--")]
                if any(flag.startswith("--from=") for flag in flags):
                    for copied in paths:
                        name = copied.removeprefix("/src/target/release/")
                        if copied.startswith("/src/target/release/") and name not in built:
                            complain(path, f"copies {name}, which it does not build")
                    continue
                for copied in paths:
                    if copied != "." and not (ROOT / copied).exists():
                        complain(path, f"copies {copied}, which is not there")
                    elif copied != "." and ignored(copied):
                        complain(path, f"copies {copied}, which .dockerignore keeps out")
            elif word == "RUN" and " build " in rest:
                built = set(re.findall(r"--bin (\S+)", rest))
                for name in built - binaries:
                    complain(path, f"builds {name}, which no manifest of a program knows")
                for wanted in ("--locked", "--release"):
                    if wanted not in rest:
                        complain(path, f"builds without {wanted}")
            elif word == "USER" and rest != "65532:65532":
                complain(path, f"runs as {rest}")
            elif word == "EXPOSE" and {int(port) for port in rest.split()} != PORTS[image]:
                complain(path, f"exposes {rest}; the defaults are {sorted(PORTS[image])}")
            elif word == "ENTRYPOINT" and rest != f'["{program}"]':
                complain(path, f"starts {rest}")
            elif word == "CMD":
                check_command(path, [program, *yaml.safe_load(rest)])
            elif word == "ENV":
                for name, value in re.findall(r"(\w+)=(\S+)", rest):
                    if name in VARIABLE_PORTS and value.rsplit(":", 1)[-1] != str(VARIABLE_PORTS[name]):
                        complain(path, f"{name}={value}; the port is {VARIABLE_PORTS[name]}")
            elif word == "HEALTHCHECK":
                check_asked(path, rest)
                asked = re.search(r'"http-ok", "(\w+)"', rest)
                if not asked or f"{asked[1]}=" not in read(path):
                    complain(path, "its HEALTHCHECK asks an address that ENV does not set")
        if not arguments.get("RUST", "").startswith(f"{RUST_VERSION}."):
            complain(path, f"Rust is {arguments.get('RUST')}, Cargo.toml asks for {RUST_VERSION}")
    if len(set(beginnings.values())) != 1:
        complain("Dockerfiles", f"the stages that build differ between {', '.join(beginnings)}: each would compile for itself")
    for needed in ["Cargo.toml", "Cargo.lock", *(f"{member}/Cargo.toml" for member in re.findall(r'"(\w+)"', one("Cargo.toml", r"\nmembers = \[(.*?)\]")))]:
        if ignored(needed):
            complain(".dockerignore", f"keeps {needed} out, without which Cargo does not start")
    # What sources take in while they are compiled.
    for member in ("udfs", "planner", "sql", "scheduler", "scheduler/daemon", "executor", "executor/daemon", "cli", "cli/process", "benchmarks"):
        for path in (ROOT / member / "src").rglob("*.rs"):
            text = path.read_text()
            taken = [(path.parent / name) for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', text)]
            taken += [(ROOT / member / (name or "migrations")) for name in re.findall(r'migrate!\((?:"([^"]+)")?\)', text)]
            for file in taken:
                name = os.path.relpath(os.path.normpath(file), ROOT)
                if not file.exists() or ignored(name):
                    complain(".dockerignore", f"{path.relative_to(ROOT)} takes in {name}, which the builder does not get")


def check_http_ok():
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/healthz" else 503)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"0.0.0.0:{server.server_port}"
    for path, value, expected in (("/healthz", address, True), ("/readyz", address, False), ("/healthz", "0.0.0.0:1", False)):
        run = subprocess.run(["bash", ROOT / "helm/images/http-ok", "ADDRESS", path], env={**os.environ, "ADDRESS": value}, capture_output=True, timeout=30)
        if (run.returncode == 0) != expected:
            complain("helm/images/http-ok", f"says {run.returncode} of {path}")
    server.shutdown()
    if not os.access(ROOT / "helm/images/http-ok", os.X_OK):
        complain("helm/images/http-ok", "cannot be executed")


# Compose


def check_compose():
    path = "helm/compose/compose.yaml"
    text = read(path)
    services = yaml.safe_load(text)["services"]
    check_asked(path, text)
    offered = dict(line.split("=", 1) for line in read("helm/compose/.env.example").splitlines() if line and not line.startswith("#"))
    wanted = set(re.findall(r"(?<!\$)\$\{(\w+)", text))
    for name in sorted(wanted ^ set(offered)):
        complain(path, f"{name} is {'not in .env.example' if name in wanted else 'in .env.example and not used'}")
    if offered.get("IMAGE_TAG") != VERSION:
        complain("helm/compose/.env.example", f"IMAGE_TAG is {offered.get('IMAGE_TAG')}, Cargo.toml says {VERSION}")
    scraped = {
        target
        for job in yaml.safe_load(read("helm/compose/prometheus.yaml"))["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    ours = {}
    for name, service in services.items():
        where = f"{path}, {name}"
        image = service["image"]
        if image.startswith(REGISTRY):
            kind = image.removeprefix(REGISTRY).split(":")[0]
            if kind not in FOLDERS:
                complain(where, f"{image} is none of the images")
                continue
            ours[name] = kind
            if not image.endswith(f":${{IMAGE_TAG:-{VERSION}}}"):
                complain(where, f"{image} does not fall back to the version of Cargo.toml, {VERSION}")
            build = service["build"]
            if (ROOT / "helm/compose" / build["context"]).resolve() != ROOT or build["dockerfile"] != f"{FOLDERS[kind]}/Dockerfile":
                complain(where, f"{image} is built from {build}")
            if f"{name}:{METRICS}" not in scraped:
                complain("helm/compose/prometheus.yaml", f"does not ask {name}:{METRICS}")
            if service.get("command"):
                check_command(where, [PROGRAMS[kind], *service["command"]])
        elif not re.search(r":v?\d+\.\d+", image):
            complain(where, f"{image} is not pinned to a version")
        for published in service.get("ports", []):
            address, _, inner = published.rsplit(":", 2)
            if address != "127.0.0.1":
                complain(where, f"{published} is published on more than the loopback address")
            if name in ours and int(inner) != REST:
                complain(where, f"publishes {inner}; only the REST API, {REST}, is for others")
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith(".") and not (ROOT / "helm/compose" / source).exists():
                complain(where, f"mounts {source}, which is not there")
        for other, how in service.get("depends_on", {}).items():
            target = services.get(other)
            if target is None:
                complain(where, f"waits for {other}, which is not there")
            elif how["condition"] == "service_healthy" and "healthcheck" not in target and not target["image"].startswith(REGISTRY):
                complain(where, f"waits for {other} to be healthy, which nothing tells")
        environment = service.get("environment", {})
        for variable, value in environment.items():
            if variable in VARIABLE_PORTS and str(value).rsplit(":", 1)[-1] != str(VARIABLE_PORTS[variable]):
                complain(where, f"{variable}: {value}; the port is {VARIABLE_PORTS[variable]}")
        if ours.get(name) == "executor":
            if environment.get("SANITIZER_EXECUTOR_EXTERNAL_HOST") != name:
                complain(where, "the others do not reach it under its external host")
            if environment.get("SANITIZER_EXECUTOR_SCHEDULER") != f"df://scheduler:{MEMBERS}":
                complain(where, f"the scheduler is df://scheduler:{MEMBERS}")
        if name in ours:
            # A variable of another program's settings would be ignored, and an unknown one of its own refused.
            family = {"scheduler": ("SANITIZER_API_", "SANITIZER_SCHEDULER_"), "executor": ("SANITIZER_EXECUTOR_",)}.get(ours[name], ())
            for variable in environment:
                if variable.startswith(tuple(SETTINGS)) and not variable.startswith(family):
                    complain(where, f"{variable} is no setting of it")
    if sorted(ours.values()).count("executor") < 2 or "scheduler" not in ours:
        complain(path, "has no scheduler and two executors")
    for target in scraped:
        host, port = target.split(":")
        if host in services and int(port) != METRICS or host not in services and host != "localhost":
            complain("helm/compose/prometheus.yaml", f"asks {target}, where nobody answers")


# Workflows


def check_workflows():
    for file in sorted((ROOT / ".github/workflows").glob("*.yml")):
        path = str(file.relative_to(ROOT))
        text = file.read_text()
        workflow = yaml.safe_load(text)
        if "permissions" not in workflow or workflow["permissions"] not in ({"contents": "read"}, {}):
            complain(path, "gives more than contents: read to all jobs")
        if workflow.get("defaults") != {"run": {"shell": "bash"}}:
            complain(path, "runs its scripts without pipefail, which `shell: bash` brings")
        if "concurrency" not in workflow:
            complain(path, "has no concurrency")
        if workflow.get("env", {}).get("RUST", f"{RUST_VERSION}.") .rpartition(".")[0] != RUST_VERSION:
            complain(path, f"Rust is {workflow['env']['RUST']}, Cargo.toml asks for {RUST_VERSION}")
        for uses in re.findall(r"uses: (.*)", text):
            if not uses.startswith("./") and not re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", uses):
                complain(path, f"{uses} is not pinned to a commit, with its version behind it")
        for name, job in workflow["jobs"].items():
            if "uses" in job:
                continue
            if "timeout-minutes" not in job:
                complain(path, f"{name} has no timeout")
            for step in job["steps"]:
                script = step.get("run")
                if not script:
                    continue
                # Expressions would be pasted into the script; values come by the environment.
                if "${{" in script:
                    complain(path, f"{name} pastes an expression into a script")
                run = subprocess.run(["shellcheck", "--shell=bash", "--exclude=SC2154", "-"], input=f"set -eo pipefail\n{script}", text=True, capture_output=True)
                if run.returncode != 0:
                    complain(path, f"{name}: {run.stdout}{run.stderr}")
                for called in re.findall(r"(?:^|\s)((?:\./)?(?:helm/)?\w+\.sh)\b", script):
                    if not os.access(ROOT / called, os.X_OK):
                        complain(path, f"{name} runs {called}, which is not there")
                for folder in re.findall(r"helm package (\S+)", script):
                    if not (ROOT / folder / "Chart.yaml").exists():
                        complain(path, f"{name} packs {folder}, which is no chart")
                for name_of in re.findall(r"--bin (\S+)", script):
                    if name_of not in PROGRAMS.values():
                        complain(path, f"{name} builds {name_of}, which is no program")
    for image in re.findall(r"^ +repository: data-sanitizer/(\S+)", read("helm/data-sanitizer/values.yaml"), re.M):
        if image not in FOLDERS:
            complain("helm/data-sanitizer/values.yaml", f"names the image data-sanitizer/{image}; there are {', '.join(FOLDERS)}")
    pairs = dict(pair.split(":") for pair in one(".github/workflows/images.yml", r"for pair in ([^;]+);").split())
    matrix = one(".github/workflows/images.yml", r"image: \[([^\]]+)\]").split(", ")
    if pairs != FOLDERS or sorted(matrix) != sorted(FOLDERS):
        complain(".github/workflows/images.yml", f"builds {pairs} and publishes {matrix}")


# Terraform


def check_terraform():
    texts = {path: re.sub(r"^\s*#.*$", "", path.read_text(), flags=re.M) for path in (ROOT / "helm/terraform").glob("*.tf")}
    everything = "\n".join(texts.values())
    variables = set(re.findall(r'^variable "(\w+)"', everything, re.M))
    blocks = set(re.findall(r'^resource "(\w+)" "(\w+)"', everything, re.M))
    looked_up = set(re.findall(r'^data "(\w+)" "(\w+)"', everything, re.M))
    local_names = {name for body in re.findall(r"^locals \{\n(.*?)^\}", everything, re.M | re.S) for name in re.findall(r"^  (\w+) +=", body, re.M)}
    bare = re.sub(r'^(?:resource|data|variable) "\w+".*$', "", everything, flags=re.M)
    used = set(re.findall(r"\bvar\.(\w+)", bare))
    # A variable that only its own condition mentions is of no use.
    outside = re.sub(r'^variable "\w+" \{.*?^\}', "", everything, flags=re.M | re.S)
    for name in sorted(used - variables):
        complain("helm/terraform", f"var.{name} is not declared")
    for name in sorted(variables - set(re.findall(r"\bvar\.(\w+)", outside))):
        complain("helm/terraform", f"var.{name} is not used")
    for name in sorted(set(re.findall(r"\blocal\.(\w+)", bare)) - local_names):
        complain("helm/terraform", f"local.{name} is not declared")
    for kind, name in sorted(set(re.findall(r"\bdata\.(\w+)\.(\w+)", bare)) - looked_up):
        complain("helm/terraform", f"data.{kind}.{name} is not declared")
    for kind, name in sorted(set(re.findall(r"(?<![\w.\"/])(aws_\w+)\.(\w+)", bare)) - blocks):
        complain("helm/terraform", f"{kind}.{name} is not declared")
    for body in re.findall(r'^variable "\w+" \{\n(.*?)^\}', everything, re.M | re.S):
        if not re.search(r"^  description +=", body, re.M) or not re.search(r"^  type +=", body, re.M):
            complain("helm/terraform/variables.tf", f"a variable lacks its description or type: {body[:60]!r}")
    template = read("helm/terraform/values.yaml.tftpl")
    given = set(re.findall(r"^    (\w+) +=", one("helm/terraform/outputs.tf", r"templatefile\([^{]*\{[^}]*\}/[^{]*\{\n(.*?)\n  \}\)"), re.M))
    if given != set(re.findall(r"\$\{(\w+)\}", template)):
        complain("helm/terraform/values.yaml.tftpl", f"outputs.tf gives it {sorted(given)}")
    ours = yaml.safe_load(re.sub(r"\$\{(\w+)\}", r"\1", template))
    theirs = yaml.safe_load(read("helm/data-sanitizer/values.yaml"))

    def compare(mine, chart, path):
        for key, value in mine.items():
            if not isinstance(chart, dict) or key not in chart:
                complain("helm/terraform/values.yaml.tftpl", f"the chart has no value {'.'.join([*path, key])}")
            # What is empty in the chart takes any key, such as annotations.
            elif isinstance(value, dict) and chart[key]:
                compare(value, chart[key], [*path, key])

    compare(ours, theirs, [])


TEXTS = [f"{folder}/Dockerfile" for folder in FOLDERS.values()]
for kept in ("helm/compose", "helm/images", "helm/terraform", ".github/workflows"):
    TEXTS += [str(path.relative_to(ROOT)) for path in sorted((ROOT / kept).rglob("*")) if path.is_file() and path.suffix != ".py" and ".terraform" not in path.parts]
for kept in TEXTS:
    check_text(kept)
check_dockerfiles()
check_http_ok()
check_compose()
check_workflows()
check_terraform()
for problem in problems:
    print(problem)
sys.exit(1 if problems else 0)
