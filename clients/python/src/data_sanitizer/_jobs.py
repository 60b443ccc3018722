"""Jobs, and what came of them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

from ._errors import (
    ApiError,
    IncompleteDownload,
    JobCancelled,
    JobFailed,
    SanitizerError,
    TransportError,
    WaitTimeout,
)
from ._frames import FrameKind, read_arrow, read_pandas, read_polars, temporary_directory
from ._http import PASSING, Transport, batches, path_of
from ._models import (
    Attempt,
    CellChange,
    ColumnCount,
    Decision,
    FileFormat,
    Fix,
    Formulas,
    JobEvent,
    JobInfo,
    OutputFile,
    QuarantinedRow,
    RemovedRow,
    ReviewStatus,
    TableName,
    read,
)
from ._sse import ServerEvent, server_events

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

T = TypeVar("T")
R = TypeVar("R")

_ROWS_OF_A_PAGE = 1000

# Seconds between two looks at a job: few at first, since small jobs end at once.
_SHORTEST_LOOK = 0.05
_LONGEST_LOOK = 2.0

_FORMATS: dict[str, FileFormat] = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


class Job:
    """A job of the service.

    What it was like when the service was last asked is in `info`, and in `status`, `dataset` and
    `done`; `refresh` asks anew. All methods that talk to the service raise `ApiError` where it
    refuses, and `TransportError` where it cannot be reached.

    Attributes:
        id: Identifier.
    """

    def __init__(self, transport: Transport, id: str, info: JobInfo | None = None) -> None:
        self.id = id
        self._transport = transport
        self._info = info

    def __repr__(self) -> str:
        status = f", status={self._info.status!r}" if self._info else ""
        return f"Job({self.id!r}{status})"

    @property
    def info(self) -> JobInfo:
        """The job, as it was when the service was last asked."""
        if self._info is None:
            self.refresh()
        assert self._info is not None  # noqa: S101
        return self._info

    @property
    def status(self) -> str:
        """Where the job is in its life; see `JobStatus`."""
        return self.info.status

    @property
    def dataset(self) -> str:
        """Name of the dataset that it makes a version of."""
        return self.info.dataset_name

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self.info.done

    def refresh(self) -> Job:
        """Asks the service how the job is; gives the job itself."""
        self._info = read(JobInfo, self._transport.document("GET", self._path()))
        return self

    def wait(self, timeout: float | None = None, on_progress: Callable[[JobInfo], None] | None = None) -> Job:
        """Waits until the job has ended well; gives the job itself.

        Args:
            timeout: Seconds after which waiting ends, give or take a request; left out: never.
            on_progress: Gets the job whenever it has got further.

        Raises:
            JobFailed: It failed.
            JobCancelled: It was cancelled.
            WaitTimeout: It has not ended in time; it goes on.
            ApiError: The service refused to tell.
            TransportError: The service could not be reached.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause = _SHORTEST_LOOK
        told: object = None
        if self._info is None or not self._info.done:
            self.refresh()
        while True:
            info = self.info
            state = (info.status, info.progress, info.metrics, info.attempt)
            if on_progress is not None and state != told:
                on_progress(info)
                told = state
            if info.status == "success":
                return self
            if info.status == "cancelled":
                raise JobCancelled(self.id)
            if info.status == "failed":
                kind = info.error.kind if info.error else "unknown"
                raise JobFailed(self.id, kind, info.error.message if info.error else "")
            if end is not None:
                left = end - time.monotonic()
                if left <= 0:
                    raise WaitTimeout(self.id, info.status)
                pause = min(pause, left)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_LOOK)
            self.refresh()

    def cancel(self) -> Job:
        """Stops the job; gives the job itself.

        One that waits is cancelled at once. One that runs stops soon, and publishes nothing from now on:
        `wait` raises `JobCancelled` then.

        Raises:
            ConflictError: It has ended already.
        """
        self._info = read(JobInfo, self._transport.document("DELETE", self._path()))
        return self

    def events(self, after: int = 0) -> Iterator[JobEvent]:
        """The events of the job as they happen, until it ends.

        Events with a number (`seq`) come once each, in order, however often the connection breaks. Between
        them come events without one, that tell how far the job is.

        Args:
            after: Number of an event: only those behind it come.

        Raises:
            TransportError: The connection broke, and trying again did not help.
        """
        last = after
        failures = 0
        while True:
            problem: SanitizerError = TransportError("the events of the job broke off")
            came = False
            try:
                for event in self._followed(last):
                    came = True
                    if event.seq is not None:
                        if event.seq <= last:
                            continue
                        last = event.seq
                    yield event
                    if event.job is not None and event.job.done:
                        return
            except TransportError as error:
                problem = error
            except ApiError as error:
                if error.status not in PASSING:
                    raise
                problem = error
            # What failed before something came is forgotten.
            failures = 0 if came else failures
            self._transport.pause(failures, problem, True)
            failures += 1

    def _followed(self, last: int) -> Iterator[JobEvent]:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(last)}
        with self._transport.stream(self._path("events"), headers=headers) as response:
            for event in server_events(response.iter_bytes()):
                yield _event_of(event)

    def report(self) -> dict[str, Any]:
        """The report: what changed, column by column.

        Raises:
            ConflictError: The job has not ended well.
        """
        document = self._transport.document("GET", self._path("report"))
        if not isinstance(document, dict):
            raise SanitizerError("the report of the service is no object")
        return document

    def report_html(self) -> str:
        """The report as a page with charts, in one file.

        Raises:
            ConflictError: The job has not ended well.
        """
        response = self._transport.request("GET", self._path("report"), params={"format": "html"})
        return response.content.decode("utf-8")

    def attempts(self) -> list[Attempt]:
        """The attempts at the job, in order."""
        document = self._transport.document("GET", self._path("attempts"))
        return [read(Attempt, row) for row in document["attempts"]]

    def download(
        self,
        path: str | os.PathLike[str],
        format: FileFormat | None = None,
        table: TableName = "data",
        *,
        formulas: Formulas = "escape",
    ) -> Path:
        """Writes a table of the output to a file, which is there when it is whole and not before.

        Args:
            path: The file; one that is there is replaced.
            format: Format; left out: the one of the file's ending, else Parquet.
            table: The table.
            formulas: Whether texts in CSV that a spreadsheet would run as a formula get an apostrophe before
                them (`escape`) or stay as they are (`keep`).

        Returns:
            The path.

        Raises:
            ConflictError: The job has not ended well.
            NotFoundError: The output has no such table.
            IncompleteDownload: The download broke off, each time it was tried.
            OSError: The file cannot be written.
        """
        target = Path(path)
        chosen = format or _FORMATS.get(target.suffix.lower(), "parquet")
        params = {"format": chosen, "table": table, "formulas": formulas}
        check = _check_parquet if chosen == "parquet" else _check_lines
        self._transport.download(self._path("download"), target, params=params, check=check)
        return target

    def files(self) -> list[OutputFile]:
        """The files of the output, with their digests.

        Raises:
            ConflictError: The job has not ended well.
        """
        document = self._transport.document("GET", self._path("files"))
        return [read(OutputFile, row) for row in document["files"]]

    def download_file(self, file: OutputFile, path: str | os.PathLike[str]) -> Path:
        """Writes a file of the output as it is, after a look at its digest.

        Args:
            file: One of `files()`.
            path: Where to; a file that is there is replaced.

        Returns:
            The path.

        Raises:
            IncompleteDownload: The download broke off, or has another digest, each time it was tried.
            OSError: The file cannot be written.
        """
        target = Path(path)
        source = self._path("files", *file.path.split("/"))
        self._transport.download(source, target, check=lambda written: _check_digest(written, file))
        return target

    def provenance(
        self,
        *,
        row_id: int | None = None,
        column: str | None = None,
        transformation_id: str | None = None,
        confidence_below: float | None = None,
    ) -> Iterator[CellChange]:
        """The cells that the job changed, page by page as they are needed.

        Args:
            row_id: Of this row of the source only, counted from 0.
            column: Of this column only.
            transformation_id: Changed by this transformation only, such as `t-3`.
            confidence_below: With a confidence below this only, 0 to 1.

        Raises:
            ConflictError: The job has not ended well.
        """
        params = {
            "row_id": row_id,
            "column": column,
            "transformation_id": transformation_id,
            "confidence_below": confidence_below,
            "limit": _ROWS_OF_A_PAGE,
        }
        return self._transport.pages(CellChange, self._path("provenance"), "cells", params)

    def provenance_counts(self) -> list[ColumnCount]:
        """How many cells of each column each transformation was the last to change.

        Raises:
            ConflictError: The job has not ended well.
        """
        document = self._transport.document("GET", self._path("provenance"), params={"limit": 1})
        return [read(ColumnCount, row) for row in document["counts"]]

    def removed(self, *, row_id: int | None = None, reason: str | None = None) -> Iterator[RemovedRow]:
        """The rows that the job took out, page by page as they are needed.

        Args:
            row_id: This row of the source only, counted from 0.
            reason: Those of this reason only, such as `duplicate`.

        Raises:
            ConflictError: The job has not ended well.
        """
        params = {"row_id": row_id, "reason": reason, "limit": _ROWS_OF_A_PAGE}
        return self._transport.pages(RemovedRow, self._path("removed"), "rows", params)

    def quarantine(self, *, row_id: int | None = None, reason: str | None = None) -> Iterator[QuarantinedRow]:
        """The rows that the job set aside, page by page as they are needed.

        Args:
            row_id: This row of the source only, counted from 0.
            reason: Those of this reason only.

        Raises:
            ConflictError: The job has not ended well.
        """
        params = {"row_id": row_id, "reason": reason, "limit": _ROWS_OF_A_PAGE}
        return self._transport.pages(QuarantinedRow, self._path("quarantine"), "rows", params)

    def fixes(
        self,
        status: ReviewStatus = "pending",
        *,
        confidence_below: float | None = None,
        column: str | None = None,
    ) -> Iterator[Fix]:
        """The changed cells that rest on a heuristic, for people to decide on, page by page as needed.

        Args:
            status: Those that nobody has decided on (`pending`), that somebody has (`decided`), or `all`.
            confidence_below: With a confidence below this only, 0 to 1; left out: 1.
            column: Of this column only.

        Raises:
            ConflictError: The job has not ended well.
        """
        params = {
            "status": status,
            "confidence_below": confidence_below,
            "column": column,
            "limit": _ROWS_OF_A_PAGE,
        }
        return self._transport.pages(Fix, self._path("review"), "fixes", params)

    def decide(self, decisions: Iterable[Decision]) -> int:
        """Decides on changed cells, over what was decided on the same cells before.

        The decisions count when they are published. Any changed cell may be decided on, but none of a column
        with personal data. They are sent 1000 at a time: of one thousand either all are kept or none.

        Args:
            decisions: What becomes of the cells, such as `fix.approve() for fix in job.fixes()`.

        Returns:
            How many were kept.

        Raises:
            UnprocessableError: The job did not change such a cell, or the value does not fit its column;
                `field` says which, counted within its thousand.
            ConflictError: The job has not ended well.
        """
        kept = 0
        for some in batches(decisions):
            request = {"decisions": [asdict(decision) for decision in some]}
            kept += self._transport.document("POST", self._path("review"), document=request)["decided"]
        return kept

    def publish_review(self) -> Job:
        """Makes the next version of the dataset from the output of the job and what was decided so far.

        Returns:
            The job that makes it.

        Raises:
            ConflictError: Nobody has decided on anything yet, or the job has not ended well.
            TooManyRequestsError: The queue is full.
        """
        accepted = self._transport.document("POST", self._path("review", "publish"))
        return Job(self._transport, accepted["job_id"])

    def _path(self, *segments: str) -> str:
        return path_of("jobs", self.id, *segments)


