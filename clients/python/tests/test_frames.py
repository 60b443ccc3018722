"""Frames go there and come back."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from data_sanitizer import Client

ROWS: dict[str, list[Any]] = {
    "id": [1, 1, 2, 3, 4],
    "name": ["Ann", "Ann", "  Bob  ", "Cid", None],
    "age": [30, 30, None, 50, 40],
}
STEPS: list[dict[str, Any]] = [
    {"type": "normalize_text", "columns": ["name"]},
    {"type": "dedupe", "columns": "*"},
    {"type": "impute", "strategy": "median", "columns": ["age"]},
    {"type": "impute", "strategy": "constant", "columns": ["name"], "value": "unknown"},
]
# The duplicate is gone, Bob has no blanks around him, and what was missing is filled.
CLEAN = {"id": [1, 2, 3, 4], "name": ["Ann", "Bob", "Cid", "unknown"], "age": [30, 40, 50, 40]}


def test_pandas(client: Client, name: str) -> None:
    frame = pd.DataFrame(ROWS, index=pd.Index([7, 7, 8, 9, 10], name="left out"))
    cleaned = client.clean(frame, dataset=name, steps=STEPS)
    data = cleaned.data
    assert isinstance(data, pd.DataFrame)
    assert data.to_dict("list") == CLEAN
    assert data.index.equals(pd.RangeIndex(4))
    assert cleaned.data is data
    assert cleaned.job.dataset == name
    assert cleaned.report["summary"]["cleaned_row_count"] == 4
    # What was sent stays as it was.
    assert frame["name"][8] == "  Bob  "


def test_polars(client: Client, name: str) -> None:
    cleaned = client.clean(pl.DataFrame(ROWS), dataset=name, steps=STEPS)
    assert isinstance(cleaned.data, pl.DataFrame)
    assert cleaned.data.to_dict(as_series=False) == CLEAN


def test_polars_lazy(client: Client, name: str) -> None:
    lazy = pl.LazyFrame(ROWS).filter(pl.col("id") < 4)
    cleaned = client.clean(lazy, dataset=name, steps=STEPS[:2])
    assert isinstance(cleaned.data, pl.LazyFrame)
    assert cleaned.data.collect()["name"].to_list() == ["Ann", "Bob", "Cid"]


def test_pyarrow(client: Client, name: str) -> None:
    cleaned = client.clean(pa.table(ROWS), dataset=name, steps=STEPS)
    assert isinstance(cleaned.data, pa.Table)
    assert cleaned.data.to_pydict() == CLEAN
    assert cleaned.data.schema.field("name").type == pa.string()
    assert cleaned.to_pandas().to_dict("list") == CLEAN
    assert cleaned.to_polars().to_dict(as_series=False) == CLEAN
    assert cleaned.to_arrow().equals(cleaned.data)


def test_default_pipeline_and_name(client: Client) -> None:
    cleaned = client.clean(pd.DataFrame(ROWS))
    assert cleaned.job.dataset == "dataframe"
    assert cleaned.data["age"].isna().sum() == 0
    assert len(cleaned.data) == 4


def test_pandas_types(client: Client, name: str) -> None:
    large = 2**60 + 1
    frame = pd.DataFrame(
        {
            "large": pd.array([large, None, 3], dtype="Int64"),
            "flag": pd.array([True, None, False], dtype="boolean"),
            "real": [1.5, float("nan"), 2.5],
            "day": [dt.date(2024, 1, 31), None, dt.date(2024, 2, 1)],
            "at": pd.Series([pd.Timestamp("2024-01-31 12:30:00.123456"), pd.NaT, pd.Timestamp("2024-02-01")]),
            "there": pd.date_range("2024-07-01 12:00", periods=3, tz="Europe/Berlin"),
            "price": [Decimal("1.20"), None, Decimal("3.45")],
            "kind": pd.Categorical(["a", None, "b"]),
            "nothing": [None, None, None],
            "no kind": pd.Categorical([None, None, None]),
            "mixed": [1, "two", None],
            "huge": [2**70, None, 1],
            "span": pd.cut(pd.Series([1, 5, 9]), [0, 4, 10]),
            "month": pd.period_range("2024-01", periods=3, freq="M"),
            "text": ["ä", "a\u2028b", "x"],
            5: [1, 2, 3],
        }
    )
    data = client.clean(frame, dataset=name, steps=[]).data
    assert list(data.columns) == [str(column) for column in frame.columns]
    assert data["large"].tolist() == [large, pd.NA, 3]
    assert data["large"].dtype == "Int64"
    assert data["flag"].dtype == "boolean"
    assert data["flag"].tolist() == [True, pd.NA, False]
    assert data["real"].isna().tolist() == [False, True, False]
    assert data["day"].tolist() == [dt.date(2024, 1, 31), None, dt.date(2024, 2, 1)]
    assert data["at"].iloc[0] == pd.Timestamp("2024-01-31 12:30:00.123456", tz="UTC")
    assert data["there"].iloc[0] == pd.Timestamp("2024-07-01 10:00", tz="UTC")
    assert data["price"].tolist()[0] == Decimal("1.20")
    assert data["kind"].tolist()[::2] == ["a", "b"]
    assert data["nothing"].isna().all()
    assert data["no kind"].isna().all()
    assert data["mixed"].tolist()[:2] == ["1", "two"]
    assert data["huge"].astype(object).tolist()[0] in (str(2**70), Decimal(2**70))
    assert data["span"].tolist() == ["(0, 4]", "(4, 10]", "(4, 10]"]
    assert data["month"].astype(str).tolist() == ["2024-01", "2024-02", "2024-03"]
    assert data["text"].tolist() == ["ä", "a\u2028b", "x"]
    assert data["5"].tolist() == [1, 2, 3]


def test_pandas_in_several_chunks(client: Client, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("data_sanitizer._frames._CHUNK_ROWS", 100)
    frame = pd.DataFrame({"id": range(1050), "text": [None] * 500 + [f"x{i}" for i in range(550)]})
    data = client.clean(frame, dataset=name, steps=[]).data
    assert data["id"].tolist() == list(range(1050))
    assert data["text"].tolist()[-1] == "x549"
    assert data["text"].isna().sum() == 500


def test_empty_frames(client: Client, name: str) -> None:
    frame = pd.DataFrame({"id": pd.Series([], dtype="int64"), "name": pd.Series([], dtype="str")})
    data = client.clean(frame, dataset=name).data
    assert list(data.columns) == ["id", "name"]
    assert len(data) == 0


def test_what_cannot_be_sent(client: Client) -> None:
    with pytest.raises(ValueError, match="several columns are named 'a'"):
        client.clean(pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(TypeError, match="column 'z' cannot be sent"):
        client.clean(pd.DataFrame({"z": [1 + 2j]}))
    with pytest.raises(TypeError, match="not list"):
        client.clean([1, 2, 3])


def test_wait_later(client: Client, name: str) -> None:
    cleaned = client.clean(pl.DataFrame(ROWS), dataset=name, steps=STEPS, wait=False)
    assert cleaned.data.height == 4
    assert cleaned.job.status == "success"
