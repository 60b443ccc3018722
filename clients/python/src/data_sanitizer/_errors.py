"""What can go wrong, as exceptions."""

from __future__ import annotations


class SanitizerError(Exception):
    """Base of all errors of this package."""


class TransportError(SanitizerError):
    """The service could not be reached, or a connection to it broke, and trying again did not help.

    The error of the HTTP library is the `__cause__`.
    """


class IncompleteDownload(TransportError):
    """A download ended before it was whole. No file was left at its place."""


class UploadInterrupted(TransportError):
    """An upload broke off. What was sent stays with the service.

    Attributes:
        upload_id: Identifier to go on with: `client.upload(data, resume=upload_id)`.
    """

    def __init__(self, message: str, upload_id: str) -> None:
        super().__init__(message, upload_id)
        self.upload_id = upload_id

    def __str__(self) -> str:
        return f"{self.args[0]}; resume with upload_id {self.upload_id!r}"


class ApiError(SanitizerError):
    """The service refused a request, with a problem document (RFC 9457).

    Attributes:
        status: HTTP status.
        type: Kind of the problem, such as `urn:data-sanitizer:problem:queue-full`; `about:blank`
            where whatever answered sent no problem document.
        title: The kind in words.
        detail: What is wrong with this request.
        field: The field of the request that is wrong, such as `steps[0].columns`.
        retry_after: Seconds until another try may succeed, where the service told.
    """

    def __init__(
        self,
        status: int,
        type: str,
        title: str,
        detail: str,
        field: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(status, type, title, detail, field, retry_after)
        self.status = status
        self.type = type
        self.title = title
        self.detail = detail
        self.field = field
        self.retry_after = retry_after

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        what = f": {where}{self.detail}" if self.detail else ""
        return f"{self.status} {self.title}{what}"


class UnauthorizedError(ApiError):
    """401: no API key, or one that does not hold (any more)."""


class ForbiddenError(ApiError):
    """403: the API key does not allow this."""


class NotFoundError(ApiError):
    """404: there is no such thing, or it is another tenant's."""


class ConflictError(ApiError):
    """409: the state of things does not allow this, such as the report of a job that failed."""


class UnprocessableError(ApiError):
    """422: the request asks for what cannot be; `field` says where."""


class TooManyRequestsError(ApiError):
    """429: too many calls, a full queue, or a quota that is spent; `type` says which."""


API_ERRORS: dict[int, type[ApiError]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableError,
    429: TooManyRequestsError,
}


class JobError(SanitizerError):
    """A job did not come to a good end.

    Attributes:
        job_id: Identifier of the job.
    """

    def __init__(self, job_id: str, *args: object) -> None:
        super().__init__(job_id, *args)
        self.job_id = job_id


class JobFailed(JobError):
    """A job failed, and will not be tried again.

    Attributes:
        job_id: Identifier of the job.
        kind: `invalid`, `not_found`, `conflict`, `exhausted`, `unavailable`, `refused` (the data
            cannot be read, or breaks a rule that must hold), `late` or `bug`.
        message: What is wrong, and where.
    """

    def __init__(self, job_id: str, kind: str, message: str) -> None:
        super().__init__(job_id, kind, message)
        self.kind = kind
        self.message = message

    def __str__(self) -> str:
        return f"job {self.job_id} failed ({self.kind}): {self.message}"


class JobCancelled(JobError):
    """Somebody cancelled the job."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)

    def __str__(self) -> str:
        return f"job {self.job_id} was cancelled"


class WaitTimeout(JobError, TimeoutError):
    """A job did not end in time. It goes on; `client.job(error.job_id)` gets hold of it again.

    Attributes:
        job_id: Identifier of the job.
        status: Where it was.
    """

    def __init__(self, job_id: str, status: str) -> None:
        super().__init__(job_id, status)
        self.status = status

    def __str__(self) -> str:
        return f"job {self.job_id} has not ended in time: it is {self.status}"
