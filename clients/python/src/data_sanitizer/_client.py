"""The client."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Union, cast, overload
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from ._admin import Keys, Tenants, Users, rfc3339
from ._datasets import Dataset
from ._errors import SanitizerError
from ._frames import frame_kind, spooled
from ._http import API, Transport, batches, path_of
from ._jobs import Cleaned, Job
from ._models import (
    AuditRecord,
    AuditVerification,
    DatasetInfo,
    Health,
    Identity,
    JobInfo,
    JobStatus,
    RevealedToken,
    Rule,
    Step,
    Upload,
    Usage,
    read,
)
from ._uploads import OnUpload, upload_file

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

__version__ = version("data-sanitizer")

USUAL_URL = "http://127.0.0.1:8080"

File = Union[str, "os.PathLike[str]", BinaryIO, Upload]
"""A path, a location that the service reads itself (`s3://…`), an open file, or what was uploaded."""

Data = Union["pd.DataFrame", "pl.DataFrame", "pl.LazyFrame", "pa.Table", File]
"""What can be cleaned."""


class Client:
    """A client of the Data Sanitizer service, for use by any number of threads.

    It is a context manager; `close` ends its connections.

    What does no harm when it comes twice is sent again when the connection breaks, or when the service
    has no time (408, 429, 502, 503, 504): reading, uploads, and submissions, which always have
    an `Idempotency-Key`. Anything else is sent again only when it was not listened to (no connection,
    or 429). The waits grow from half a second on, at random, unless the service says how long to wait;
    where that is more than a minute, the error is raised at once.

    Args:
        url: Address of the service; left out: `SANITIZER_API_URL` of the environment, else
            `http://127.0.0.1:8080`.
        api_key: API key; left out: `SANITIZER_API_KEY` of the environment.
        tenant: The tenant, by name or identifier; left out: that of the key.
        timeout: Seconds that the service may be silent, or limits of `httpx`.
        verify: Whether the certificate of the service is checked, or a file with the certificates
            (PEM) that are trusted, or a context of TLS.
        max_retries: How often a request is sent again.

    Raises:
        ValueError: There is no API key, or the address is none of HTTP.

    Attributes:
        keys: The API keys of the tenant.
        tenants: All tenants, for operators.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        tenant: str | None = None,
        *,
        timeout: float | httpx.Timeout = 60.0,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext = True,
        max_retries: int = 4,
    ) -> None:
        url = (url or os.environ.get("SANITIZER_API_URL") or USUAL_URL).rstrip("/").removesuffix(API)
        api_key = (api_key or os.environ.get("SANITIZER_API_KEY") or "").strip()
        if not api_key:
            raise ValueError("there is no API key: give api_key, or set SANITIZER_API_KEY")
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError(f"the address of a service begins with http:// or https://, not {url!r}")
        self.url = url
        self._tenant = tenant
        self._transport = Transport(
            url,
            api_key,
            timeout=timeout,
            verify=verify,
            max_retries=max_retries,
            user_agent=f"data-sanitizer-python/{__version__}",
        )
        self.keys = Keys(self._transport)
        self.tenants = Tenants(self._transport)
        self.users = Users(self._transport)

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections. The client and what it gave are of no use afterwards."""
        self._transport.close()

    @property
    def tenant(self) -> str:
        """The tenant, by name or identifier. Asks the service once where none was given."""
        if self._tenant is None:
            self._tenant = self.me().tenant
        return self._tenant

    @overload
    def clean(
        self,
        data: pd.DataFrame,
        *,
        dataset: str | None = ...,
        steps: Iterable[Mapping[str, Any]] | None = ...,
        contract: Mapping[str, Any] | None = ...,
        spec: Mapping[str, Any] | None = ...,
        rules: Iterable[str] | None = ...,
        wait: bool = ...,
        timeout: float | None = ...,
    ) -> Cleaned[pd.DataFrame]: ...
    @overload
    def clean(
        self,
        data: pl.DataFrame,
        *,
        dataset: str | None = ...,
        steps: Iterable[Mapping[str, Any]] | None = ...,
        contract: Mapping[str, Any] | None = ...,
        spec: Mapping[str, Any] | None = ...,
        rules: Iterable[str] | None = ...,
        wait: bool = ...,
        timeout: float | None = ...,
    ) -> Cleaned[pl.DataFrame]: ...
    @overload
    def clean(
        self,
        data: pl.LazyFrame,
        *,
        dataset: str | None = ...,
        steps: Iterable[Mapping[str, Any]] | None = ...,
        contract: Mapping[str, Any] | None = ...,
        spec: Mapping[str, Any] | None = ...,
        rules: Iterable[str] | None = ...,
        wait: bool = ...,
        timeout: float | None = ...,
    ) -> Cleaned[pl.LazyFrame]: ...
    @overload
    def clean(
        self,
        data: pa.Table | File,
        *,
        dataset: str | None = ...,
        steps: Iterable[Mapping[str, Any]] | None = ...,
        contract: Mapping[str, Any] | None = ...,
        spec: Mapping[str, Any] | None = ...,
        rules: Iterable[str] | None = ...,
        wait: bool = ...,
        timeout: float | None = ...,
    ) -> Cleaned[pa.Table]: ...
    def clean(
        self,
        data: Data,
        *,
        dataset: str | None = None,
        steps: Iterable[Mapping[str, Any]] | None = None,
        contract: Mapping[str, Any] | None = None,
        spec: Mapping[str, Any] | None = None,
        rules: Iterable[str] | None = None,
        wait: bool = True,
        timeout: float | None = None,
    ) -> Cleaned[Any]:
        """Cleans data: sends it, waits for the job, and gives hold of what came of it.

        Args:
            data: A pandas, polars or pyarrow frame, a path, an open binary file, an upload, or a location
                that the service reads itself (`s3://…`). Frames are sent as Parquet: the index of a pandas
                frame is left out, columns of objects of several types become text, and timestamps without
                a time zone are taken for UTC.
            dataset: The dataset of which this is to be the next version; left out: the name of the spec,
                else that of the file, else `dataframe`.
            steps: The cleaning steps, in order; left out: the default pipeline.
            contract: What is known of the columns (`dataset` of a job spec); what is left out is inferred.
            spec: A job spec without `output`, for what is not among the arguments.
            rules: Names of rules of the tenant: each is laid under the spec.
            wait: Whether to wait here. Otherwise the first question to what came of it waits.
            timeout: Seconds after which waiting ends; left out: never.

        Raises:
            JobFailed: The job failed.
            JobCancelled: Somebody cancelled it.
            WaitTimeout: It has not ended in time; it goes on.
            UnprocessableError: The request asks for what cannot be; `field` says where.
            ApiError: The service refused it for another reason.
            UploadInterrupted: The upload broke off.
            TransportError: The service could not be reached.
            TypeError: Such data cannot be sent.
            ValueError: The arguments contradict each other, or columns have the same name.
            ImportError: A library that the frame needs is not installed.
        """
        job = self.submit(data, dataset=dataset, steps=steps, contract=contract, spec=spec, rules=rules)
        if wait:
            job.wait(timeout)
        return Cleaned(job, frame_kind(data) or "pyarrow")

    def submit(
        self,
        data: Data | None = None,
        *,
        dataset: str | None = None,
        steps: Iterable[Mapping[str, Any]] | None = None,
        contract: Mapping[str, Any] | None = None,
        spec: Mapping[str, Any] | None = None,
        rules: Iterable[str] | None = None,
        priority: int | None = None,
        deadline_seconds: int | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Sends data and has it cleaned, without waiting for the job.

        Args:
            data: As of `clean`; left out: the `source` of the spec says where the data is.
            dataset: As of `clean`.
            steps: As of `clean`.
            contract: As of `clean`.
            spec: As of `clean`.
            rules: As of `clean`.
            priority: Jobs of the tenant with a larger number come first, -100 to 100; left out: 0.
            deadline_seconds: Seconds after which the job fails where it has not finished.
            idempotency_key: The same key with the same request gives the same job, however often it comes,
                1 to 255 characters; left out: a new one. Of data, the content counts: the same rows, sent
                again, are the same request.

        Raises:
            UnprocessableError: The request asks for what cannot be; `field` says where.
            TooManyRequestsError: The queue is full, or the quota is spent.
            ApiError: The service refused it for another reason.
            UploadInterrupted: The upload broke off.
            TransportError: The service could not be reached.
            TypeError: Such data cannot be sent.
            ValueError: The arguments contradict each other, or columns have the same name.
            ImportError: A library that the frame needs is not installed.
        """
        document = _spec(spec, steps, contract)
        source = dict(document.get("source") or {})
        if data is not None and "location" in source:
            raise ValueError("there are data and a source.location in the spec; one is expected")
        if data is None and "location" not in source:
            raise ValueError("there are no data, and no source.location in the spec")
        name = dataset or document.get("name")
        if isinstance(data, str) and _is_location(data):
            source["location"] = data
        elif data is not None:
            upload = data if isinstance(data, Upload) else self.upload(data)
            source["location"] = upload.location
            name = name or _stem(upload.name)
        document["source"] = source
        if not name:
            location = source["location"]
            name = _stem(location if isinstance(location, str) else location[0])
        document["name"] = name
        params = {
            "dataset_name": name,
            "rules": ",".join(rules) if rules is not None else None,
            "priority": priority,
            "deadline_seconds": deadline_seconds,
        }
        accepted = self._transport.document(
            "POST",
            path_of("datasets", self.tenant, "ingest"),
            params=params,
            document=document,
            headers={"Idempotency-Key": idempotency_key or str(uuid4())},
            repeatable=True,
        )
        return Job(self._transport, accepted["job_id"])

    def upload(
        self,
        data: Data,
        *,
        name: str | None = None,
        resume: str | None = None,
        on_progress: OnUpload | None = None,
    ) -> Upload:
        """Sends a file or a frame without having it cleaned yet. `submit` takes what this gives.

        It is sent in parts of 16 MiB, more of files beyond 156 GiB, each with its digest.

        Args:
            data: A frame, a path, or an open binary file, which is sent from its position on.
            name: Name of the file, whose ending tells the format; left out: its own.
            resume: Identifier of an upload of the same data that broke off (`UploadInterrupted`): parts that
                are there are not sent again.
            on_progress: Gets the bytes that are there and the bytes of the whole, or `None` where only
                reading can tell.

        Raises:
            ApiError: The service refused it.
            UploadInterrupted: The connection broke, and trying again did not help.
            TypeError: Such data cannot be sent.
            ValueError: The upload to be resumed is one of another file.
            OSError: The file cannot be read.
        """
        with _opened(data) as (file, own_name):
            return upload_file(
                self._transport, file, name or own_name, resume=resume, on_progress=on_progress
            )

    def delete_upload(self, upload: Upload | str) -> None:
        """Removes an upload, complete or not.

        Args:
            upload: What `upload` gave, or its identifier.

        Raises:
            ConflictError: A job that has not ended needs it.
            NotFoundError: The tenant has no such upload.
        """
        identifier = upload.upload_id if isinstance(upload, Upload) else upload
        self._transport.request("DELETE", path_of("uploads", identifier))

    def job(self, id: str) -> Job:
        """A job.

        Raises:
            NotFoundError: The tenant has no such job.
        """
        return Job(self._transport, id).refresh()

    def jobs(
        self,
        *,
        status: JobStatus | None = None,
        dataset: str | None = None,
        page_size: int = 100,
    ) -> Iterator[Job]:
        """The jobs of the tenant, newest first, page by page as they are needed.

        Args:
            status: In this state only.
            dataset: Of the dataset with this name only.
            page_size: Jobs that are fetched at a time, 1 to 1000.
        """
        params = {"status": status, "dataset_name": dataset, "limit": page_size}
        for info in self._transport.pages(JobInfo, path_of("jobs"), "jobs", params):
            yield Job(self._transport, info.job_id, info)

    def datasets(self, *, page_size: int = 100) -> Iterator[Dataset]:
        """The datasets of the tenant, by name, page by page as they are needed.

        Args:
            page_size: Datasets that are fetched at a time, 1 to 1000.
        """
        path = path_of("datasets", self.tenant)
        for info in self._transport.pages(DatasetInfo, path, "datasets", {"limit": page_size}):
            yield Dataset(self._transport, lambda: self.tenant, info.name, info)

    def dataset(self, name: str) -> Dataset:
        """A dataset, by name or identifier, whether there is one or not yet."""
        return Dataset(self._transport, lambda: self.tenant, name)

    def rules(self) -> list[Rule]:
        """The rules of the tenant, by name: parts of job specs that many jobs have in common."""
        return [read(Rule, row) for row in self._transport.document("GET", path_of("rules"))["rules"]]

    def rule(self, name: str) -> Rule:
        """A rule.

        Raises:
            NotFoundError: There is no such rule.
        """
        return read(Rule, self._transport.document("GET", path_of("rules", name)))

    def put_rule(self, name: str, rule: Mapping[str, Any]) -> Rule:
        """Writes a rule, over one of the same name.

        Args:
            name: Name.
            rule: `dataset`, `steps` and `options` of a job spec, as far as they are given.

        Raises:
            UnprocessableError: The rule cannot be; `field` says where.
        """
        path = path_of("rules", name)
        return read(Rule, self._transport.document("PUT", path, document=dict(rule)))

    def delete_rule(self, name: str) -> None:
        """Removes a rule.

        Raises:
            NotFoundError: There is no such rule.
        """
        self._transport.request("DELETE", path_of("rules", name))

    def reveal(self, tokens: Iterable[str], reason: str) -> list[RevealedToken]:
        """Turns tokens (`pii_strategy: tokenize`) back into the values that they stand for.

        Who asked, for which tokens and why is in the audit log before anything is told. Needs the action
        `tokens:reveal`, and a key for all datasets.

        Args:
            tokens: The tokens. They are sent 1000 at a time.
            reason: Why, in 1 to 1000 characters.

        Returns:
            What they stand for, in the same order.

        Raises:
            ForbiddenError: The key does not allow it.
            UnprocessableError: There is no reason, or it is too long.
            TypeError: There is one text instead of several.
        """
        if isinstance(tokens, str):
            raise TypeError("several tokens are expected, such as [token], not a text")
        revealed: list[RevealedToken] = []
        for some in batches(tokens):
            request = {"tokens": some, "reason": reason}
            # It is reading, though it is a POST.
            answer = self._transport.document(
                "POST", path_of("tokens", "reveal"), document=request, repeatable=True
            )
            revealed += (read(RevealedToken, row) for row in answer["tokens"])
        return revealed

    def audit(
        self,
        *,
        action: str | None = None,
        actor: str | None = None,
        subject: str | None = None,
        job_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        page_size: int = 100,
    ) -> Iterator[AuditRecord]:
        """The audit log of the tenant, newest first, page by page as it is needed.

        Args:
            action: What was done, such as `job_submitted`.
            actor: Who did it.
            subject: What it was done to.
            job_id: The job.
            since: Not before this moment.
            until: Before this moment.
            page_size: Records that are fetched at a time, 1 to 1000.

        Raises:
            ValueError: A moment has no time zone.
        """
        params = {
            "action": action,
            "actor": actor,
            "subject": subject,
            "job_id": job_id,
            "from": rfc3339(since) if since is not None else None,
            "to": rfc3339(until) if until is not None else None,
            "limit": page_size,
        }
        return self._transport.pages(AuditRecord, path_of("audit"), "records", params)

    def verify_audit(self, seq: int | None = None, hash: str | None = None) -> AuditVerification:
        """Has every hash of the audit log computed anew.

        Args:
            seq: Number of a record that was seen earlier, such as `seq` of an earlier answer.
            hash: Its hash: tells whether that record was changed or removed since.
        """
        document = self._transport.document(
            "GET", path_of("audit", "verify"), params={"seq": seq, "hash": hash}
        )
        return read(AuditVerification, document)

    def usage(self) -> Usage:
        """What the tenant has used, and may use."""
        return read(Usage, self._transport.document("GET", path_of("usage")))

    def me(self) -> Identity:
        """Who the API key stands for, and what it may do."""
        return read(Identity, self._transport.document("GET", path_of("me")))

    def steps(self) -> list[Step]:
        """The cleaning steps, with an example and the JSON Schema of each."""
        return [read(Step, row) for row in self._transport.document("GET", path_of("steps"))["steps"]]

    def job_schema(self) -> dict[str, Any]:
        """The JSON Schema of a job spec."""
        document = self._transport.document("GET", path_of("schema", "job"))
        if not isinstance(document, dict):
            raise SanitizerError("the schema of the service is no object")
        return document

    def health(self) -> Health:
        """How the service is."""
        return read(Health, self._transport.document("GET", "/healthz"))


