"""What breaks on the way."""

from __future__ import annotations

import pickle
import socket
import ssl
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import Answer, Pretender, json_answer, problem
from data_sanitizer import (
    ApiError,
    Client,
    ConflictError,
    IncompleteDownload,
    Job,
    JobCancelled,
    JobFailed,
    SanitizerError,
    TooManyRequestsError,
    TransportError,
    UnprocessableError,
    UploadInterrupted,
    WaitTimeout,
)

ME = {"tenant_id": "t", "tenant": "default", "actor": "key:1", "role": "admin", "news": [1]}
JOB = {
    "job_id": "j",
    "dataset_id": "d",
    "dataset_name": "x",
    "status": "queued",
    "created_at": "2026-11-26T20:04:43.123456789Z",
    "news": {"of": "a newer service"},
}
ACCEPTED = {"job_id": "j", "dataset_id": "d", "status": "queued", "estimated_completion_ms": 1}
PARQUET = b"PAR1" + b"x" * 100_000 + b"PAR1"


def test_get_is_repeated(pretender: Pretender, naps: list[float]) -> None:
    pretender.answers = [problem(503), Answer(silent=True), problem(502), json_answer(ME)]
    with pretender.client() as client:
        assert client.me().tenant == "default"
    assert len(pretender.seen) == 4
    # Each wait may be twice as long as the one before.
    assert [0.25 <= naps[0] <= 0.5, 0.5 <= naps[1] <= 1, 1 <= naps[2] <= 2] == [True] * 3
    assert pretender.seen[0].headers["authorization"] == "Bearer key"
    assert pretender.seen[0].headers["user-agent"].startswith("data-sanitizer-python/")


def test_an_end_to_trying(pretender: Pretender, naps: list[float]) -> None:
    pretender.answers = [problem(503)] * 3
    with pretender.client(max_retries=2) as client, pytest.raises(ApiError) as caught:
        client.me()
    assert caught.value.status == 503
    pretender.answers = [Answer(silent=True)] * 3
    with pretender.client(max_retries=2) as client, pytest.raises(TransportError) as broken:
        client.me()
    assert isinstance(broken.value.__cause__, httpx.RemoteProtocolError)
    assert len(pretender.seen) == 6
    assert len(naps) == 4


def test_retry_after(pretender: Pretender, naps: list[float]) -> None:
    date = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=20), usegmt=True)
    pretender.answers = [
        problem(429, "rate", **{"Retry-After": "7"}),
        problem(503, **{"Retry-After": date}),
        problem(503, **{"Retry-After": "soon"}),
        json_answer(ME),
    ]
    with pretender.client() as client:
        client.me()
    assert 7 <= naps[0] < 7.2
    assert 18 < naps[1] < 20.2
    assert naps[2] <= 2
    pretender.answers = [problem(429, "quota-spent", **{"Retry-After": "86400"})]
    with pretender.client() as client, pytest.raises(TooManyRequestsError) as caught:
        client.me()
    assert caught.value.retry_after == 86400
    assert len(naps) == 3


def test_submissions_are_repeated_with_one_key(pretender: Pretender, naps: list[float]) -> None:
    pretender.answers = [problem(503), Answer(silent=True), json_answer(ACCEPTED, 202)]
    spec = {"source": {"location": "s3://lake/x.csv"}}
    with pretender.client() as client:
        assert client.submit(dataset="x", spec=spec).id == "j"
        keys = {seen.headers["idempotency-key"] for seen in pretender.seen}
        assert len(keys) == 1
        assert len(keys.pop()) == 36
        pretender.answers = [json_answer(ACCEPTED, 202)] * 2
        client.submit("s3://lake/x.csv", rules=["a", "b"], priority=3, deadline_seconds=60)
        client.submit("s3://lake/x.csv", idempotency_key="mine")
    first, second = pretender.seen[-2:]
    assert first.headers["idempotency-key"] not in keys
    assert second.headers["idempotency-key"] == "mine"
    assert first.path == (
        "/api/v1/datasets/default/ingest?dataset_name=x&rules=a%2Cb&priority=3&deadline_seconds=60"
    )
    assert len(naps) == 2


