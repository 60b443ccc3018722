"""Fixes are decided on, and tokens turned back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from conftest import Pretender, Service, json_answer, problem
from data_sanitizer import (
    ApiError,
    Client,
    ConflictError,
    Decision,
    ForbiddenError,
    Job,
    UnprocessableError,
    _http,
)

CSV = b"""id,status,age,mail
1,activ,30,a@example.org
1,activ,30,a@example.org
2,inactiv,,b@example.org
3,suspendedd,50,c@example.org
4,active,9,d@example.org
"""
CONTRACT: dict[str, Any] = {
    "columns": [
        {"name": "status", "canonical_values": ["active", "inactive", "suspended"]},
        {"name": "age", "type": "integer"},
        {"name": "mail", "pii": True, "pii_strategy": "redact"},
    ]
}


@pytest.fixture
def job(client: Client, name: str) -> Job:
    return client.clean(io.BytesIO(CSV), dataset=name, contract=CONTRACT).job


def rows(job: Job, tmp_path: Path) -> list[list[str]]:
    lines = job.download(tmp_path / "clean.csv").read_text().splitlines()
    return [line.split(",")[:3] for line in lines[1:]]


def test_fixes(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    fixes = list(job.fixes())
    assert {(fix.row_id, fix.column_name) for fix in fixes} >= {(0, "status"), (2, "status"), (3, "status")}
    assert all(fix.confidence_score < 1 and fix.review is None for fix in fixes)
    (fix,) = (fix for fix in job.fixes(column="status") if fix.row_id == 2)
    assert (fix.original_value, fix.cleaned_value) == ("inactiv", "inactive")
    least = min(fix.confidence_score for fix in fixes)
    assert list(job.fixes(confidence_below=least)) == []
    assert list(job.fixes("decided")) == []
    assert list(job.fixes(status="all")) == fixes
    # Pages on which all is decided are empty, and not the last ones.
    monkeypatch.setattr("data_sanitizer._jobs._ROWS_OF_A_PAGE", 1)
    assert job.decide([fixes[0].approve()]) == 1
    assert list(job.fixes()) == fixes[1:]
    with pytest.raises(UnprocessableError) as caught:
        list(job.fixes(confidence_below=2))
    assert caught.value.field == "confidence_below"


def test_decisions_are_published(service: Service, client: Client, job: Job, tmp_path: Path) -> None:
    before = rows(job, tmp_path)
    with pytest.raises(ConflictError, match="nobody has decided"):
        job.publish_review()
    assert job.decide(fix.approve() for fix in job.fixes()) == len(list(job.fixes("all")))
    assert list(job.fixes()) == []
    assert job.decide([]) == 0
    reviewer = client.keys.create("looks at fixes", "reviewer", datasets=[job.dataset])
    with service.client(reviewer.secret) as theirs:
        status = {fix.row_id: fix for fix in theirs.job(job.id).fixes("decided", column="status")}
        edits = [
            status[2].reject(),
            status[3].edit("gone"),
            Decision(row_id=2, column_name="age", decision="edit", value=None),
        ]
        # They stand over the earlier ones.
        assert theirs.job(job.id).decide(edits) == 3
        revised = theirs.job(job.id).publish_review()
        assert revised.wait(60).status == "success"
    decided = {(fix.row_id, fix.column_name): fix.review for fix in job.fixes("decided")}
    review = decided[3, "status"]
    assert review is not None
    assert (review.decision, review.value) == ("edit", "gone")
    assert reviewer.id in review.decided_by
    assert review.decided_at is not None
    assert revised.id != job.id
    revised = client.job(revised.id)
    assert revised.dataset == job.dataset
    expected = [row.copy() for row in before]
    expected[1][1:] = ["inactiv", ""]
    expected[2][1] = "gone"
    assert rows(revised, tmp_path) == expected
    cells = list(revised.provenance(transformation_id="review"))
    assert {(cell.row_id, cell.column_name) for cell in cells} >= {(2, "age"), (2, "status"), (3, "status")}
    assert {(cell.source, cell.confidence_score) for cell in cells} == {("human_override", 1.0)}
    lineage = client.dataset(job.dataset).lineage(2)
    assert lineage.version.job_id == revised.id
    assert lineage.transformations[-1]["type"] == "review"
    assert rows(job, tmp_path) == before


def test_decisions_that_cannot_be(job: Job) -> None:
    status, age = next(job.fixes(column="status")), next(job.provenance(column="age"))
    for decision, words in (
        (Decision(row_id=0, column_name="status", decision="approve", value="x"), "only an edit"),
        (Decision(row_id=4, column_name="status", decision="approve"), "did not change"),
        (Decision(row_id=0, column_name="mail", decision="reject"), "no such column"),
        (age.edit("old"), "type"),
    ):
        with pytest.raises(UnprocessableError, match=words) as caught:
            job.decide([status.approve(), decision])
        assert caught.value.field == "decisions[1]"
    # Of a request that was refused, nothing is kept.
    assert list(job.fixes("decided")) == []


def test_review_before_the_end(other_tenant: Client) -> None:
    job = other_tenant.submit(io.BytesIO(CSV), dataset="x")
    for look in (
        lambda: list(job.fixes()),
        lambda: job.decide([Decision(row_id=0, column_name="status", decision="approve")]),
        job.publish_review,
    ):
        with pytest.raises(ConflictError, match="no output"):
            look()
    job.cancel()


def test_many_decisions(pretender: Pretender, naps: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_http, "_MOST_OF_A_REQUEST", 2)
    state = {"job_id": "j", "dataset_id": "d", "dataset_name": "x", "status": "success"}
    pretender.answers = [json_answer(state)]
    job = pretender.client().job("j")
    decisions = [Decision(row_id=row, column_name="a", decision="reject") for row in range(5)]
    pretender.answers = [json_answer({"decided": number}) for number in (2, 2, 1)]
    assert job.decide(decisions) == 5
    # Neither is sent again: others may have decided meanwhile, and each publication makes a version.
    pretender.answers = [problem(503), problem(503)]
    for call in (lambda: job.decide(decisions), job.publish_review):
        with pytest.raises(ApiError):
            call()
    assert naps == []


@pytest.fixture
def tokens(client: Client, name: str) -> list[str]:
    contract = {"columns": [{"name": "email", "pii": True, "pii_strategy": "tokenize"}]}
    frame = pd.DataFrame({"email": ["ann@example.org", "bob@example.org", "ann@example.org"]})
    data = client.clean(frame, dataset=name, contract=contract, steps=[]).data
    return [str(token) for token in data["email"]]


def test_tokens(client: Client, tokens: list[str], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens[0] == tokens[2] != tokens[1]
    reason = f"somebody asks for {name}"
    ann, unknown, bob = client.reveal([tokens[0], "tok_unknown", tokens[1]], reason)
    assert (ann.token, ann.value, ann.column_name) == (tokens[0], "ann@example.org", "email")
    assert (unknown.token, unknown.value, unknown.job_id) == ("tok_unknown", None, None)
    assert bob.value == "bob@example.org"
    assert "ann@" not in repr(ann)
    record = next(client.audit(action="tokens_revealed"))
    assert (record.details["reason"], len(record.details["tokens"])) == (reason, 3)
    assert "example.org" not in str(record)
    assert client.reveal([], reason) == []
    monkeypatch.setattr(_http, "_MOST_OF_A_REQUEST", 2)
    assert [token.value for token in client.reveal(tokens, reason)] == [ann.value, bob.value, ann.value]


def test_tokens_that_are_not_turned_back(
    service: Service, client: Client, other_tenant: Client, tokens: list[str], name: str
) -> None:
    for reason in ("", " " * 3, "x" * 1001):
        with pytest.raises(UnprocessableError) as caught:
            client.reveal(tokens, reason)
        assert caught.value.field == "reason"
    with pytest.raises(TypeError, match="several"):
        client.reveal(tokens[0], "a slip")
    assert [token.value for token in other_tenant.reveal(tokens, "curious")] == [None] * 3
    engineer = client.keys.create("curious", "data_engineer")
    limited = client.keys.create("limited", "admin", datasets=[name])
    for key, words in ((engineer, "tokens:reveal"), (limited, "limited to some datasets")):
        with service.client(key.secret) as theirs, pytest.raises(ForbiddenError, match=words):
            theirs.reveal(tokens, "curious")


def test_reveal_is_repeated(pretender: Pretender, naps: list[float]) -> None:
    pretender.answers = [problem(503), json_answer({"tokens": [{"token": "tok_1", "value": "x"}]})]
    (revealed,) = pretender.client().reveal(["tok_1"], "a reason")
    assert (revealed.value, len(naps)) == ("x", 1)
