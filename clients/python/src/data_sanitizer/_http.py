"""Requests to the service: credentials, retries, problem documents, and downloads."""

from __future__ import annotations

import json
import os
import random
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from itertools import count, islice
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx

from ._errors import API_ERRORS, ApiError, IncompleteDownload, SanitizerError, TransportError
from ._models import read

T = TypeVar("T")

API = "/api/v1"

# What a proxy or the service answers where another try may help.
PASSING = frozenset({408, 429, 502, 503, 504})

# Longest time between two tries, in seconds. Whoever asks for more, as a spent quota does, is not waited for.
_LONGEST_WAIT = 60.0

_CHUNK = 1 << 20

# Most tokens, or decisions, of a request.
_MOST_OF_A_REQUEST = 1000


def path_of(*segments: object) -> str:
    """A path of the API, whose segments may hold any characters."""
    return API + "".join("/" + quote(str(segment), safe="") for segment in segments)


def batches(items: Iterable[T]) -> Iterator[list[T]]:
    """Items, as many at a time as a request may have."""
    left = iter(items)
    while some := list(islice(left, _MOST_OF_A_REQUEST)):
        yield some


class Transport:
    """Sends requests, and sends them again where that is safe and may help."""

    def __init__(
        self,
        url: str,
        api_key: str,
        *,
        timeout: float | httpx.Timeout,
        verify: bool | str | os.PathLike[str] | ssl.SSLContext,
        max_retries: int,
        user_agent: str,
    ) -> None:
        if isinstance(verify, (str, os.PathLike)):
            verify = ssl.create_default_context(cafile=os.fspath(verify))
        if not isinstance(timeout, httpx.Timeout):
            timeout = httpx.Timeout(timeout, connect=min(timeout, 10.0))
        self.url = url
        self.timeout = timeout
        self.max_retries = max_retries
        self._http = httpx.Client(
            headers={"Authorization": f"Bearer {api_key}", "User-Agent": user_agent},
            timeout=timeout,
            verify=verify,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        document: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Response:
        """Sends a request and reads the whole answer.

        Args:
            method: HTTP method.
            path: Path behind the address of the service.
            params: Query; what is `None` is left out.
            document: JSON body.
            content: Other body.
            headers: Headers beside the usual ones.
            repeatable: Whether the request does no harm when it comes twice; left out: that of a GET.
            timeout: Limits of time, where the usual ones are too short.

        Raises:
            ApiError: The service refused it.
            TransportError: There was no answer.
        """
        repeatable = method == "GET" if repeatable is None else repeatable
        for number in count():
            request = self._http.build_request(
                method,
                self.url + path,
                params=_query(params),
                json=document,
                content=content,
                headers=dict(headers or {}),
                timeout=timeout or self.timeout,
            )
            try:
                response = self._http.send(request)
            except httpx.HTTPError as error:
                self.pause(number, self._failure(error), _may_resend(error, repeatable=repeatable))
                continue
            if response.is_success:
                return response
            # Whoever calls too often was not listened to, so nothing was done yet.
            status = response.status_code
            again = status == 429 or (repeatable and status in PASSING)
            self.pause(number, error_of(response), again)
        raise AssertionError("counting does not end")

    def pause(self, number: int, error: SanitizerError, again: bool) -> None:
        """Waits until the next try.

        Args:
            number: How many tries failed before this one.
            error: Why this one failed.
            again: Whether another one may help.

        Raises:
            SanitizerError: `error`, where there is no other try.
        """
        seconds = _backoff(number, error)
        if not again or number >= self.max_retries or seconds > _LONGEST_WAIT:
            raise error
        time.sleep(seconds)

    def document(self, method: str, path: str, **arguments: Any) -> Any:
        """Sends a request whose answer is a JSON document; arguments as of `request`.

        Raises:
            ApiError: The service refused it.
            TransportError: There was no answer.
            SanitizerError: The answer is not JSON.
        """
        response = self.request(method, path, **arguments)
        try:
            return response.json()
        except ValueError as error:
            told = response.headers.get("content-type", "no content type")
            raise SanitizerError(
                f"{self.url} does not answer as the service does: expected JSON, not {told}"
            ) from error

    def pages(
        self, kind: type[T], path: str, rows: str, params: Mapping[str, Any] | None = None
    ) -> Iterator[T]:
        """Reads a list page by page, each when it is needed.

        Raises:
            ApiError: The service refused it.
            TransportError: There was no answer.
        """
        cursor: str | None = None
        while True:
            page = self.document("GET", path, params={**(params or {}), "cursor": cursor})
            for row in page[rows]:
                yield read(kind, row)
            following = page.get("next_cursor")
            if following is None:
                return
            if following == cursor:
                # Better an error than the same rows for ever.
                raise SanitizerError(f"the service sends the same page of {path} again and again")
            cursor = following

    @contextmanager
    def stream(
        self, path: str, *, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx.Response]:
        """A GET whose answer is read bit by bit, tried once.

        Raises:
            ApiError: The service refused it.
            TransportError: There was no answer, or it broke off.
        """
        request = self._http.build_request(
            "GET", self.url + path, params=_query(params), headers=dict(headers or {}), timeout=self.timeout
        )
        try:
            response = self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise error_of(response)
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise self._failure(error) from error

    def download(
        self,
        path: str,
        target: Path,
        *,
        params: Mapping[str, Any] | None = None,
        check: Callable[[BinaryIO], None],
    ) -> None:
        """Writes an answer to a file, which is there when it is whole and not before.

        An answer that breaks off is asked for again from its beginning.

        Args:
            path: Path behind the address of the service.
            target: The file; one that is there is replaced.
            params: Query; what is `None` is left out.
            check: Looks at what was written, and raises `IncompleteDownload` where it is not whole.

        Raises:
            ApiError: The service refused it.
            IncompleteDownload: The answer broke off.
            TransportError: There was no answer.
            OSError: The file cannot be written.
        """
        if target.is_dir():
            raise IsADirectoryError(f"{target} is a directory; a file is expected")
        # Beside the target, since files move at once within a file system only.
        partial = target.with_name(f".{uuid4().hex}.part")
        try:
            with partial.open("x+b") as file:
                self._download_into(file, path, params, check)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)

    def _download_into(
        self,
        file: BinaryIO,
        path: str,
        params: Mapping[str, Any] | None,
        check: Callable[[BinaryIO], None],
    ) -> None:
        for number in count():
            file.seek(0)
            file.truncate()
            begun = False
            try:
                with self.stream(path, params=params) as response:
                    begun = True
                    for chunk in response.iter_bytes(_CHUNK):
                        file.write(chunk)
                check(file)
                return
            except ApiError as error:
                self.pause(number, error, error.status in PASSING)
            except TransportError as error:
                failure = error
                if begun and not isinstance(error, IncompleteDownload):
                    failure = IncompleteDownload(f"the download of {path} broke off: {error}")
                    failure.__cause__ = error.__cause__
                self.pause(number, failure, _may_resend(error.__cause__, repeatable=True))

    def _failure(self, error: httpx.HTTPError) -> TransportError:
        what = str(error) or type(error).__name__
        failure = TransportError(f"{self.url}: {what}")
        failure.__cause__ = error
        return failure


