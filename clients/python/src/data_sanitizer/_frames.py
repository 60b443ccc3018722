"""Data frames: to Parquet on the way there, and back on the way home."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

FrameKind = Literal["pandas", "polars", "polars-lazy", "pyarrow"]

# Rows that are turned into Arrow at a time.
_CHUNK_ROWS = 131_072


def frame_kind(data: object) -> FrameKind | None:
    """The kind of a frame; `None` of what is no frame."""
    # Who holds a frame has imported its library, so nothing is imported to find out.
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return "pandas"
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(data, polars.DataFrame):
        return "polars"
    if polars is not None and isinstance(data, polars.LazyFrame):
        return "polars-lazy"
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is not None and isinstance(data, pyarrow.Table):
        return "pyarrow"
    return None


@contextmanager
def spooled(data: Any, kind: FrameKind) -> Iterator[Path]:
    """Writes a frame to a temporary Parquet file, which is gone afterwards.

    Raises:
        TypeError: A column holds what Parquet cannot.
        ValueError: Two columns have the same name.
        ImportError: A library that is needed for this is not installed.
    """
    with temporary_directory() as folder:
        path = folder / "dataframe.parquet"
        if kind == "pandas":
            _write_pandas(data, path)
        elif kind == "polars":
            data.write_parquet(path)
        elif kind == "polars-lazy":
            data.sink_parquet(path)
        else:
            from pyarrow import parquet

            parquet.write_table(data, path, compression="zstd")
        yield path


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    # Where files that are still open cannot be removed, the system clears them away later.
    with TemporaryDirectory(prefix="data-sanitizer-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _write_pandas(frame: pd.DataFrame, path: Path) -> None:
    """Writes a pandas frame without its index.

    One column, or some rows, at a time: the frame is never in memory a second time.
    """
    pa = _pyarrow()
    from pyarrow import parquet

    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"several columns are named {', '.join(map(repr, twice))}")
    columns = [_column_of(frame.iloc[:, number], name) for number, name in enumerate(names)]
    schema = pa.schema([(name, kind) for name, (kind, _) in zip(names, columns, strict=True)])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        for start in range(0, len(frame), _CHUNK_ROWS):
            rows = frame.iloc[start : start + _CHUNK_ROWS]
            arrays = [convert(rows.iloc[:, number]) for number, (_, convert) in enumerate(columns)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def _column_of(series: pd.Series[Any], name: str) -> tuple[Any, Callable[[pd.Series[Any]], Any]]:
    """The Arrow type of a column, and what makes an array of some rows of it."""
    pa = _pyarrow()

    def as_text(rows: pd.Series[Any]) -> Any:
        return pa.array([None if _is_missing(one) else str(one) for one in rows], pa.string())

    try:
        # Only objects must be looked at one by one to know what they are.
        kind = pa.array(series if series.dtype == object else series.iloc[:0], from_pandas=True).type
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        # Numbers beside texts and the like, which is what dirty columns look like.
        return pa.string(), as_text
    except pa.ArrowException as error:
        raise TypeError(f"column {name!r} cannot be sent: {error}") from error
    is_category = pa.types.is_dictionary(kind)
    values = kind.value_type if is_category else kind
    if isinstance(values, pa.BaseExtensionType):
        # Periods and intervals, which only pandas knows.
        return pa.string(), as_text
    if not is_category:
        return values, lambda rows: pa.array(rows, values, from_pandas=True)
    # Categories that are all missing have no type of their own.
    values = pa.string() if pa.types.is_null(values) else values
    return values, lambda rows: pa.array(rows.astype(object), values, from_pandas=True)


def _is_missing(value: Any) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def read_arrow(path: Path) -> pa.Table:
    """Reads a Parquet file as a table, with texts of the type that all functions of Arrow take.

    Raises:
        ImportError: pyarrow is not installed.
    """
    pa = _pyarrow()
    from pyarrow import parquet

    table = parquet.read_table(path)
    plain = [
        field.with_type(pa.string()) if field.type == pa.string_view() else field for field in table.schema
    ]
    return table.cast(pa.schema(plain, table.schema.metadata))


def read_pandas(path: Path) -> pd.DataFrame:
    """Reads a Parquet file as a pandas frame.

    Integers and booleans with gaps get the types of pandas that have a missing value (`Int64`,
    `boolean`), since large integers would lose digits as `float64`.

    Raises:
        ImportError: pandas or pyarrow is not installed.
    """
    pa = _pyarrow()
    try:
        import pandas as pd
    except ImportError as error:
        raise _missing("pandas") from error
    table = read_arrow(path)
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas()
    for name, column in zip(table.column_names, table.columns, strict=True):
        if column.null_count > 0 and column.type in nullable:
            frame[name] = column.to_pandas(types_mapper=nullable.get)
    return frame


def read_polars(path: Path) -> pl.DataFrame:
    """Reads a Parquet file as a polars frame.

    Raises:
        ImportError: polars is not installed.
    """
    try:
        import polars as pl
    except ImportError as error:
        raise _missing("polars") from error
    # The file does not outlive this call, so nothing may be left to be read later.
    return pl.read_parquet(path, memory_map=False)


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise _missing("pyarrow") from error
    return pa


def _missing(library: str) -> ImportError:
    return ImportError(f"this needs {library}: pip install 'data-sanitizer[{library}]'")
