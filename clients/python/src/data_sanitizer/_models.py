"""What the service answers, as values.

The classes have the names of the API's fields. What a newer service adds is left out, and what a
service does not send is `None`.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ._errors import SanitizerError

JobStatus = Literal["pending", "queued", "pass1_running", "pass2_running", "success", "failed", "cancelled"]
"""Where a job can be in its life; the last three are the ends."""

FINAL_STATUSES = frozenset({"success", "failed", "cancelled"})

Role = Literal["admin", "data_engineer", "reviewer"]
"""What the owner of an API key may do, in a word."""

TableName = Literal["data", "provenance", "removed", "quarantine", "clusters"]
"""A table of an output: cleaned rows, changed cells, lost rows, or clusters of near duplicates."""

FileFormat = Literal["parquet", "csv", "jsonl"]
"""Format of a download."""

Formulas = Literal["escape", "keep"]
"""What becomes of texts in CSV that a spreadsheet would run."""

ReviewStatus = Literal["pending", "decided", "all"]
"""Whether somebody has decided on a fix."""

DecisionKind = Literal["approve", "reject", "edit"]
"""What becomes of a changed cell: it stays, gets the value of the source back, or another one."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a job is.

    Attributes:
        pass1_progress: Share of the learning that is done, 0 to 1.
        pass2_progress: Share of the writing that is done, 0 to 1.
        estimated_seconds_remaining: Seconds until the end; `None` while nobody can tell.
    """

    pass1_progress: float = 0.0
    pass2_progress: float = 0.0
    estimated_seconds_remaining: float | None = None


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What a job found, in figures; those that are known only at the end are `None` until then.

    Attributes:
        rows_processed: Rows of the source, or, while the job runs, rows seen by the pass at hand.
        rows_cleaned: Rows of the cleaned data.
        rows_dropped: Rows that were taken out.
        rows_quarantined: Rows that were set aside.
        duplicates_found: Duplicates and near duplicates.
        near_duplicates_found: Near duplicates.
        imputations_applied: Cells that were filled.
        cells_modified: Cells that differ from the source.
        low_confidence_fixes: Changed cells with a confidence below 1.
        seconds: Seconds that the job took.
    """

    rows_processed: int = 0
    rows_cleaned: int | None = None
    rows_dropped: int | None = None
    rows_quarantined: int | None = None
    duplicates_found: int | None = None
    near_duplicates_found: int | None = None
    imputations_applied: int | None = None
    cells_modified: int | None = None
    low_confidence_fixes: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class JobFailure:
    """Why a job, or an attempt at it, failed.

    Attributes:
        kind: `invalid`, `not_found`, `conflict`, `exhausted`, `unavailable`, `refused`, `late` or
            `bug`.
        message: What is wrong, and where.
    """

    kind: str
    message: str


@dataclass(frozen=True, kw_only=True)
class JobInfo:
    """A job, as it was when the service was asked.

    Attributes:
        job_id: Identifier.
        dataset_id: The dataset that it makes a version of.
        dataset_name: Its name.
        status: Where the job is in its life; see `JobStatus`.
        priority: Jobs of the tenant with a larger number come first.
        created_by: Who submitted it.
        created_at: When it was submitted.
        updated_at: When it last changed.
        started_at: When a worker first took it.
        finished_at: When it ended.
        deadline_at: When it is too late.
        attempt: How often a worker has taken it.
        cancel_requested: Whether somebody wants it to stop.
        progress: How far it is.
        metrics: What it found, in figures.
        error: Why it failed, or why its last attempt did.
        manifest_digest: Digest of the tables of its output: the same for every run of the job.
    """

    job_id: str
    dataset_id: str
    dataset_name: str
    status: str
    priority: int = 0
    created_by: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline_at: datetime | None = None
    attempt: int = 0
    cancel_requested: bool = False
    progress: Progress = field(default_factory=Progress)
    metrics: Metrics = field(default_factory=Metrics)
    error: JobFailure | None = None
    manifest_digest: str | None = None

    @property
    def done(self) -> bool:
        """Whether the job has ended, well or not."""
        return self.status in FINAL_STATUSES


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A try at a job.

    Attributes:
        attempt: Number, from 1.
        owner: The worker.
        started_at: When it began.
        finished_at: When it ended.
        outcome: `published`, `failed`, `lost`, `cancelled` or `released`; `None` while it runs.
        error: Why it failed.
    """

    attempt: int
    owner: str
    started_at: datetime
    finished_at: datetime | None = None
    outcome: str | None = None
    error: JobFailure | None = None


@dataclass(frozen=True, kw_only=True)
class JobEvent:
    """Something that happened to a job.

    Attributes:
        seq: Number of the event, from 1; `None` of an event that only tells how far the job is.
        kind: What happened, such as `queued`, `started`, `status` (it got further) or `success`; `progress`
            where `seq` is `None`.
        at: When it happened; `None` where `seq` is.
        data: What else is worth knowing.
        job: The job, where `seq` is `None`.
    """

    seq: int | None
    kind: str
    at: datetime | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    job: JobInfo | None = None


@dataclass(frozen=True, kw_only=True)
class OutputFile:
    """A file of an output.

    Attributes:
        path: Path under the output.
        rows: Rows; `None` of what is no table.
        bytes: Size.
        sha256: Digest of the content.
    """

    path: str
    rows: int | None = None
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What is to become of a changed cell. `approve`, `reject` and `edit` of a `CellChange` make one.

    Attributes:
        row_id: Number of the row in the source, from 0.
        column_name: The column.
        decision: `approve`: the change stays; `reject`: the value of the source comes back; `edit`: another
            value stands there.
        value: The text of that other value; `None` for a missing one.
    """

    row_id: int
    column_name: str
    decision: DecisionKind
    value: str | None = None


