"""Files in parts."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from conftest import Answer, Pretender, Seen, json_answer, problem
from data_sanitizer import (
    ApiError,
    Client,
    ConflictError,
    NotFoundError,
    TransportError,
    Upload,
    UploadInterrupted,
    _uploads,
)

ID = "01a21975-d7cc-72ad-b433-4c2f21caaffb"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_uploads, "PART_BYTES", 1000)


def content(size: int = 4500) -> bytes:
    return (b"id\n" + b"\n".join(b"%d" % number for number in range(size)))[:size]


def test_parts(client: Client) -> None:
    steps: list[tuple[int, int | None]] = []
    upload = client.upload(io.BytesIO(content()), name="x.csv", on_progress=lambda *at: steps.append(at))
    assert upload.sha256 == hashlib.sha256(content()).hexdigest()
    assert upload.bytes == 4500
    assert upload.completed_at is not None
    assert [part.bytes for part in upload.parts] == [1000, 1000, 1000, 1000, 500]
    assert steps == [(1000, 4500), (2000, 4500), (3000, 4500), (4000, 4500), (4500, 4500)]
    assert client.submit(upload).wait(60).dataset == "x"


def test_whole_parts_and_no_bytes(client: Client) -> None:
    assert len(client.upload(io.BytesIO(content(2000))).parts) == 2
    assert [part.bytes for part in client.upload(io.BytesIO()).parts] == [0]


def test_size_of_parts(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    monkeypatch.setattr(_uploads, "_MOST_PARTS", 3)
    assert [part.bytes for part in client.upload(io.BytesIO(content(4500))).parts] == [1500] * 3


def test_too_many_parts(monkeypatch: pytest.MonkeyPatch, client: Client) -> None:
    """Where the length is not known beforehand, the parts may not do."""
    monkeypatch.setattr(_uploads, "_MOST_PARTS", 3)
    monkeypatch.setattr(_uploads, "_STREAM_PART_BYTES", 1000)

    class Stream(io.BytesIO):
        def seekable(self) -> bool:
            return False

    with pytest.raises(ValueError, match="too large"):
        client.upload(Stream(content(4500)))


def test_resume(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 3000:
                raise OSError("the disk is gone")
            return super().read(size)

    begun: list[Upload] = []
    send = _uploads._send

    def spy(*arguments: object) -> Upload:
        begun.append(arguments[2])  # type: ignore[arg-type]
        return send(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_uploads, "_send", spy)
    with pytest.raises(OSError, match="disk"):
        client.upload(Broken(content()), name="x.csv")
    identifier = begun[0].upload_id

    sent: list[int] = []
    put = _uploads._put

    def count(*arguments: object) -> None:
        sent.append(arguments[2])  # type: ignore[arg-type]
        put(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(_uploads, "_put", count)
    # Parts have the size that they had.
    monkeypatch.setattr(_uploads, "PART_BYTES", 700)
    upload = client.upload(io.BytesIO(content()), resume=identifier)
    assert sent == [4, 5]
    assert upload.sha256 == hashlib.sha256(content()).hexdigest()
    # What is complete is not sent again, nor taken for something else.
    assert client.upload(io.BytesIO(content()), resume=identifier) == upload
    with pytest.raises(ValueError, match="another file"):
        client.upload(io.BytesIO(content()[:-1] + b"x"), resume=identifier)
    with pytest.raises(ValueError, match="longer file"):
        client.upload(io.BytesIO(content(1500)), resume=identifier)
    assert sent == [4, 5]


def test_removal(client: Client, other_tenant: Client) -> None:
    upload = client.upload(io.BytesIO(content()), name="x.csv")
    with pytest.raises(NotFoundError):
        other_tenant.delete_upload(upload)
    client.submit(upload).wait(60)
    client.delete_upload(upload)
    for identifier in (upload.upload_id, ID, "no identifier"):
        with pytest.raises(NotFoundError):
            client.delete_upload(identifier)
    with pytest.raises(NotFoundError):
        client.upload(io.BytesIO(content()), resume=upload.upload_id)
    needed = other_tenant.upload(io.BytesIO(content()))
    job = other_tenant.submit(needed, dataset="x")
    with pytest.raises(ConflictError, match="needs it"):
        other_tenant.delete_upload(needed)
    job.cancel()
    other_tenant.delete_upload(needed.upload_id)


def test_removal_of_what_broke_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> Upload:
        raise TransportError("broken")

    monkeypatch.setattr(_uploads, "_complete", broken)
    with pytest.raises(UploadInterrupted) as caught:
        client.upload(io.BytesIO(content()))
    client.delete_upload(caught.value.upload_id)
    with pytest.raises(NotFoundError):
        client.upload(io.BytesIO(content()), resume=caught.value.upload_id)


class Store:
    """The uploads of a pretended service."""

    def __init__(self) -> None:
        self.parts: dict[int, bytes] = {}

    def document(self, complete: bool = False) -> dict[str, object]:
        whole = b"".join(self.parts[number] for number in sorted(self.parts))
        return {
            "upload_id": ID,
            "name": "x.csv",
            "created_at": "2026-11-26T20:04:43Z",
            "completed_at": "2026-11-26T20:04:44.5Z" if complete else None,
            "bytes": len(whole) if complete else None,
            "sha256": hashlib.sha256(whole).hexdigest() if complete else None,
            "parts": [
                {"number": number, "bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()}
                for number, part in sorted(self.parts.items())
            ],
        }

    def put(self, seen: Seen) -> dict[str, object]:
        number = int(seen.path.rpartition("/")[2])
        self.parts[number] = seen.body
        digest = hashlib.sha256(seen.body).hexdigest()
        assert seen.headers["x-content-sha256"] == digest
        return {"number": number, "bytes": len(seen.body), "sha256": digest}


def test_parts_are_sent_again(pretender: Pretender, naps: list[float]) -> None:
    store = Store()
    damaged = json_answer(
        {
            "type": "urn:data-sanitizer:problem:invalid",
            "title": "Invalid",
            "status": 422,
            "detail": "",
            "field": "X-Content-SHA256",
        },
        422,
    )
    pretender.answers = [
        problem(503, **{"Retry-After": "2"}),
        lambda _: json_answer(store.document(), 201),
        problem(503),
        lambda seen: json_answer(store.put(seen)),
        damaged,
        lambda seen: json_answer(store.put(seen)),
        problem(502),
        lambda _: json_answer(store.document(complete=True)),
    ]
    with pretender.client() as client:
        upload = client.upload(io.BytesIO(content(1500)), name="x.csv")
    assert upload.bytes == 1500
    assert store.parts == {1: content(1500)[:1000], 2: content(1500)[1000:]}
    assert len(naps) == 4
    assert 2 <= naps[0] < 2.2


def test_an_upload_that_breaks_off(pretender: Pretender, naps: list[float], tmp_path: Path) -> None:
    store = Store()
    file = tmp_path / "x.csv"
    file.write_bytes(content(1500))
    with pretender.client(max_retries=1) as client:
        pretender.answers = [
            lambda _: json_answer(store.document(), 201),
            lambda seen: json_answer(store.put(seen)),
        ]
        pretender.answers += [Answer(silent=True)] * 2
        with pytest.raises(UploadInterrupted) as caught:
            client.upload(file)
        assert caught.value.upload_id == ID
        assert len(naps) == 1
        pretender.answers = [
            lambda _: json_answer(store.document()),
            lambda seen: json_answer(store.put(seen)),
            lambda _: json_answer(store.document(complete=True)),
        ]
        assert client.upload(file, resume=ID).bytes == 1500
    assert [seen.method for seen in pretender.seen[-3:]] == ["GET", "PUT", "POST"]


def test_refusals_are_not_repeated(pretender: Pretender, naps: list[float]) -> None:
    store = Store()
    pretender.answers = [lambda _: json_answer(store.document(), 201), problem(409, "conflict")]
    with pretender.client() as client, pytest.raises(ConflictError):
        client.upload(io.BytesIO(content()))
    pretender.answers = [problem(413, "too-large")]
    with pretender.client() as client, pytest.raises(ApiError) as caught:
        client.upload(io.BytesIO(content()))
    assert caught.value.status == 413
    assert naps == []
