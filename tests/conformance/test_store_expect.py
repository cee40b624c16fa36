"""Expect: 100-continue (RFC 9110 §10.1.1): a client is invited to send its body, or told at once why it should not."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.sandbox import SandboxArchive
from tests.support.conformance_site import JSON, Site, open_site
from tests.support.uploads import make_data_set, make_file, multipart, multipart_type

LIMIT = 5_000
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BODY = multipart([make_file(make_data_set(1))])
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[SandboxArchive]:
    with SandboxArchive(tmp_path / "shelf") as shelf:
        yield shelf


@pytest.fixture
def store_site(shelf: SandboxArchive) -> Iterator[Site]:
    with open_site(shelf, http={"max_body_bytes": LIMIT}) as site:
        yield site


def write_head(site: Site, path: str = "/studies", version: str = "1.1", **fields: str) -> bytes:
    target = urlsplit(site.url)
    sent = {
        "Host": target.netloc,
        "Accept": JSON,
        "Content-Type": multipart_type(),
        "Content-Length": str(len(BODY)),
        "Expect": "100-continue",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    if "Transfer-Encoding" in sent:
        del sent["Content-Length"]
    lines = [f"POST {target.path}{path} HTTP/{version}", *(f"{name}: {value}" for name, value in sent.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def connect(site: Site) -> socket.socket:
    target = urlsplit(site.url)
    return socket.create_connection((target.hostname, target.port), timeout=20)


def read_status(connection: socket.socket) -> int:
    return int(connection.recv(65_536).split()[1])


@pytest.mark.parametrize("expectation", ["100-continue", "100-Continue"])
@pytest.mark.parametrize(("fields", "body"), [({}, BODY), ({"Transfer-Encoding": "chunked"}, CHUNKED)])
def test_the_client_is_invited(
    store_site: Site, shelf: SandboxArchive, fields: dict[str, str], body: bytes, expectation: str
) -> None:
    with connect(store_site) as connection:
        connection.sendall(write_head(store_site, Expect=expectation, **fields))
        assert connection.recv(65_536) == CONTINUE
        connection.sendall(body)
        assert read_status(connection) == 200
    assert len(shelf.index) == 1


def test_a_client_that_does_not_wait(store_site: Site, shelf: SandboxArchive) -> None:
    with connect(store_site) as connection:
        connection.sendall(write_head(store_site) + BODY)
        assert connection.recv(len(CONTINUE)) == CONTINUE
        assert read_status(connection) == 200
    assert len(shelf.index) == 1


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/studies", {"Content-Type": "text/plain"}, 415),
        ("/studies", {"Content-Encoding": "br"}, 415),
        ("/studies", {"Accept": "text/html"}, 406),
        ("/studies/x", {}, 400),
        ("/studies", {"Content-Length": str(LIMIT + 1)}, 413),
        ("/studies", {"Expect": "a miracle"}, 417),
    ],
)
def test_a_body_that_would_be_in_vain_is_not_asked_for(
    store_site: Site, shelf: SandboxArchive, path: str, fields: dict[str, str], status: int
) -> None:
    with connect(store_site) as connection:
        connection.sendall(write_head(store_site, path, **fields))
        assert read_status(connection) == status
    assert shelf.counters.associations_total == 0


def test_http_1_0_knows_no_invitation(store_site: Site) -> None:
    with connect(store_site) as connection:
        connection.sendall(write_head(store_site, version="1.0") + BODY)
        assert read_status(connection) == 200
