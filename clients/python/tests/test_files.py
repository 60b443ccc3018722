"""Files go there, and what came of them is looked at in every way."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import Service
from data_sanitizer import (
    CellChange,
    Cleaned,
    Client,
    ConflictError,
    IncompleteDownload,
    NotFoundError,
)

CSV = b"""id,name,age,note
1,Ann,30,=1+1
1,Ann,30,=1+1
2,  Bob ,,b
3,Cid,50,c
4,Dan,900,d
5,Eve,40
"""
CONTRACT: dict[str, Any] = {
    "columns": [{"name": "age", "type": "integer", "business_rules": [{"range": {"min": 0, "max": 120}}]}]
}
STEPS: list[dict[str, Any]] = [
    {"type": "normalize_text"},
    {"type": "rules", "on_violation": "quarantine"},
    {"type": "dedupe"},
    {"type": "impute", "strategy": "median", "columns": ["age"]},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "customers.2024.csv"
    path.write_bytes(CSV)
    return path


@pytest.fixture
def cleaned(client: Client, name: str, source: Path) -> Cleaned[pa.Table]:
    return client.clean(source, dataset=name, steps=STEPS, contract=CONTRACT)


def test_path(cleaned: Cleaned[pa.Table]) -> None:
    assert cleaned.data.column("id").to_pylist() == [1, 2, 3]
    assert cleaned.data.column("name").to_pylist() == ["Ann", "Bob", "Cid"]
    assert cleaned.data.column("age").to_pylist() == [30, 40, 50]


def test_name_of_the_file(client: Client, source: Path) -> None:
    assert client.clean(str(source)).job.dataset == "customers"
    with source.open("rb") as file:
        assert client.clean(file).job.dataset == "customers"
    assert client.clean(io.BytesIO(CSV)).job.dataset == "upload"
    assert client.clean(source, spec={"name": "of the spec"}).job.dataset == "of the spec"


def test_open_file_from_its_position(client: Client, name: str, source: Path) -> None:
    with source.open("rb") as file:
        file.readline()
        spec = {"source": {"options": {"header": False}}, "steps": []}
        data = client.clean(file, dataset=name, spec=spec).data
    assert data.column(1).to_pylist()[0] == "Ann"


def test_pipe(client: Client, name: str) -> None:
    """A file whose length nobody knows, and that gives a few bytes at a time."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            for start in range(0, len(CSV), 10):
                pipe.write(CSV[start : start + 10])

    thread = threading.Thread(target=write)
    thread.start()
    with os.fdopen(reading, "rb") as pipe:
        data = client.clean(pipe, dataset=name, steps=[]).data
    thread.join()
    assert data.num_rows == 5


def test_text_files_are_refused(client: Client, source: Path) -> None:
    with source.open() as file, pytest.raises(TypeError, match="reading bytes"):
        client.clean(file)
    with pytest.raises(FileNotFoundError):
        client.clean(source.with_name("nowhere.csv"))


def test_report(cleaned: Cleaned[pa.Table]) -> None:
    summary = cleaned.report["summary"]
    assert summary["original_row_count"] == 6
    assert summary["cleaned_row_count"] == 3
    assert cleaned.report is cleaned.report
    assert "<html" in cleaned.job.report_html()
    metrics = cleaned.job.info.metrics
    assert (metrics.rows_processed, metrics.rows_cleaned, metrics.duplicates_found) == (6, 3, 1)


def test_provenance(cleaned: Cleaned[pa.Table]) -> None:
    def cells(**which: Any) -> list[tuple[int, str, str | None, str | None]]:
        found = cleaned.provenance(**which)
        return [(c.row_id, c.column_name, c.original_value, c.cleaned_value) for c in found]

    filled, trimmed = (2, "age", None, "40"), (2, "name", "  Bob ", "Bob")
    assert sorted(cells()) == [filled, trimmed]
    assert cells(column="name") == [trimmed]
    assert sorted(cells(row_id=2)) == [filled, trimmed]
    assert cells(row_id=3) == []
    assert cells(confidence_below=1.0) == [filled]
    (trim,) = cleaned.provenance(column="name")
    assert isinstance(trim, CellChange)
    assert trim.confidence_score == 1.0
    assert cells(transformation_id=trim.transformation_id) == [trimmed]
    counts = {(c.column_name, c.cells, c.low_confidence) for c in cleaned.job.provenance_counts()}
    assert counts == {("name", 1, 0), ("age", 1, 1)}