def _event_of(event: ServerEvent) -> JobEvent:
    try:
        document = json.loads(event.data)
    except ValueError as error:
        raise SanitizerError(f"an event of the service cannot be read: {event.data!r}") from error
    if event.id is not None:
        return read(JobEvent, document)
    job = read(JobInfo, document) if event.name == "progress" else None
    data = document if job is None and isinstance(document, dict) else {}
    return JobEvent(seq=None, kind=event.name, data=data, job=job)


def _check_parquet(file: BinaryIO) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 4))
    tail = file.read(4)
    file.seek(0)
    if size < 12 or file.read(4) != b"PAR1" or tail != b"PAR1":
        raise IncompleteDownload("what came is no whole Parquet file")


def _check_lines(file: BinaryIO) -> None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 1))
    if size > 0 and file.read(1) != b"\n":
        raise IncompleteDownload("what came ends in the middle of a line")


def _check_digest(file: BinaryIO, expected: OutputFile) -> None:
    digest = hashlib.sha256()
    file.seek(0)
    while chunk := file.read(1 << 20):
        digest.update(chunk)
    if digest.hexdigest() != expected.sha256:
        raise IncompleteDownload(f"what came of {expected.path} has another digest")


class Cleaned(Generic[T]):
    """What came of cleaning: the data as it is now, and the account of what was done to it.

    Everything is fetched when it is asked for first. Where the job has not ended, asking waits for it, and
    raises `JobFailed` or `JobCancelled` where it does not end well.

    Attributes:
        job: The job.
    """

    def __init__(self, job: Job, kind: FrameKind) -> None:
        self.job = job
        self._kind = kind

    def __repr__(self) -> str:
        return f"Cleaned({self.job!r})"

    @cached_property
    def data(self) -> T:
        """The cleaned rows: a frame of the kind that came in, and a pyarrow table of a file.

        It is kept, so asking again costs nothing. `download` takes what is too large for the memory.

        Raises:
            IncompleteDownload: The download broke off, each time it was tried.
            ImportError: The library of the frame is not installed.
        """
        frame: Any
        if self._kind == "pandas":
            frame = self.to_pandas()
        elif self._kind == "pyarrow":
            frame = self.to_arrow()
        else:
            frame = self.to_polars()
            frame = frame.lazy() if self._kind == "polars-lazy" else frame
        return frame  # type: ignore[no-any-return]

    @cached_property
    def report(self) -> dict[str, Any]:
        """The report: what changed, column by column."""
        return self._finished().report()

    def to_arrow(self) -> pa.Table:
        """The cleaned rows as a pyarrow table, fetched anew.

        Raises:
            IncompleteDownload: The download broke off, each time it was tried.
            ImportError: pyarrow is not installed.
        """
        return self._read(read_arrow)

    def to_pandas(self) -> pd.DataFrame:
        """The cleaned rows as a pandas frame, fetched anew.

        Integers and booleans with gaps have the types `Int64` and `boolean`, timestamps are in UTC, and
        the index counts rows.

        Raises:
            IncompleteDownload: The download broke off, each time it was tried.
            ImportError: pandas or pyarrow is not installed.
        """
        return self._read(read_pandas)

    def to_polars(self) -> pl.DataFrame:
        """The cleaned rows as a polars frame, fetched anew.

        Raises:
            IncompleteDownload: The download broke off, each time it was tried.
            ImportError: polars is not installed.
        """
        return self._read(read_polars)

    def download(
        self,
        path: str | os.PathLike[str],
        format: FileFormat | None = None,
        table: TableName = "data",
        *,
        formulas: Formulas = "escape",
    ) -> Path:
        """Writes a table of the output to a file; see `Job.download`."""
        return self._finished().download(path, format, table, formulas=formulas)

    def provenance(
        self,
        *,
        row_id: int | None = None,
        column: str | None = None,
        transformation_id: str | None = None,
        confidence_below: float | None = None,
    ) -> Iterator[CellChange]:
        """The cells that were changed; see `Job.provenance`."""
        return self._finished().provenance(
            row_id=row_id,
            column=column,
            transformation_id=transformation_id,
            confidence_below=confidence_below,
        )

    def removed(self, *, row_id: int | None = None, reason: str | None = None) -> Iterator[RemovedRow]:
        """The rows that were taken out; see `Job.removed`."""
        return self._finished().removed(row_id=row_id, reason=reason)

    def quarantine(self, *, row_id: int | None = None, reason: str | None = None) -> Iterator[QuarantinedRow]:
        """The rows that were set aside; see `Job.quarantine`."""
        return self._finished().quarantine(row_id=row_id, reason=reason)

    def _finished(self) -> Job:
        return self.job.wait()

    def _read(self, reader: Callable[[Path], R]) -> R:
        with temporary_directory() as folder:
            return reader(self.download(folder / "data.parquet"))