def _query(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value is not None}


def _may_resend(error: BaseException | None, *, repeatable: bool) -> bool:
    """Whether another try may help, and does no harm."""
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return False
    # Nothing was sent before there was a connection.
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
        return True
    return repeatable and (error is None or isinstance(error, httpx.TransportError))


def _backoff(number: int, error: SanitizerError) -> float:
    """Seconds until the next try after try `number`, from 0."""
    asked = error.retry_after if isinstance(error, ApiError) else None
    if asked is not None:
        # Not all of those who were sent away at one time come again at one time.
        return asked + random.uniform(0, 0.1)  # noqa: S311
    return min(0.5 * 2.0**number, _LONGEST_WAIT) * random.uniform(0.5, 1)  # noqa: S311


def error_of(response: httpx.Response) -> ApiError:
    """The problem that an answer tells of."""
    status = response.status_code
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    retry_after = _retry_after(response.headers.get("retry-after"))
    kind = API_ERRORS.get(status, ApiError)
    if isinstance(document, dict) and "title" in document:
        return kind(
            status,
            str(document.get("type", "about:blank")),
            str(document["title"]),
            str(document.get("detail", "")),
            document.get("field"),
            retry_after,
        )
    # Of something between here and the service.
    detail = response.text[:200].strip()
    return kind(status, "about:blank", response.reason_phrase or "HTTP error", detail, None, retry_after)


def _retry_after(value: str | None) -> float | None:
    """Seconds that a Retry-After (RFC 9110) asks for: a number, or a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=timezone.utc)
    return max(0.0, (date - datetime.now(timezone.utc)).total_seconds())
