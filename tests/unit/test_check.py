"""The command ``check``: what it prints and returns, for several backends, over archives that differ."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway import check
from gateway.config import BackendSettings, GatewaySettings
from gateway.sandbox import Behaviour, SandboxArchive
from gateway.tasks import running_tasks
from tests.support.cancellation import settle
from tests.support.peers import find_free_port
from tests.support.probing import CT_FILE


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """The command line sends the log to standard error; here it would be mixed with what is printed."""
    with capture_logs():
        yield


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxArchive]:
    with SandboxArchive(tmp_path / "archive") as running:
        running.index.add_file(CT_FILE)
        yield running


def configure(sandbox: SandboxArchive, *, listen: str | None = None, **more: dict[str, Any]) -> GatewaySettings:
    """The sandbox as backend ``main``, which knows us where we listen; by default on a free port."""
    if listen is None:
        listen = f"127.0.0.1:{find_free_port()}"
    if listen:
        sandbox.add_move_destination("GATEWAY", "127.0.0.1", int(listen.rpartition(":")[2]))
    main = {"ae_title": "SANDBOX", "host": "127.0.0.1", "port": sandbox.port}
    backends = {"main": main, **{name: {**main, **backend} for name, backend in more.items()}}
    return GatewaySettings(dimse={"listen": listen}, backends=backends)


async def check_as_json(settings: GatewaySettings, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    is_usable = await check.run(settings, as_json=True)
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["usable"] is is_usable
    return document


async def test_the_document(sandbox: SandboxArchive, capsys: pytest.CaptureFixture[str]) -> None:
    settings = configure(sandbox)
    document = await check_as_json(settings, capsys)
    (backend,) = document.pop("backends")
    assert document == {"usable": True, "ae_title": "GATEWAY", "dimse_listen": settings.dimse.listen}
    assert backend["name"] == "main"
    assert {step: finding["result"] for step, finding in backend["steps"].items()} == {
        "connect": "works",
        "association": "works",
        "C-ECHO": "works",
        "C-FIND": "works",
        "C-GET": "works",
        "C-MOVE": "works",
        "C-STORE": "accepted",
    }


async def test_all_backends_must_be_usable(sandbox: SandboxArchive, capsys: pytest.CaptureFixture[str]) -> None:
    document = await check_as_json(configure(sandbox, closed={"port": find_free_port()}), capsys)
    assert {backend["name"]: backend["usable"] for backend in document["backends"]} == {"main": True, "closed": False}
    assert not document["usable"]


async def test_the_tables(sandbox: SandboxArchive, capsys: pytest.CaptureFixture[str]) -> None:
    settings = configure(sandbox, **{"closed": {"port": find_free_port(), "ae_title": "[red]"}})
    assert await check.run(settings, as_json=False) is False
    lines = capsys.readouterr().out.splitlines()
    titles = [line.strip() for line in lines if "127.0.0.1:" in line and "│" not in line]
    assert titles == [
        f"main  SANDBOX at 127.0.0.1:{sandbox.port}  usable",
        f"closed  [red] at 127.0.0.1:{settings.backends['closed'].port}  not usable",
    ]
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]
    assert ["C-GET", "works", "an instance arrives, as Explicit VR Little Endian"] in rows
    assert ["connect", "fails", "archive unreachable (connection refused)"] in rows
    assert any(row[2].startswith("→ is the archive running? Correct backends.closed.host and") for row in rows)
    assert lines[-1] == "1 of 2 backends usable"


async def test_a_port_of_ours_in_use_leaves_only_c_move_untried(
    sandbox: SandboxArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = configure(sandbox, listen=f"127.0.0.1:{taken.getsockname()[1]}")
        document = await check_as_json(settings, capsys)
    (backend,) = document["backends"]
    assert backend["usable"] is True
    assert backend["steps"]["C-GET"]["result"] == "works"
    assert backend["steps"]["C-MOVE"]["result"] == "not tried"
    assert "cannot listen on 127.0.0.1:" in backend["steps"]["C-MOVE"]["detail"]
    assert "--dimse-listen" in backend["steps"]["C-MOVE"]["detail"]


async def test_no_listener_by_configuration(sandbox: SandboxArchive, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox.behaviour = Behaviour(refuse_get=True)
    document = await check_as_json(configure(sandbox, listen=""), capsys)
    move = document["backends"][0]["steps"]["C-MOVE"]
    assert (move["result"], move["detail"]) == ("not tried", "dimse.listen is empty")
    assert not document["usable"]


async def test_the_hint_names_an_address_that_can_be_reached(
    sandbox: SandboxArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    """We listen on every address: the one on the way to the archive is named."""
    port = find_free_port()
    settings = configure(sandbox, listen=f"0.0.0.0:{port}")
    aliased = settings.backends["main"].model_copy(update={"move_destination": "ALIAS"})
    settings = settings.model_copy(update={"backends": {"main": aliased}})
    document = await check_as_json(settings, capsys)
    move = document["backends"][0]["steps"]["C-MOVE"]
    assert (move["result"], move["status"]) == ("fails", "A801")
    assert move["hint"].endswith(f"destination ALIAS: add it there with address 127.0.0.1:{port}")


async def test_the_address_of_a_host_without_a_name() -> None:
    nowhere = BackendSettings(ae_title="A", host="no-such-host.invalid")
    assert await check._find_own_address(nowhere) == "this machine"


async def test_nothing_is_left_behind(sandbox: SandboxArchive, capsys: pytest.CaptureFixture[str]) -> None:
    settings = configure(sandbox, second={})
    assert (await check_as_json(settings, capsys))["usable"]
    assert sandbox.wait_for(lambda counters: counters.associations_open == 0)
    await settle(lambda: running_tasks() == [])
    assert len(sandbox.index) == 1
    host, _, port = (settings.dimse.listen or "").rpartition(":")
    with socket.create_server((host, int(port))):
        pass
