"""A service to talk to, and a server that only pretends to be one."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from data_sanitizer import Client


@dataclass
class Service:
    """A running service."""

    url: str
    api_key: str
    home: Path

    def client(self, api_key: str | None = None, **options: Any) -> Client:
        return Client(self.url, api_key or self.api_key, **options)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    program = os.environ.get("SANITIZER_BIN")
    if not program:
        pytest.fail("SANITIZER_BIN must name the program `sanitizer`", pytrace=False)
    home = tmp_path_factory.mktemp("service")
    log = home / "log"
    command = [program, "serve", "--home", str(home / "home")]
    command += ["--http", "127.0.0.1:0", "--flight-sql", "127.0.0.1:0"]
    with log.open("wb") as errors:
        # What tokens stand for is sealed with it.
        variables = {**os.environ, "SANITIZER_TOKEN_KEY": "of the tests, and no secret"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=home, env=variables)
    try:
        told = _read_start(process, log)
        key = Path(told["first API key"]).read_text().strip()
        running = Service(told["REST API listens on"], key, home / "home")
        with running.client() as client:
            client.tenants.update("default", calls_per_second=100_000)
        yield running
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _read_start(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """What the service says when it is ready."""
    told: dict[str, str] = {}
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        for raw in process.stdout:
            line = raw.decode().strip()
            for start in ("REST API listens on", "first API key"):
                if line.startswith(start):
                    told[start] = line.removeprefix(start).removeprefix(":").strip()
            if len(told) == 2:
                return told
    finally:
        timer.cancel()
    pytest.fail(f"the service did not start: {log.read_text()}", pytrace=False)


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    with service.client() as client:
        yield client


@pytest.fixture
def name() -> str:
    """A name that no other test has."""
    return f"t-{uuid4().hex[:12]}"


@pytest.fixture
def other_tenant(service: Service, client: Client, name: str) -> Iterator[Client]:
    """A client of another tenant, whose jobs wait for ever."""
    tenant = client.tenants.create(name, max_running=0, calls_per_second=1000)
    key = client.keys.create("its own", "admin", tenant=tenant.name)
    with service.client(key.secret) as other:
        yield other


@dataclass
class Seen:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Answer:
    """What is answered to a request.

    Attributes:
        cut: Bytes of the body that are sent before the connection breaks; `None` for all.
        silent: Whether the connection breaks before anything is said.
        framed: Whether the length of the body is told.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    silent: bool = False
    framed: bool = True


def json_answer(document: object, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(document).encode(), {"Content-Type": "application/json", **headers})


def problem(status: int, kind: str = "unavailable", **headers: str) -> Answer:
    document = {
        "type": f"urn:data-sanitizer:problem:{kind}",
        "title": "Not now",
        "status": status,
        "detail": "try again",
    }
    return json_answer(document, status, **headers)


class Pretender:
    """A server that gives prepared answers, one after another, and keeps what it was asked."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.answers: list[Answer | Callable[[Seen], Answer]] = []
        self._clients: list[Client] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                body = self.rfile.read(length)
                headers = {key.lower(): value for key, value in self.headers.items()}
                seen = Seen(self.command, self.path, headers, body)
                outer.seen.append(seen)
                answer = outer.answers.pop(0)
                if callable(answer):
                    answer = answer(seen)
                if answer.silent:
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for key, value in answer.headers.items():
                    self.send_header(key, value)
                if answer.framed:
                    self.send_header("Content-Length", str(len(answer.body)))
                else:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                self.wfile.write(answer.body if answer.cut is None else answer.body[: answer.cut])
                if answer.cut is not None:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._server.shutdown()
        self._server.server_close()

    def client(self, **options: Any) -> Client:
        client = Client(self.url, "key", tenant="default", **options)
        self._clients.append(client)
        return client


@pytest.fixture
def pretender() -> Iterator[Pretender]:
    server = Pretender()
    yield server
    server.close()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between tries, in seconds, which take no time here."""
    taken: list[float] = []
    monkeypatch.setattr(time, "sleep", taken.append)
    return taken