def test_provenance_pages(client: Client, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_sanitizer._jobs._ROWS_OF_A_PAGE", 7)
    rows = "".join(f" {number} , x{number % 10} \n" for number in range(25))
    file = io.BytesIO(b"a,b\n" + rows.encode())
    steps: list[dict[str, Any]] = [{"type": "normalize_text"}, {"type": "dedupe", "columns": ["b"]}]
    cleaned = client.clean(file, dataset=name, steps=steps)
    found = {(cell.row_id, cell.column_name) for cell in cleaned.provenance(column="b")}
    # What is removed has no provenance.
    assert found == {(row, "b") for row in range(10)}
    assert [row.row_id for row in cleaned.removed()] == list(range(10, 25))


def test_removed_and_quarantine(cleaned: Cleaned[pa.Table]) -> None:
    (removed,) = cleaned.removed()
    assert (removed.row_id, removed.reason, removed.duplicate_of) == (1, "duplicate", 0)
    assert list(cleaned.removed(reason="other")) == []
    assert list(cleaned.removed(row_id=1)) == [removed]
    ruled, short = sorted(cleaned.quarantine(), key=lambda row: row.row_id)
    assert (ruled.row_id, ruled.column_name) == (4, "age")
    assert (short.row_id, short.raw) == (5, "5,Eve,40")
    assert list(cleaned.quarantine(reason=short.reason)) == [short]


def test_downloads(cleaned: Cleaned[pa.Table], tmp_path: Path) -> None:
    target = tmp_path / "clean.csv"
    target.write_text("an older one")
    assert cleaned.download(target) == target
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [row["name"] for row in rows] == ["Ann", "Bob", "Cid"]
    # A spreadsheet would run it.
    assert rows[0]["note"] == "'=1+1"
    cleaned.download(target, formulas="keep")
    assert "'=1+1" not in target.read_text()
    lines = cleaned.download(tmp_path / "clean.jsonl").read_text().splitlines()
    assert json.loads(lines[1]) == {"id": 2, "name": "Bob", "age": 40, "note": "b"}
    assert pq.read_table(cleaned.download(tmp_path / "clean.parquet")).num_rows == 3
    assert pq.read_table(cleaned.download(tmp_path / "no ending", table="removed")).num_rows == 1
    assert cleaned.download(tmp_path / "lost.txt", "csv", "quarantine").read_text().count("\n") == 3
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_downloads_that_cannot_be(cleaned: Cleaned[pa.Table], tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(NotFoundError, match="table"):
        cleaned.download(tmp_path / "clusters.parquet", table="clusters")
    with pytest.raises(IsADirectoryError):
        cleaned.download(tmp_path)
    with pytest.raises(FileNotFoundError):
        cleaned.download(tmp_path / "nowhere" / "clean.csv")
    assert sorted(tmp_path.iterdir()) == before


def test_files(cleaned: Cleaned[pa.Table], tmp_path: Path) -> None:
    files = {file.path: file for file in cleaned.job.files()}
    data = files["data/part-00000.parquet"]
    assert data.rows == 3
    path = cleaned.job.download_file(data, tmp_path / "part")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == data.sha256
    report = cleaned.job.download_file(files["report.json"], tmp_path / "report.json")
    assert json.loads(report.read_text()) == cleaned.report


def test_output_that_is_damaged(service: Service, client: Client, name: str, tmp_path: Path) -> None:
    """The service notices in the middle of a download, when it has sent much already."""
    rows = io.BytesIO(b"a\n" + b"".join(b"x%d\n" % number for number in range(300_000)))
    spec = {"output": {"rows_per_file": 8192 * 16}}
    job = client.clean(rows, dataset=name, steps=[], spec=spec).job
    parts = sorted(service.home.glob(f"**/{job.id}/**/data/part-*.parquet"))
    assert len(parts) == 3
    content = parts[1].read_bytes()
    parts[1].write_bytes(b"\0" * (len(content) // 2) + content[len(content) // 2 :])
    with service.client(max_retries=0) as once, pytest.raises(IncompleteDownload):
        once.job(job.id).download(tmp_path / "clean.csv")
    assert list(tmp_path.iterdir()) == []
    parts[1].write_bytes(content)
    assert job.download(tmp_path / "clean.csv").read_bytes().count(b"\n") == 300_001


def test_libraries_that_are_missing(cleaned: Cleaned[pa.Table], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ImportError, match=r"pip install 'data-sanitizer\[polars\]'"):
        cleaned.to_polars()
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"data-sanitizer\[pandas\]"):
        cleaned.to_pandas()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"data-sanitizer\[pyarrow\]"):
        _ = cleaned.data
    # The files can be had anyway.
    assert cleaned.report["summary"]["cleaned_row_count"] == 3


def test_no_output_yet(other_tenant: Client, source: Path) -> None:
    job = other_tenant.submit(source)
    for look in (job.report, job.files, lambda: list(job.provenance()), lambda: list(job.removed())):
        with pytest.raises(ConflictError, match="no output"):
            look()
    job.cancel()
