"""Answers of the Retrieve transaction, taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp

from gateway.codecs.media_types import parse_media_type
from gateway.codecs.multipart import MultipartReader, PartChunk, PartStart

__all__ = ["ANY_SYNTAX", "Answer", "BodyPart", "fetch", "split_file"]

ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True, slots=True)
class BodyPart:
    """One part of a multipart."""

    content_type: str
    location: str
    body: bytes

    @property
    def transfer_syntax(self) -> str | None:
        """What the Content-Type says."""
        return parse_media_type(self.content_type).transfer_syntax


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response."""

    status: int
    headers: Any
    body: bytes

    @property
    def parts(self) -> list[BodyPart]:
        """The parts of a multipart body."""
        return read_parts(self.headers["Content-Type"], self.body)


async def fetch(
    url: str,
    accept: str | None = ANY_SYNTAX,
    *,
    method: str = "GET",
    raise_for_status: bool = False,
    known: str | None = None,
) -> Answer:
    """Ask for `url`, unless it is `known`, and read the answer to its end; raises as aiohttp does where it is cut."""
    headers = {} if accept is None else {"Accept": accept}
    if known is not None:
        headers["If-None-Match"] = known
    async with aiohttp.ClientSession(skip_auto_headers=["Accept-Encoding"]) as client:
        async with client.request(method, url, headers=headers, raise_for_status=raise_for_status) as response:
            return Answer(response.status, response.headers, await response.read())


def read_parts(content_type: str, body: bytes) -> list[BodyPart]:
    """Take a multipart apart; fails where it is not whole."""
    reader = MultipartReader(parse_media_type(content_type).parameter("boundary") or "")
    heads: list[dict[str, str]] = []
    bodies: list[list[bytes]] = []
    for event in reader.feed(body):
        if isinstance(event, PartStart):
            heads.append(dict(event.headers))
            bodies.append([])
        elif isinstance(event, PartChunk):
            bodies[-1].append(bytes(event.data))
    reader.finish()
    return [
        BodyPart(head.get("content-type", ""), head.get("content-location", ""), b"".join(pieces))
        for head, pieces in zip(heads, bodies, strict=True)
    ]


def split_file(content: bytes) -> tuple[str, bytes]:
    """Transfer syntax and data set of a PS3.10 file (PS3.10 §7.1); the former "" where it is not named."""
    assert content[128:132] == b"DICM" and content[132:140] == b"\x02\0\0\0UL\4\0", content[128:140]
    end = 144 + int.from_bytes(content[140:144], "little")
    position = 144
    while position < end:
        tag, vr = content[position : position + 4], content[position + 4 : position + 6]
        if vr in (b"OB", b"UN", b"UT"):
            length, start = int.from_bytes(content[position + 8 : position + 12], "little"), position + 12
        else:
            length, start = int.from_bytes(content[position + 6 : position + 8], "little"), position + 8
        if tag == b"\x02\0\x10\0":
            return content[start : start + length].rstrip(b"\0 ").decode(), content[end:]
        position = start + length
    return "", content[end:]