def test_what_may_do_harm_is_not_repeated(pretender: Pretender, naps: list[float]) -> None:
    pretender.answers = [problem(503), Answer(silent=True), problem(502)]
    with pretender.client() as client:
        with pytest.raises(ApiError):
            client.keys.create("x", "admin")
        with pytest.raises(TransportError):
            client.keys.create("x", "admin")
        with pytest.raises(ApiError):
            client.delete_rule("x")
    assert len(pretender.seen) == 3
    assert naps == []


def test_calls_that_were_not_listened_to_are_repeated(pretender: Pretender, naps: list[float]) -> None:
    pretender.answers = [problem(429, "rate", **{"Retry-After": "1"}), Answer(204, b"")]
    with pretender.client() as client:
        client.keys.revoke("x")
    assert len(pretender.seen) == 2
    assert len(naps) == 1


def test_nobody_there(naps: list[float]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with Client(url, "key", max_retries=2) as client, pytest.raises(TransportError, match="127"):
            client.keys.create("x", "admin")
    assert len(naps) == 2


def test_silence(pretender: Pretender, naps: list[float]) -> None:
    def sleepy(_: object) -> Answer:
        import threading

        threading.Event().wait(1)
        return Answer(silent=True)

    pretender.answers = [sleepy]
    with pretender.client(timeout=0.1, max_retries=0) as client, pytest.raises(TransportError):
        client.me()
    assert naps == []


def test_answers_of_something_else(pretender: Pretender) -> None:
    page = Answer(404, b"<html>not here</html>", {"Content-Type": "text/html"})
    pretender.answers = [
        page,
        Answer(200, b"<html>hello</html>", {"Content-Type": "text/html"}),
        json_answer([1]),
        json_answer({"tenant": "x"}),
        Answer(302, b"", {"Location": "https://example.org/"}),
        json_answer({"jobs": [{**JOB, "created_at": "yesterday"}], "next_cursor": None}),
    ]
    with pretender.client() as client:
        with pytest.raises(ApiError) as caught:
            client.me()
        assert (caught.value.status, caught.value.type) == (404, "about:blank")
        assert "not here" in caught.value.detail
        for _ in range(3):
            with pytest.raises(SanitizerError):
                client.me()
        with pytest.raises(ApiError, match="302"):
            client.me()
        with pytest.raises(SanitizerError, match="JobInfo"):
            list(client.jobs())


def test_a_newer_service(pretender: Pretender) -> None:
    pretender.answers = [json_answer({**JOB, "status": "paused"})]
    with pretender.client() as client:
        info = client.job("j").info
    assert info.status == "paused"
    assert not info.done
    assert info.created_at == datetime(2026, 11, 26, 20, 4, 43, 123456, timezone.utc)


def test_pages_that_do_not_end(pretender: Pretender) -> None:
    pretender.answers = [json_answer({"jobs": [JOB], "next_cursor": "again"})] * 2
    with pretender.client() as client, pytest.raises(SanitizerError, match="again and again"):
        list(client.jobs())
    assert pretender.seen[1].path.endswith("cursor=again")


@pytest.fixture
def job(pretender: Pretender) -> Job:
    pretender.answers = [json_answer({**JOB, "status": "success"})]
    return pretender.client(max_retries=2).job("j")


def test_a_download_that_breaks_off(
    pretender: Pretender, job: Job, naps: list[float], tmp_path: Path
) -> None:
    target = tmp_path / "clean.parquet"
    target.write_bytes(b"the older one")
    pretender.answers = [Answer(body=PARQUET, cut=50_000)] * 3
    with pytest.raises(IncompleteDownload, match="broke off"):
        job.download(target)
    assert target.read_bytes() == b"the older one"
    assert list(tmp_path.iterdir()) == [target]
    assert len(naps) == 2
    # Each try begins anew.
    pretender.answers = [Answer(body=PARQUET, cut=50_000), Answer(body=PARQUET)]
    job.download(target)
    assert target.read_bytes() == PARQUET
    assert list(tmp_path.iterdir()) == [target]


def test_a_download_that_ends_early_unnoticed(
    pretender: Pretender, job: Job, naps: list[float], tmp_path: Path
) -> None:
    """Where nothing tells the length, the content must tell."""
    for suffix, body, cut in (
        (".parquet", PARQUET, 60_000),
        (".csv", b"a\n1\n2\n", 5),
        (".jsonl", b"{}\n", 2),
    ):
        pretender.answers = [Answer(body=body, cut=cut, framed=False)] * 3
        with pytest.raises(IncompleteDownload):
            job.download(tmp_path / f"clean{suffix}")
        pretender.answers = [Answer(body=body, framed=False)]
        assert job.download(tmp_path / f"clean{suffix}").read_bytes() == body
    assert len(naps) == 6
    assert len(list(tmp_path.iterdir())) == 3


def test_downloads_that_are_refused(
    pretender: Pretender, job: Job, naps: list[float], tmp_path: Path
) -> None:
    pretender.answers = [problem(503), problem(409, "conflict")]
    with pytest.raises(ConflictError):
        job.download(tmp_path / "clean.parquet")
    assert len(naps) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_with_another_digest(
    pretender: Pretender, job: Job, naps: list[float], tmp_path: Path
) -> None:
    files = [{"path": "data/part-00000.parquet", "bytes": 3, "sha256": "0" * 64}]
    pretender.answers = [json_answer({"files": files}), *[Answer(body=b"abc")] * 3]
    with pytest.raises(IncompleteDownload, match="digest"):
        job.download_file(job.files()[0], tmp_path / "part")
    assert pretender.seen[-1].path == "/api/v1/jobs/j/files/data/part-00000.parquet"
    assert list(tmp_path.iterdir()) == []
    assert len(naps) == 2


def event(seq: int, kind: str) -> bytes:
    data = f'{{"seq":{seq},"at":"2026-11-26T20:04:43Z","kind":"{kind}","data":{{}}}}'
    return f"id: {seq}\nevent: {kind}\ndata: {data}\n\n".encode()


def state(status: str) -> bytes:
    import json

    return (
        b": still here\n\nevent: progress\ndata: " + json.dumps({**JOB, "status": status}).encode() + b"\n\n"
    )


def stream(body: bytes, cut: int | None = None) -> Answer:
    return Answer(body=body, headers={"Content-Type": "text/event-stream"}, cut=cut)


def test_events_go_on_where_they_were(pretender: Pretender, job: Job, naps: list[float]) -> None:
    first = event(1, "queued") + state("queued") + event(2, "started")
    again = event(2, "started") + state("pass1_running") + event(3, "status") + state("pass2_running")
    again += event(4, "success") + state("success")
    pretender.answers = [
        problem(503),
        stream(first + event(3, "status"), cut=len(first) + 20),
        Answer(silent=True),
        # It says something twice, in lines as of other systems.
        stream(again.replace(b"\n", b"\r\n")),
    ]
    events = list(job.events())
    numbered = [(event.seq, event.kind) for event in events if event.seq is not None]
    assert numbered == [(1, "queued"), (2, "started"), (3, "status"), (4, "success")]
    assert {event.kind for event in events if event.seq is None} == {"progress"}
    states = [event.job.status for event in events if event.job is not None]
    assert states == ["queued", "pass1_running", "pass2_running", "success"]
    asked = [seen.headers["last-event-id"] for seen in pretender.seen[1:]]
    assert asked == ["0", "0", "2", "2"]
    assert len(naps) == 3


def test_events_that_break_off_for_good(pretender: Pretender, job: Job, naps: list[float]) -> None:
    pretender.answers = [stream(event(1, "queued")), stream(b""), stream(b"")]
    events = job.events()
    assert next(events).kind == "queued"
    with pytest.raises(TransportError, match="broke off"):
        next(events)
    pretender.answers = [problem(409, "conflict")]
    with pytest.raises(ConflictError):
        list(job.events())
    assert len(naps) == 2


def test_unusual_events(pretender: Pretender, job: Job) -> None:
    words = '{"words": "a\u2028b"}'.encode()
    body = b"event: weather\ndata: " + words + b"\n\ndata\n\n" + state("failed") + event(9, "late")
    pretender.answers = [
        stream(b"event: weather\ndata: " + words + b"\n\n" + state("failed") + event(9, "x"))
    ]
    weather, last = job.events()
    assert (weather.kind, weather.seq, weather.data) == ("weather", None, {"words": "a\u2028b"})
    assert last.job is not None
    assert last.job.status == "failed"
    pretender.answers = [stream(body)]
    with pytest.raises(SanitizerError, match="cannot be read"):
        list(job.events())


def test_waiting(pretender: Pretender, job: Job, naps: list[float]) -> None:
    def client_job(*statuses: str, **more: Any) -> Job:
        pretender.answers = [json_answer({**JOB, "status": status, **more}) for status in statuses]
        return pretender.client().job("j")

    assert client_job("queued", *["pass1_running"] * 20, "success").wait().done
    assert len(naps) == 20
    assert naps == sorted(naps)
    assert naps[-1] == 2.0
    with pytest.raises(JobFailed, match="late") as failed:
        client_job("failed", error={"kind": "late", "message": "too late"}).wait()
    assert (failed.value.kind, failed.value.message) == ("late", "too late")
    with pytest.raises(JobCancelled):
        client_job("queued", "cancelled").wait()
    with pytest.raises(WaitTimeout):
        client_job("queued", "queued").wait(0)
    assert repr(job) == "Job('j', status='success')"


def test_configuration(monkeypatch: pytest.MonkeyPatch, pretender: Pretender) -> None:
    monkeypatch.delenv("SANITIZER_API_KEY", raising=False)
    monkeypatch.delenv("SANITIZER_API_URL", raising=False)
    with pytest.raises(ValueError, match="SANITIZER_API_KEY"):
        Client()
    with pytest.raises(ValueError, match="http"):
        Client("127.0.0.1:8080", "key")
    with Client(api_key="secret") as client:
        assert client.url == "http://127.0.0.1:8080"
        assert "secret" not in repr(client)
    monkeypatch.setenv("SANITIZER_API_KEY", "of the environment\n")
    monkeypatch.setenv("SANITIZER_API_URL", f"{pretender.url}/api/v1/")
    pretender.answers = [json_answer(ME), json_answer({"datasets": [], "next_cursor": None})]
    with Client() as client:
        assert list(client.datasets()) == []
        assert client.tenant == "default"
    assert [seen.path for seen in pretender.seen] == ["/api/v1/me", "/api/v1/datasets/default?limit=100"]
    assert pretender.seen[0].headers["authorization"] == "Bearer of the environment"
    for verify in (True, False, ssl.create_default_context()):
        Client("https://127.0.0.1", verify=verify, timeout=httpx.Timeout(5)).close()
    with pytest.raises(FileNotFoundError):
        Client("https://127.0.0.1", verify="nowhere.pem")


@pytest.mark.parametrize(
    "error",
    [
        UnprocessableError(422, "about:blank", "Invalid", "no", "steps[0]", 1.5),
        JobFailed("j", "refused", "cannot be read"),
        JobCancelled("j"),
        WaitTimeout("j", "queued"),
        UploadInterrupted("broken", "u"),
        IncompleteDownload("broken"),
    ],
)
def test_errors_go_between_processes(error: SanitizerError) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))