def _spec(
    spec: Mapping[str, Any] | None,
    steps: Iterable[Mapping[str, Any]] | None,
    contract: Mapping[str, Any] | None,
) -> dict[str, Any]:
    document = {"version": 1, **(spec or {})}
    for field, value in (
        ("steps", None if steps is None else [dict(step) for step in steps]),
        ("dataset", None if contract is None else dict(contract)),
    ):
        if value is None:
            continue
        if field in document:
            argument = "contract" if field == "dataset" else field
            raise ValueError(f"there are {argument} and a {field} in the spec; one is expected")
        document[field] = value
    return document


def _is_location(data: str) -> bool:
    return "://" in data or data.startswith("upload:")


@contextmanager
def _opened(data: Data) -> Iterator[tuple[BinaryIO, str]]:
    """A file with the data, and its name."""
    kind = frame_kind(data)
    if kind is not None:
        with spooled(data, kind) as path, path.open("rb") as file:
            yield file, path.name
    elif isinstance(data, (str, os.PathLike)):
        path = Path(data)
        with path.open("rb") as file:
            yield file, path.name
    elif hasattr(data, "read"):
        name = getattr(data, "name", None)
        yield cast(BinaryIO, data), Path(name).name if isinstance(name, str) else "upload"
    else:
        raise TypeError(f"a frame, a path or an open binary file is expected, not {type(data).__name__}")


def _stem(name: str) -> str:
    """The name of a file, without folders and endings."""
    last = name.rstrip("/").rpartition("/")[2]
    return last.split(".")[0] or "upload"
