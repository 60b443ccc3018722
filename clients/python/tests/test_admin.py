"""Datasets, rules, keys, tenants, and the audit log."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pandas as pd
import pytest

from conftest import Pretender, Service, json_answer
from data_sanitizer import (
    Client,
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthorizedError,
    UnprocessableError,
)

FRAME = pd.DataFrame({"id": [1, 2], "email": ["a@example.org", "b@example.org"]})
CONTRACT = {"columns": [{"name": "email", "pii": True, "pii_strategy": "redact"}]}


def test_me_and_wrong_keys(service: Service, client: Client) -> None:
    me = client.me()
    assert (me.tenant, me.role, me.operator, me.datasets) == ("default", "admin", True, None)
    assert "jobs:submit" in me.actions
    assert client.tenant == "default"
    with service.client("dsk_nobody_knows") as stranger, pytest.raises(UnauthorizedError) as caught:
        stranger.me()
    assert caught.value.status == 401
    with service.client(tenant="other") as stranger, pytest.raises(NotFoundError):
        list(stranger.datasets())


def test_health_steps_and_schema(client: Client) -> None:
    assert client.health().status == "ok"
    steps = {step.type: step for step in client.steps()}
    assert "near_dedupe" in steps
    assert "type: dedupe" in steps["dedupe"].example
    assert steps["dedupe"].schema["type"] == "object"
    assert "properties" in client.job_schema()


def test_datasets(client: Client, name: str) -> None:
    dataset = client.dataset(f"{name} ä/b?c"[:30].replace("/", "-"))
    with pytest.raises(NotFoundError):
        dataset.refresh()
    contract = dataset.add_contract(CONTRACT)
    assert (contract.version, contract.contract) == (1, CONTRACT)
    assert dataset.info.latest_version == 0
    assert dataset.info.latest_contract == 1
    with pytest.raises(UnprocessableError) as caught:
        dataset.add_contract({"columns": [{"name": "x", "type": "strange"}]})
    assert caught.value.field is not None
    assert caught.value.field.startswith("dataset.columns")

    jobs = [client.clean(FRAME, dataset=dataset.name) for _ in range(3)]
    # Jobs are held to the contract of their dataset.
    assert jobs[0].data["email"].tolist() == ["<EMAIL>", "<EMAIL>"]
    versions = list(dataset.versions(page_size=2))
    assert [version.version for version in versions] == [3, 2, 1]
    assert versions[0].job_id == jobs[-1].job.id
    assert versions[0].rows == 2
    lineage = dataset.lineage()
    assert lineage.version == versions[0]
    assert dataset.lineage(1).version == versions[2]
    assert lineage.sources[0]["rows"] == 2
    assert lineage.spec["dataset"]["columns"][0]["pii_strategy"] == "redact"
    assert {step["type"] for step in lineage.transformations} >= {"pii"}
    with pytest.raises(NotFoundError):
        dataset.lineage(9)

    dataset.add_contract({})
    assert [contract.version for contract in dataset.contracts()] == [2, 1]
    same = client.dataset(dataset.info.dataset_id)
    assert same.info == dataset.refresh().info
    names = [known.name for known in client.datasets(page_size=2)]
    assert dataset.name in names
    assert names == sorted(names)
    assert names == sorted(set(names))


def test_provenance_of_personal_data(client: Client, name: str) -> None:
    cleaned = client.clean(FRAME, dataset=name, contract=CONTRACT)
    assert {cell.original_value for cell in cleaned.provenance(column="email")} == {"<EMAIL>"}
    (record,) = client.audit(action="pii_provenance_read", job_id=cleaned.job.id)
    assert record.details["columns"] == ["email"]


def test_rules(client: Client, name: str) -> None:
    rule = client.put_rule(f"{name} ä?", {"steps": [{"type": "normalize_text", "case": "upper"}]})
    assert client.rule(rule.name) == rule
    assert rule in client.rules()
    data = client.clean(pd.DataFrame({"x": ["ann"]}), dataset=name, rules=[rule.name]).data
    assert data["x"].tolist() == ["ANN"]
    with pytest.raises(UnprocessableError) as caught:
        client.put_rule(rule.name, {"steps": [{"type": "nope"}]})
    assert caught.value.field == "steps[0].type"
    client.delete_rule(rule.name)
    with pytest.raises(NotFoundError):
        client.rule(rule.name)
    with pytest.raises(NotFoundError):
        client.delete_rule(rule.name)


def test_keys(service: Service, client: Client, name: str) -> None:
    soon = datetime.now(timezone.utc) + timedelta(hours=1)
    key = client.keys.create(name, "reviewer", datasets=[name], expires_at=soon)
    assert key.secret not in repr(key)
    assert key.expires_at is not None
    assert abs(key.expires_at - soon) < timedelta(seconds=1)
    listed = {known.id: known for known in client.keys.list()}
    assert listed[key.id].datasets == (name,)
    with service.client(key.secret) as reviewer:
        assert reviewer.me().actions == ("jobs:read", "provenance:read", "review:decide")
        with pytest.raises(ForbiddenError, match="jobs:submit") as caught:
            reviewer.clean(FRAME, dataset=name)
        assert caught.value.status == 403
        with pytest.raises(ForbiddenError, match="operator"):
            reviewer.tenants.list()
        client.keys.revoke(key.id)
        with pytest.raises(UnauthorizedError):
            reviewer.me()
    with pytest.raises(NotFoundError):
        client.keys.revoke("0000000000000000")
    with pytest.raises(ValueError, match="time zone"):
        client.keys.create(name, "admin", expires_at=datetime(2030, 1, 1))
    limited = client.keys.create(name, "admin", actions=["jobs:read"])
    with service.client(limited.secret) as reader:
        assert reader.me().actions == ("jobs:read",)
    rotated = client.keys.rotate(limited.id)
    assert (rotated.id, rotated.actions) == (limited.id, ("jobs:read",))
    with service.client(limited.secret) as reader, pytest.raises(UnauthorizedError):
        reader.me()
    with service.client(rotated.secret) as reader:
        assert reader.me().actions == ("jobs:read",)
    maker = client.keys.create(name, "admin", actions=["keys:manage", "jobs:read"])
    with service.client(maker.secret) as limited_maker:
        with pytest.raises(ForbiddenError, match="does not have"):
            limited_maker.keys.create(name, "admin")
        made = limited_maker.keys.create(name, "admin", actions=["jobs:read"])
        with pytest.raises(ConflictError, match="rotate"):
            limited_maker.keys.revoke(maker.id)
    client.keys.revoke(maker.id)
    with service.client(made.secret) as orphan, pytest.raises(UnauthorizedError):
        orphan.me()


def test_users(client: Client, pretender: Pretender) -> None:
    # Nobody comes with a token here.
    assert client.users.list() == []
    with pytest.raises(NotFoundError):
        client.users.suspend("01a21a23-0000-7000-8000-000000000000")
    ann = {
        "id": "01",
        "subject": "ann",
        "role": "reviewer",
        "suspended": True,
        "created_at": "2026-11-26T23:00:00Z",
    }
    pretender.answers = [json_answer({"users": [ann]}), json_answer({**ann, "suspended": False})]
    with pretender.client() as other:
        [user] = other.users.list()
        assert (user.subject, user.suspended) == ("ann", True)
        assert not other.users.suspend(user.id, suspended=False).suspended
    assert (pretender.seen[1].method, pretender.seen[1].path) == ("PATCH", "/api/v1/users/01")
    assert json.loads(pretender.seen[1].body) == {"suspended": False}


def test_keys_of_another_tenant(service: Service, client: Client, name: str) -> None:
    tenant = client.tenants.create(name)
    admin = client.keys.create("theirs", "admin", tenant=name)
    own = client.keys.create("own", "admin")
    with service.client(admin.secret) as theirs:
        with pytest.raises(NotFoundError):
            client.keys.revoke(admin.id)
        with pytest.raises(NotFoundError):
            theirs.keys.revoke(own.id)
        with pytest.raises(ForbiddenError, match="operator"):
            theirs.keys.revoke(own.id, tenant="default")
        assert theirs.me().tenant == name
        with pytest.raises(NotFoundError):
            client.keys.revoke(own.id, tenant=name)
        with pytest.raises(NotFoundError):
            client.keys.revoke(admin.id, tenant="nobody")
        client.keys.revoke(admin.id, tenant=name)
        with pytest.raises(UnauthorizedError):
            theirs.me()
    other = client.keys.create("theirs, too", "admin", tenant=name)
    client.keys.revoke(other.id, tenant=tenant.id)
    client.keys.revoke(own.id, tenant="default")
    assert {key.id for key in client.keys.list() if key.revoked_at} >= {own.id}


def test_tenants(service: Service, client: Client, name: str) -> None:
    tenant = client.tenants.create(name, max_running=1, weight=2.5, rows_per_month=10)
    assert (tenant.max_running, tenant.weight, tenant.rows_per_month) == (1, 2.5, 10)
    with pytest.raises(ConflictError):
        client.tenants.create(name)
    assert tenant.id in {known.id for known in client.tenants.list()}
    changed = client.tenants.update(name, max_queued=3)
    assert (changed.max_queued, changed.rows_per_month) == (3, 10)
    assert client.tenants.update(name, rows_per_month=0).rows_per_month == 0
    lifted = client.tenants.update(name, rows_per_month=None)
    assert (lifted.max_queued, lifted.rows_per_month) == (3, None)
    key = client.keys.create("theirs", "data_engineer", tenant=name)
    with service.client(key.secret) as theirs:
        assert theirs.usage().months == ()
        theirs.clean(FRAME)
        (month,) = theirs.usage().months
        assert (month.jobs, month.rows) == (1, 2)
        assert month.bytes_in > 0
        client.tenants.update(name, suspended=True)
        with pytest.raises(UnauthorizedError):
            theirs.me()
    with pytest.raises(NotFoundError):
        client.tenants.update("nobody", max_queued=3)


def test_a_full_queue_and_a_spent_quota(service: Service, client: Client, name: str) -> None:
    from data_sanitizer import TooManyRequestsError

    client.tenants.create(name, max_running=0, max_queued=1, rows_per_month=2)
    key = client.keys.create("theirs", "admin", tenant=name)
    with service.client(key.secret, max_retries=0) as theirs:
        job = theirs.submit(FRAME)
        with pytest.raises(TooManyRequestsError) as caught:
            theirs.submit(FRAME)
        assert caught.value.type.endswith(":queue-full")
        assert caught.value.retry_after == 30
        client.tenants.update(name, max_running=1)
        job.wait(60)
    with service.client(key.secret) as theirs:
        # Nobody waits for the next month.
        with pytest.raises(TooManyRequestsError) as caught:
            theirs.submit(FRAME)
        assert caught.value.type.endswith(":quota-spent")
        client.tenants.update(name, rows_per_month=None)
        assert theirs.submit(FRAME).wait(60).status == "success"


def test_calls_too_often(service: Service, client: Client, name: str) -> None:
    client.tenants.create(name, calls_per_second=2)
    key = client.keys.create("theirs", "admin", tenant=name)
    with service.client(key.secret) as theirs:
        # Each comes through in the end.
        assert {theirs.me().tenant for _ in range(6)} == {name}


def test_audit(client: Client, name: str) -> None:
    before = client.verify_audit()
    assert before.ok
    cleaned = client.clean(FRAME, dataset=name)
    actions = [record.action for record in client.audit(job_id=cleaned.job.id, page_size=1)]
    assert actions == ["dataset_published", "job_submitted"]
    assert cleaned.data.shape == (2, 2)
    (download,) = client.audit(job_id=cleaned.job.id, action="data_downloaded")
    assert download.details["table"] == "data"
    assert download.actor == client.me().actor
    assert list(client.audit(subject=cleaned.job.id)) == [download]
    assert list(client.audit(since=download.at, until=download.at)) == []
    found = client.audit(actor=download.actor, since=download.at)
    assert download.seq in {record.seq for record in found}
    with pytest.raises(ValueError, match="time zone"):
        client.audit(since=datetime(2030, 1, 1))
    after = client.verify_audit(before.seq, before.hash)
    assert after.ok
    assert after.seq > before.seq
    forged = client.verify_audit(before.seq, "0" * 64)
    assert not forged.ok
    assert forged.broken_at == before.seq
    assert forged.problem