@dataclass(frozen=True, kw_only=True)
class CellChange:
    """A cell that a job changed.

    Attributes:
        row_id: Number of the row in the source, from 0.
        column_name: The column.
        original_value: Its text in the source; a placeholder where it is personal data.
        cleaned_value: Its text in the cleaned data; a placeholder where it is personal data.
        transformation_id: The last transformation that changed it, such as `t-3`.
        confidence_score: How sure the change is, 0 to 1.
        source: What kind of transformation changed it; `human_override` where somebody decided on it.
    """

    row_id: int
    column_name: str
    original_value: str | None = None
    cleaned_value: str | None = None
    transformation_id: str
    confidence_score: float
    source: str

    def approve(self) -> Decision:
        """The change stays."""
        return Decision(row_id=self.row_id, column_name=self.column_name, decision="approve")

    def reject(self) -> Decision:
        """The value of the source comes back."""
        return Decision(row_id=self.row_id, column_name=self.column_name, decision="reject")

    def edit(self, value: str | None) -> Decision:
        """Another value stands there.

        Args:
            value: Its text, which must fit the type of the column; `None` for a missing value.
        """
        return Decision(row_id=self.row_id, column_name=self.column_name, decision="edit", value=value)


@dataclass(frozen=True, kw_only=True)
class Review:
    """What somebody decided on a changed cell.

    Attributes:
        decision: What becomes of it; see `DecisionKind`.
        value: The value of an edit; `None` for a missing one.
        decided_by: Who decided.
        decided_at: When.
    """

    decision: str
    value: str | None = None
    decided_by: str = ""
    decided_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Fix(CellChange):
    """A changed cell that rests on a heuristic.

    Attributes:
        review: What was decided on it; `None` while nobody has.
    """

    review: Review | None = None


@dataclass(frozen=True, kw_only=True)
class ColumnCount:
    """How many cells of a column a transformation was the last to change.

    Attributes:
        transformation_id: The transformation, such as `t-3`.
        column_name: The column.
        cells: Changed cells.
        low_confidence: Those with a confidence below 1.
    """

    transformation_id: str
    column_name: str
    cells: int
    low_confidence: int


@dataclass(frozen=True, kw_only=True)
class RemovedRow:
    """A row that a job took out.

    Attributes:
        row_id: Number of the row in the source, from 0.
        reason: Why, such as `duplicate`.
        transformation_id: The transformation that took it out.
        duplicate_of: The row that stays, of duplicates.
        score: How alike the two are, 0 to 1.
    """

    row_id: int
    reason: str
    transformation_id: str
    duplicate_of: int | None = None
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class QuarantinedRow:
    """A row that a job set aside.

    Attributes:
        file: The file of the source.
        line: The line in it, from 1.
        row_id: Number of the row in the source, from 0.
        column_name: The column that is to blame.
        reason: Why.
        raw: The row as it was.
    """

    file: str
    line: int
    row_id: int
    column_name: str | None = None
    reason: str
    raw: str | None = None


