"""``dicomweb-gateway check`` tells the truth about archives that exist, a closed port and one that never answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox import SandboxArchive
from tests.support.peers import DcmqrscpPeer, MoveDestination, OrthancPeer, Peer, find_free_port
from tests.support.probing import CT_FILE

pytestmark = pytest.mark.peer

STEPS = ("connect", "association", "C-ECHO", "C-FIND", "C-GET", "C-MOVE", "C-STORE")
NOT_REACHED = ["not tried"] * 5
RUN_LIMIT_S = 50
"""Less than the wait for a response (60 s), which a port that never answers must not cost."""
US = MoveDestination("GATEWAY", find_free_port())
"""Where the check listens; the archives know it unless told otherwise."""


def check(**addresses: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code of the command and what its document says of each backend; AET@HOST:PORT by name."""
    flags = [text for name, address in addresses.items() for text in ("--backend", f"{name}={address}")]
    waits = {
        f"GATEWAY__BACKENDS__{name.upper()}__{limit}": "2"
        for name in addresses
        for limit in ("CONNECT_TIMEOUT_S", "ASSOCIATE_TIMEOUT_S")
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    result = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "--json", "--dimse-listen", f"127.0.0.1:{US.port}", *flags],
        capture_output=True,
        env={**clean, **waits},
        timeout=RUN_LIMIT_S,
        check=False,
    )
    assert result.stderr == b""
    document = json.loads(result.stdout)
    assert document["usable"] == (result.returncode == 0)
    return result.returncode, {backend["name"]: backend for backend in document["backends"]}


def results(backend: dict[str, Any]) -> list[str]:
    return [backend["steps"][step]["result"] for step in STEPS]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Peer]]:
    """Archives with one CT each."""
    folder = tmp_path_factory.mktemp("archives")
    peers = {
        "orthanc": OrthancPeer(folder / "orthanc", move_destinations=[US]),
        "dcmqrscp": DcmqrscpPeer(folder / "dcmqrscp", move_destinations=[US]),
        "orthanc_without_get": OrthancPeer(folder / "orthanc-without-get", get=False),
        "dcmqrscp_without_get": DcmqrscpPeer(folder / "without-get", options=("--disable-get",)),
        "empty": DcmqrscpPeer(folder / "empty"),
    }
    with ExitStack() as stack:
        for name, peer in peers.items():
            stack.enter_context(peer)
            if name != "empty":
                assert peer.load([CT_FILE]).stored
        yield peers


@pytest.mark.parametrize("name", ["orthanc", "dcmqrscp"])
def test_an_archive_that_does_everything(running: dict[str, Peer], name: str) -> None:
    code, found = check(main=running[name].address)
    assert code == 0
    assert results(found["main"]) == ["works", "works", "works", "works", "works", "works", "accepted"]
    assert found["main"]["steps"]["C-FIND"]["options"]["relational"] is False
    takes = found["main"]["steps"]["C-STORE"]["accepted"]
    assert takes["CT"] == (["uncompressed"] if name == "dcmqrscp" else takes["US"])
    assert "uncompressed" in takes["CT"]


def test_an_archive_that_knows_us_and_has_no_get(tmp_path: Path) -> None:
    with DcmqrscpPeer(tmp_path, move_destinations=[US], options=("--disable-get",)) as peer:
        peer.load([CT_FILE])
        code, found = check(main=peer.address)
    assert code == 0
    assert results(found["main"]) == ["works", "works", "works", "works", "fails", "works", "accepted"]
    assert found["main"]["steps"]["C-GET"]["detail"] == "not supported by the archive"


