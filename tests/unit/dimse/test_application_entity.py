"""Our application entity: it listens, knows its archives, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.config import GatewaySettings
from gateway.dimse.application_entity import run_application_entity
from gateway.dimse.ul.connection import Connection, Role
from gateway.errors import ConfigurationError
from gateway.sandbox import SandboxArchive
from gateway.tasks import running_tasks
from tests.support.cancellation import settle
from tests.support.upper_layer import make_request


def configure(listen: str | None = "127.0.0.1:0", **backends: dict[str, Any]) -> GatewaySettings:
    return GatewaySettings(ae_title="US", dimse={"listen": listen}, backends=backends)


async def test_an_archive_can_move_to_every_name_of_ours(tmp_path: Path) -> None:
    """It is called by two AE titles; a third is rejected."""
    with SandboxArchive(tmp_path) as sandbox:
        backend = {"ae_title": "SANDBOX", "host": "127.0.0.1", "port": sandbox.port}
        settings = configure(first=backend, second={**backend, "move_destination": "ALIAS"})
        async with run_application_entity(settings) as entity:
            assert list(entity.archives) == ["first", "second"]
            for archive in entity.archives.values():
                await archive.echo()
                assert (await archive.retrieve_abilities()).can_move
            answers = [await request_association(entity.acceptor.port, title) for title in ("US", "ALIAS", "OTHER")]
            assert answers == [b"\x02", b"\x02", b"\x03"]
            port = entity.acceptor.port
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        assert sandbox.wait_for(lambda counters: counters.associations_open == 0)
    await settle(lambda: running_tasks() == [])


async def request_association(port: int, called_ae_title: str) -> bytes:
    """Ask for Verification and give the type of the PDU answered: 2 accepted, 3 rejected."""

    connection = Connection(Role.REQUESTOR, max_length=16_384)
    connection.transport_connected()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(connection.send(make_request(called_ae_title=called_ae_title)))
    async with asyncio.timeout(10):
        answer = await reader.readexactly(1)
    writer.close()
    await writer.wait_closed()
    return answer


async def test_an_address_in_use_is_an_error_of_the_configuration() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = configure(f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(ConfigurationError, match=r"^dimse\.listen: cannot listen on 127\.0\.0\.1:\d+: ") as caught:
            async with run_application_entity(settings):
                raise AssertionError("it listens twice")
    assert caught.value.key == "dimse.listen"


async def test_without_a_listener_there_is_no_move(tmp_path: Path) -> None:
    with SandboxArchive(tmp_path) as sandbox:
        settings = configure(None, main={"ae_title": "SANDBOX", "host": "127.0.0.1", "port": sandbox.port})
        async with run_application_entity(settings) as entity:
            assert not entity.acceptor.is_listening
            assert not (await entity.archives["main"].retrieve_abilities()).can_move