@dataclass(frozen=True, kw_only=True)
class UploadPart:
    """A part of an upload.

    Attributes:
        number: Number, from 1.
        bytes: Its size.
        sha256: Its digest.
    """

    number: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that was sent to the service.

    Attributes:
        upload_id: Identifier; `upload:ID` is its location in a job spec.
        name: Name of the file.
        created_at: When it was begun.
        completed_at: When it was complete.
        bytes: Its size, once it is complete.
        sha256: Its digest, once it is complete.
        parts: The parts that are there, by number.
    """

    upload_id: str
    name: str
    created_at: datetime | None = None
    completed_at: datetime | None = None
    bytes: int | None = None
    sha256: str | None = None
    parts: tuple[UploadPart, ...] = ()

    @property
    def location(self) -> str:
        """Its location in a job spec."""
        return f"upload:{self.upload_id}"


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A dataset, as it was when the service was asked.

    Attributes:
        dataset_id: Identifier.
        name: Name.
        created_at: When it was first heard of.
        latest_version: Its last version; 0 before the first.
        latest_contract: Its last contract; 0 before the first.
    """

    dataset_id: str
    name: str
    created_at: datetime | None = None
    latest_version: int = 0
    latest_contract: int = 0


@dataclass(frozen=True, kw_only=True)
class DatasetVersion:
    """A version of a dataset.

    Attributes:
        dataset_id: The dataset.
        version: Number, from 1.
        job_id: The job that made it, whose output it is.
        checksum: Digest of its tables.
        rows: Rows of the cleaned data.
        bytes: Bytes of all files.
        created_at: When it was published.
    """

    dataset_id: str
    version: int
    job_id: str
    checksum: str
    rows: int
    bytes: int
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where a version of a dataset comes from.

    Attributes:
        version: The version.
        sources: The files that were read, with rows and bytes.
        contract: The contract, as it was completed.
        transformations: The transformations, in order, with what each did.
        spec: The job spec.
        created_by: Who submitted the job.
    """

    version: DatasetVersion
    sources: tuple[Mapping[str, Any], ...] = ()
    contract: Mapping[str, Any] = field(default_factory=dict)
    transformations: tuple[Mapping[str, Any], ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    created_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Contract:
    """A contract of a dataset.

    Attributes:
        dataset_id: The dataset.
        version: Number, from 1.
        contract: The `dataset` of a job spec.
        created_by: Who wrote it.
        created_at: When.
    """

    dataset_id: str
    version: int
    contract: Mapping[str, Any]
    created_by: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A part of a job spec with a name, that many jobs can have in common.

    Attributes:
        name: Name.
        rule: `dataset`, `steps` and `options` of a job spec, as far as they are given.
        created_by: Who wrote it first.
        created_at: When it was first written.
        updated_at: When it was last written.
    """

    name: str
    rule: Mapping[str, Any]
    created_by: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class RevealedToken:
    """What a token stands for.

    Attributes:
        token: The token.
        value: The value, which `repr` does not show; `None` where nobody knows the token, or it was sealed
            with another key.
        column_name: The column of the first table that had it.
        job_id: The job that made it.
    """

    token: str
    value: str | None = field(default=None, repr=False)
    column_name: str | None = None
    job_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """A record of the audit log.

    Attributes:
        seq: Number of the record, from 1.
        at: When it was done.
        actor: Who did it.
        action: What was done.
        subject: What it was done to.
        job_id: The job that it belongs to.
        details: What else is worth knowing.
        previous: Hash of the record before it.
        hash: Hash of this record.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    job_id: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    previous: str = ""
    hash: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditVerification:
    """Whether the audit log is as it was written.

    Attributes:
        ok: Whether nothing is wrong.
        seq: Number of the last record.
        hash: Its hash: whoever keeps both can have them compared later.
        broken_at: The first record that is wrong.
        problem: What is wrong with it.
    """

    ok: bool
    seq: int
    hash: str
    broken_at: int | None = None
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who an API key stands for, and what it may do.

    Attributes:
        tenant_id: Identifier of the tenant.
        tenant: Its name.
        actor: Who, as the audit log has it.
        role: The role; see `Role`.
        operator: Whether it may look after tenants.
        actions: What it may do.
        datasets: The datasets that it may touch; `None` for all.
    """

    tenant_id: str
    tenant: str
    actor: str
    role: str
    operator: bool = False
    actions: tuple[str, ...] = ()
    datasets: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """An API key, without its secret.

    Attributes:
        id: Its public part.
        tenant_id: The tenant.
        name: Name, for people.
        role: What it may do; see `Role`.
        operator: Whether it may look after tenants.
        actions: The actions that it is limited to; `None` for no limit.
        datasets: The datasets that it is limited to; `None` for no limit.
        created_by: Who made it.
        created_at: When it was made.
        expires_at: When it ends.
        revoked_at: When it was revoked.
    """

    id: str
    tenant_id: str
    name: str
    role: str
    operator: bool = False
    actions: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    created_by: str = ""
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class User:
    """Somebody who came with a token of the identity provider.

    Attributes:
        id: Identifier.
        subject: Their subject (`sub`) in tokens.
        role: Their role when they were last here; see `Role`.
        suspended: Whether they are shut out.
        created_at: When they first came.
        last_seen_at: When they were last here, to a few minutes.
    """

    id: str
    subject: str
    role: str
    suspended: bool = False
    created_at: datetime | None = None
    last_seen_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class NewApiKey(ApiKey):
    """An API key with its secret.

    Attributes:
        secret: What its owner sends along (`api_key` of a client). It cannot be shown again.
    """

    secret: str = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A tenant, and what it may use.

    Attributes:
        id: Identifier.
        name: Name.
        created_at: When it was made.
        suspended: Whether nobody comes in for it, and its jobs wait.
        running: Jobs that run now.
        max_running: Jobs that run at the same time, at most.
        max_queued: Jobs that wait, at most.
        weight: Share of the workers beside that of others.
        rows_per_month: Rows of sources in a month, at most; `None` for no limit.
        storage_bytes: Bytes of uploads and outputs that are kept, at most; `None` for no limit.
        calls_per_second: Calls of the API in a second, in the mean.
    """

    id: str
    name: str
    created_at: datetime | None = None
    suspended: bool = False
    running: int = 0
    max_running: int | None = None
    max_queued: int | None = None
    weight: float | None = None
    rows_per_month: int | None = None
    storage_bytes: int | None = None
    calls_per_second: float | None = None


@dataclass(frozen=True, kw_only=True)
class MonthlyUsage:
    """What a tenant has used in a month.

    Attributes:
        month: The month, such as `2026-11`.
        jobs: Jobs that were published.
        rows: Rows of their sources.
        bytes_in: Bytes of their sources, as far as they were uploaded.
        bytes_out: Bytes of their outputs.
    """

    month: str
    jobs: int
    rows: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a tenant has used, and may use.

    Attributes:
        tenant: The tenant, with its limits.
        months: What it has used, newest month first.
    """

    tenant: Tenant
    months: tuple[MonthlyUsage, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Step:
    """A cleaning step that a job can have.

    Attributes:
        type: The value of `type`.
        example: A step as it may stand in a spec, in YAML.
        schema: JSON Schema of the step.
    """

    type: str
    example: str
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Health:
    """How the service is.

    Attributes:
        status: `ok`, or what is wrong.
        version: Version of the service.
        metadata: Kind of the metadata store.
    """

    status: str
    version: str = ""
    metadata: str = ""


T = TypeVar("T")


def read(kind: type[T], document: object) -> T:
    """Reads a value of a class of this module from a JSON document.

    Raises:
        SanitizerError: Something that every service sends is missing.
    """
    if not isinstance(document, Mapping):
        raise SanitizerError(f"expected a {kind.__name__} of the service, not {document!r}")
    known: Any = kind
    hints = _hints(known)
    try:
        given = {name: _convert(hint, document[name]) for name, hint in hints.items() if name in document}
        return kind(**given)
    except (TypeError, ValueError) as error:
        raise SanitizerError(f"a {kind.__name__} of the service cannot be read: {error}") from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {known.name: hints[known.name] for known in fields(kind)}


def _convert(hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        (hint,) = (choice for choice in get_args(hint) if choice is not types.NoneType)
        return _convert(hint, value)
    if origin is tuple:
        return tuple(_convert(get_args(hint)[0], one) for one in value)
    if hint is datetime:
        return moment(value)
    if is_dataclass(hint):
        return read(hint, value) if isinstance(hint, type) else value
    if hint is float:
        return float(value)
    return value


_FRACTION = re.compile(r"\.(\d+)")


def moment(text: str) -> datetime:
    """Reads a moment (RFC 3339), of any number of digits behind the second."""
    text = _FRACTION.sub(lambda found: "." + found[1][:6].ljust(6, "0"), text, count=1)
    return datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