def test_get_that_is_accepted_and_then_denied(running: dict[str, Peer]) -> None:
    """Orthanc accepts the context whoever asks, and cuts the association when C-GET is not allowed."""
    code, found = check(main=running["orthanc_without_get"].address)
    assert code == 1
    get = found["main"]["steps"]["C-GET"]
    assert get["result"] == "fails"
    assert get["detail"].startswith("accepted, but when asked: ")
    assert 'backends.main.retrieve = "c-move"' in get["hint"]
    move = found["main"]["steps"]["C-MOVE"]
    assert move["result"] == "fails"
    assert f"must know the move destination GATEWAY at 127.0.0.1:{US.port}" in move["hint"]


def test_an_archive_that_does_not_know_us(running: dict[str, Peer]) -> None:
    code, found = check(main=running["dcmqrscp_without_get"].address)
    assert code == 1
    assert results(found["main"]) == ["works", "works", "works", "works", "fails", "fails", "accepted"]
    move = found["main"]["steps"]["C-MOVE"]
    assert move["status"] == "A801"
    assert move["hint"].endswith(f"move destination GATEWAY: add it there with address 127.0.0.1:{US.port}")


def test_an_empty_archive(running: dict[str, Peer]) -> None:
    code, found = check(main=running["empty"].address)
    assert code == 0
    assert results(found["main"]) == ["works", "works", "works", "works", "accepted", "accepted", "accepted"]
    assert found["main"]["steps"]["C-GET"]["detail"] == "no study to try with"


def test_a_wrong_ae_title(running: dict[str, Peer]) -> None:
    _, _, address = running["dcmqrscp"].address.partition("@")
    code, found = check(main=f"NOBODY@{address}")
    assert code == 1
    assert results(found["main"])[:2] == ["works", "fails"]
    assert "called AE title not recognized" in found["main"]["steps"]["association"]["detail"]
    assert "correct backends.main.ae_title" in found["main"]["steps"]["association"]["hint"]


def test_the_sandbox(tmp_path: Path) -> None:
    with SandboxArchive(tmp_path, move_destinations={"GATEWAY": ("127.0.0.1", US.port)}) as sandbox:
        sandbox.index.add_file(CT_FILE)
        code, found = check(main=f"SANDBOX@127.0.0.1:{sandbox.port}")
    assert code == 0
    assert results(found["main"]) == ["works", "works", "works", "works", "works", "works", "accepted"]
    assert found["main"]["steps"]["C-FIND"]["options"]["relational"] is True


def test_nobody_there(running: dict[str, Peer]) -> None:
    """A closed port, a port that takes connections and says nothing, and one of a web server; one archive works."""
    orthanc = running["orthanc"]
    assert isinstance(orthanc, OrthancPeer)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        code, found = check(
            closed=f"A@127.0.0.1:{find_free_port()}",
            silent=f"A@127.0.0.1:{silent.getsockname()[1]}",
            web=f"A@127.0.0.1:{orthanc.http_port}",
            nameless="A@no-such-host.invalid:104",
            good=orthanc.address,
        )
    assert code == 1
    assert {name: backend["usable"] for name, backend in found.items() if backend["usable"]} == {"good": True}
    assert results(found["closed"]) == ["fails", "not tried", *NOT_REACHED]
    assert "connection refused" in found["closed"]["steps"]["connect"]["detail"]
    assert results(found["silent"]) == ["works", "fails", *NOT_REACHED]
    assert "no answer to A-ASSOCIATE-RQ within 2 s" in found["silent"]["steps"]["association"]["detail"]
    assert results(found["web"]) == ["works", "fails", *NOT_REACHED]
    assert results(found["nameless"]) == ["fails", "not tried", *NOT_REACHED]
    assert "name" in found["nameless"]["steps"]["connect"]["detail"]


def test_a_hanging_archive(tmp_path: Path) -> None:
    """Stopped by a signal: the kernel takes the connection, nobody answers."""
    with DcmqrscpPeer(tmp_path) as peer:
        peer.pause()
        code, found = check(main=peer.address)
        peer.resume()
    assert code == 1
    assert results(found["main"]) == ["works", "fails", *NOT_REACHED]
