"""Server-sent events, as the HTML standard describes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ServerEvent:
    """An event of a stream.

    Attributes:
        id: What the event itself says of its number; `None` where it says nothing.
        name: Its name.
        data: Its data.
    """

    id: str | None
    name: str
    data: str


def server_events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Reads events from the bytes of a stream. What follows the last blank line is no event."""
    identifier: str | None = None
    name = ""
    data: list[str] = []
    for line in _lines(chunks):
        if not line:
            if data:
                yield ServerEvent(identifier, name or "message", "\n".join(data))
            identifier, name, data = None, "", []
            continue
        # A line that begins with a colon is a comment, which keeps the connection alive.
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "id" and "\0" not in value:
            identifier = value
        elif field == "event":
            name = value
        elif field == "data":
            data.append(value)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    # Not the line breaks of Unicode: JSON may hold those.
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r").decode("utf-8", "replace")
