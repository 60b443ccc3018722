"""Files on their way to the service, in parts."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Iterator
from itertools import count
from typing import BinaryIO

import httpx

from ._errors import TransportError, UnprocessableError, UploadInterrupted
from ._http import Transport, path_of
from ._models import Upload, UploadPart, read

MIB = 1 << 20
PART_BYTES = 16 * MIB

# Part size of a file whose length is not known beforehand.
_STREAM_PART_BYTES = 32 * MIB

_MOST_PARTS = 10_000

# What the service copies in a second at the least, when it puts parts together.
_COPIED_BYTES = 10 * MIB

OnUpload = Callable[[int, int | None], None]


def upload_file(
    transport: Transport,
    file: BinaryIO,
    name: str,
    *,
    resume: str | None = None,
    on_progress: OnUpload | None = None,
) -> Upload:
    """Sends what is left of an open file.

    Args:
        transport: Sends the requests.
        file: The file, open for reading bytes.
        name: Its name, whose ending tells the format.
        resume: Identifier of an upload that broke off: parts that are there are not sent again.
        on_progress: Gets the bytes that are there and the bytes of the whole, if they are known.

    Raises:
        ApiError: The service refused it.
        UploadInterrupted: The connection broke, and trying again did not help.
        ValueError: The upload to be resumed is one of another file.
    """
    if resume is None:
        # Nobody misses an upload that was begun twice.
        upload = read(
            Upload,
            transport.document("POST", path_of("uploads"), document={"name": name}, repeatable=True),
        )
    else:
        upload = read(Upload, transport.document("GET", path_of("uploads", resume)))
    try:
        return _send(transport, file, upload, on_progress)
    except TransportError as error:
        raise UploadInterrupted(str(error), upload.upload_id) from error


def _send(transport: Transport, file: BinaryIO, upload: Upload, on_progress: OnUpload | None) -> Upload:
    size = _size(file)
    if upload.parts:
        part_bytes = upload.parts[0].bytes
    elif size is None:
        part_bytes = _STREAM_PART_BYTES
    else:
        part_bytes = max(PART_BYTES, math.ceil(size / _MOST_PARTS))
    there = {part.number: part for part in upload.parts}
    whole = hashlib.sha256()
    number = sent = 0
    for content in _parts(file, max(part_bytes, 1)):
        number += 1
        whole.update(content)
        digest = hashlib.sha256(content).hexdigest()
        if upload.completed_at is None:
            if number > _MOST_PARTS:
                raise ValueError(f"{upload.name} is too large to be sent without its length known")
            known = there.get(number)
            if known is None or known.sha256 != digest:
                _put(transport, upload, number, content, digest)
        sent += len(content)
        if on_progress is not None:
            on_progress(sent, size)
    if max(there, default=0) > number:
        raise ValueError(f"the upload {upload.upload_id} is one of a longer file")
    if upload.completed_at is None:
        upload = _complete(transport, upload, sent)
    if upload.sha256 != whole.hexdigest():
        raise ValueError(f"the upload {upload.upload_id} is one of another file")
    return upload


def _put(transport: Transport, upload: Upload, number: int, content: bytes, digest: str) -> None:
    path = path_of("uploads", upload.upload_id, "parts", number)
    headers = {"Content-Type": "application/octet-stream", "X-Content-SHA256": digest}
    for attempt in count():
        try:
            document = transport.document("PUT", path, content=content, headers=headers, repeatable=True)
        except UnprocessableError as error:
            # It was damaged on its way.
            transport.pause(attempt, error, error.field == "X-Content-SHA256")
            continue
        if read(UploadPart, document).sha256 == digest:
            return
        damaged = TransportError(f"part {number} of {upload.name} arrived damaged")
        transport.pause(attempt, damaged, True)


def _complete(transport: Transport, upload: Upload, size: int) -> Upload:
    usual = transport.timeout
    patience = None if usual.read is None else usual.read + size / _COPIED_BYTES
    timeout = httpx.Timeout(usual.connect, read=patience, write=usual.write, pool=usual.pool)
    path = path_of("uploads", upload.upload_id, "complete")
    # What is complete stays as it is when this comes twice.
    document = transport.document("POST", path, repeatable=True, timeout=timeout)
    return read(Upload, document)


def _size(file: BinaryIO) -> int | None:
    """Bytes from the file's position to its end; `None` where only reading it can tell."""
    try:
        if not file.seekable():
            return None
        position = file.tell()
        end = file.seek(0, io.SEEK_END)
        file.seek(position)
    except (AttributeError, OSError):
        return None
    return max(0, end - position)


def _parts(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Parts of a file, all but the last of one size; one empty part of an empty file."""
    first = True
    while True:
        content = _read(file, size)
        if content or first:
            yield content
        if len(content) < size:
            return
        first = False


def _read(file: BinaryIO, size: int) -> bytes:
    """Reads so many bytes, or those until the end: pipes give fewer at a time."""
    content = file.read(size)
    if not isinstance(content, bytes):
        raise TypeError("the file must be open for reading bytes, such as open(path, 'rb')")
    if len(content) == size or not content:
        return content
    pieces = [content]
    missing = size - len(content)
    while missing > 0 and (content := file.read(missing)):
        pieces.append(content)
        missing -= len(content)
    return b"".join(pieces)
