"""A stranger's web client: sends what it is told octet by octet and takes answers apart by the RFCs alone.

It shares no code with the gateway, so that a mistake there is not made here a second time: no URL is normalized,
no header is added but Host, nothing is decompressed or followed, and multiparts are read by a strict grammar.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

__all__ = ["Part", "WebResponse", "ask", "split_multipart"]

LIMIT_S = 30.0


@dataclass(frozen=True)
class Part:
    """One part of a multipart; header names in lower case."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers["content-type"]

    @property
    def location(self) -> str:
        return self.headers["content-location"]


@dataclass(frozen=True)
class WebResponse:
    """A whole response."""

    status: int
    headers: Message
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header, empty if it is not there."""
        return self.headers.get(name) or ""

    def all_of(self, name: str) -> list[str]:
        """Each line of a header."""
        return self.headers.get_all(name) or []

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def essence(self) -> str:
        """The media type without parameters."""
        return self.headers.get_content_type()

    @cached_property
    def parts(self) -> list[Part]:
        """The parts of a multipart/related."""
        assert self.essence == "multipart/related", self.header("Content-Type")
        boundary = self.headers.get_boundary()
        assert boundary
        return split_multipart(self.body, boundary)


def ask(
    url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> WebResponse:
    """Send one request and read the answer to its end.

    Raises
    ------
    http.client.HTTPException, ConnectionError
        The answer was cut.
    """
    target = urlsplit(url)
    # the target as written: urlsplit would drop an empty query, and nothing may be encoded a second time
    path = url.split(target.netloc, 1)[1]
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=LIMIT_S)
    sent = {"Host": target.netloc, **(headers or {})}
    if body is not None and "Transfer-Encoding" not in sent:
        sent.setdefault("Content-Length", str(len(body)))
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return WebResponse(response.status, response.msg, response.read())
    finally:
        connection.close()


def split_multipart(body: bytes, boundary: str) -> list[Part]:
    """Take a multipart apart by RFC 2046 §5.1.1, as PS3.18 §8.6.1.2 prints it: no preamble, CRLF everywhere.

    Fails where the grammar is broken or the closing delimiter is missing.
    """
    delimiter = b"--" + boundary.encode("ascii")
    assert body.startswith(delimiter + b"\r\n"), body[:100]
    pieces = (b"\r\n" + body).split(b"\r\n" + delimiter)
    assert pieces[0] == b""
    assert pieces[-1].startswith(b"--") and pieces[-1][2:].strip() == b"", pieces[-1][:100]
    return [_read_part(piece) for piece in pieces[1:-1]]


def _read_part(piece: bytes) -> Part:
    assert piece.startswith(b"\r\n"), piece[:100]
    head, separator, body = piece[2:].partition(b"\r\n\r\n")
    assert separator, piece[:100]
    assert b"\n" not in head.replace(b"\r\n", b""), head
    fields = [line.partition(b":") for line in head.split(b"\r\n")]
    assert all(colon for _, colon, _ in fields), head
    return Part({name.decode().lower(): value.strip().decode() for name, _, value in fields}, body)
