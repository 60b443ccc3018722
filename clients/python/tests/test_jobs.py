"""The life of jobs."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from data_sanitizer import (
    Client,
    ConflictError,
    JobCancelled,
    JobFailed,
    JobInfo,
    NotFoundError,
    UnprocessableError,
    WaitTimeout,
)


def csv(rows: int = 3) -> io.BytesIO:
    return io.BytesIO(b"id,age\n" + b"".join(b"%d,%d\n" % (row, row % 90) for row in range(rows)))


def test_bad_specs(client: Client, name: str) -> None:
    for steps, field in (
        ([{"type": "dedupe", "columnz": "*"}], "steps[0].columnz"),
        ([{"type": "dedupe"}, {"type": "nope"}], "steps[1].type"),
    ):
        with pytest.raises(UnprocessableError) as caught:
            client.clean(csv(), dataset=name, steps=steps)
        assert caught.value.status == 422
        assert caught.value.field == field
        assert caught.value.type == "urn:data-sanitizer:problem:invalid"
        assert field in str(caught.value)
    with pytest.raises(UnprocessableError) as caught:
        client.submit(csv(), dataset=name, rules=["no such rule"])
    assert caught.value.field == "rules"
    with pytest.raises(UnprocessableError) as caught:
        client.submit(csv(), dataset=name, priority=101)
    assert caught.value.field == "priority"
    with pytest.raises(UnprocessableError) as caught:
        client.submit("s3://somewhere/else.csv", dataset=name)
    assert caught.value.field == "source.location"


def test_arguments_that_contradict(client: Client) -> None:
    for arguments, words in (
        ({"steps": [], "spec": {"steps": []}}, "steps"),
        ({"contract": {}, "spec": {"dataset": {}}}, "contract"),
        ({"spec": {"source": {"location": "upload:x"}}}, "location"),
    ):
        with pytest.raises(ValueError, match=words):
            client.submit(csv(), **arguments)
    with pytest.raises(ValueError, match="no data"):
        client.submit(dataset="x")


def test_data_that_cannot_be_read(client: Client, name: str) -> None:
    file = io.BytesIO(b"PAR1 this is no Parquet file PAR1")
    with pytest.raises(JobFailed) as caught:
        client.clean(file, dataset=name, spec={"source": {"format": "parquet"}})
    assert caught.value.kind == "refused"
    assert "Parquet" in caught.value.message
    job = client.job(caught.value.job_id)
    assert job.status == "failed"
    assert job.info.error is not None
    assert job.info.error.message == caught.value.message
    (attempt,) = job.attempts()
    assert (attempt.attempt, attempt.outcome) == (1, "failed")
    assert attempt.error == job.info.error


def test_rule_that_must_hold(client: Client, name: str) -> None:
    rule = {"column": "age", "rule": {"range": {"max": 1}}}
    with pytest.raises(JobFailed, match="range") as caught:
        client.clean(csv(), dataset=name, steps=[{"type": "rules", "on_violation": "fail", "rules": [rule]}])
    assert caught.value.kind == "refused"


def test_failure_comes_with_the_first_question(client: Client, name: str) -> None:
    cleaned = client.clean(io.BytesIO(b""), dataset=name, wait=False)
    with pytest.raises(JobFailed):
        _ = cleaned.data


def test_cancel_of_a_job_that_waits(other_tenant: Client) -> None:
    job = other_tenant.submit(csv(), dataset="x")
    assert job.status == "queued"
    assert not job.done
    with pytest.raises(WaitTimeout) as caught:
        job.wait(0.2)
    assert isinstance(caught.value, TimeoutError)
    assert (caught.value.job_id, caught.value.status) == (job.id, "queued")
    assert job.cancel().status == "cancelled"
    with pytest.raises(JobCancelled) as cancelled:
        job.wait()
    assert cancelled.value.job_id == job.id
    with pytest.raises(ConflictError):
        job.cancel()


def test_cancel_of_a_job_that_runs(client: Client, name: str) -> None:
    job = client.submit(csv(1_000_000), dataset=name)
    for event in job.events():
        if event.kind == "started":
            break
    assert job.cancel().info.cancel_requested
    with pytest.raises(JobCancelled):
        job.wait(60)
    assert job.attempts()[0].outcome == "cancelled"


def test_clean_in_time(other_tenant: Client) -> None:
    with pytest.raises(WaitTimeout) as caught:
        other_tenant.clean(csv(), dataset="x", timeout=0.1)
    other_tenant.job(caught.value.job_id).cancel()


def test_progress(client: Client, name: str) -> None:
    seen: list[JobInfo] = []
    job = client.submit(csv(200_000), dataset=name, priority=5, deadline_seconds=600)
    assert job.wait(120, on_progress=seen.append) is job
    assert seen[-1].status == "success"
    assert seen[-1].progress.pass2_progress == 1.0
    assert seen[-1].priority == 5
    assert seen[-1].deadline_at is not None
    assert len({(info.status, info.progress, info.metrics) for info in seen}) == len(seen)


def test_events(client: Client, name: str) -> None:
    job = client.submit(csv(200_000), dataset=name)
    events = list(job.events())
    numbered = [event for event in events if event.seq is not None]
    assert [event.seq for event in numbered] == list(range(1, len(numbered) + 1))
    kinds = [event.kind for event in numbered]
    assert kinds[:2] + kinds[-1:] == ["queued", "started", "success"]
    # A worker looks now and then where its job is.
    assert {(event.kind, event.data["status"]) for event in numbered[2:-1]} <= {("status", "pass2_running")}
    assert numbered[-1].data["version"] == 1
    assert all(event.at is not None and event.job is None for event in numbered)
    assert {event.kind for event in events if event.job is not None} == {"progress"}
    assert events[-1].job is not None
    assert events[-1].job.status == "success"
    later = [event.seq for event in job.events(after=1) if event.seq is not None]
    assert later == list(range(2, len(numbered) + 1))


def test_events_of_a_cancelled_job(other_tenant: Client) -> None:
    job = other_tenant.submit(csv(), dataset="x")
    timer = threading.Timer(0.3, job.cancel)
    timer.start()
    events = list(job.events())
    timer.join()
    assert [event.kind for event in events if event.seq] == ["queued", "cancelled"]


def test_idempotency(client: Client, name: str) -> None:
    upload = client.upload(csv(), name="x.csv")
    spec: dict[str, Any] = {"steps": []}
    first = client.submit(upload, dataset=name, spec=spec, idempotency_key=name)
    second = client.submit(upload, dataset=name, spec=spec, idempotency_key=name)
    assert first.id == second.id
    assert client.submit(upload, dataset=name, spec=spec).id != first.id
    with pytest.raises(UnprocessableError) as caught:
        client.submit(upload, dataset=name, idempotency_key=name)
    assert caught.value.type.endswith(":key-reused")
    assert client.submit(spec={"source": {"location": upload.location}}, dataset=name).wait().done
    assert client.submit(upload.location, dataset=name).wait(60).status == "success"


def test_idempotency_of_data(client: Client, name: str, tmp_path: Path) -> None:
    """Data that is sent again is the same request: its content counts."""
    frame = pd.DataFrame({"id": [1, 1, 2], "name": ["Ann", "Ann", None]})
    path = tmp_path / "x.csv"
    path.write_bytes(csv().getvalue())
    datas: list[Callable[[], Any]] = [
        lambda: frame,
        lambda: pl.from_pandas(frame),
        lambda: pl.from_pandas(frame).lazy(),
        lambda: pa.Table.from_pandas(frame),
        lambda: path,
        csv,
    ]
    for number, data in enumerate(datas):
        key = f"{name} {number}"
        first = client.submit(data(), dataset=name, idempotency_key=key)
        assert client.submit(data(), dataset=name, idempotency_key=key).id == first.id
        with pytest.raises(UnprocessableError) as caught:
            client.submit(csv(4), dataset=name, idempotency_key=key)
        assert caught.value.type.endswith(":key-reused")
        assert first.wait(60).status == "success"
        # The job is the same when it has ended, too, and when what was sent comes as an upload.
        upload = client.upload(data())
        assert client.submit(upload, dataset=name, idempotency_key=key).id == first.id
        with pytest.raises(UnprocessableError) as caught:
            client.submit(data(), dataset=name, steps=[], idempotency_key=key)
        assert caught.value.type.endswith(":key-reused")
    assert len(list(client.jobs(dataset=name))) == len(datas)


def test_lists(client: Client, name: str) -> None:
    upload = client.upload(csv(), name="x.csv")
    ids = [client.submit(upload, dataset=name).wait(60).id for _ in range(5)]
    assert [job.id for job in client.jobs(dataset=name, page_size=2)] == ids[::-1]
    assert list(client.jobs(dataset=name, status="failed")) == []
    found = next(client.jobs(dataset=name, status="success"))
    assert found.info.metrics.rows_cleaned == 3
    assert ids[0] in {job.id for job in client.jobs(page_size=3)}
    with pytest.raises(UnprocessableError) as caught:
        next(client.jobs(page_size=1001))
    assert caught.value.field == "limit"


def test_no_such_job(client: Client) -> None:
    for wrong in ("01a21975-0000-7000-8000-000000000000", "no identifier", "a/b"):
        with pytest.raises(NotFoundError):
            client.job(wrong)


def test_another_tenant(client: Client, other_tenant: Client, name: str) -> None:
    job = client.submit(pd.DataFrame({"id": [1]}), dataset=name).wait(60)
    assert other_tenant.me().tenant != client.me().tenant
    with pytest.raises(NotFoundError):
        other_tenant.job(job.id)
    with pytest.raises(UnprocessableError, match="no upload"):
        other_tenant.submit(client.upload(csv()).location, dataset="x")
