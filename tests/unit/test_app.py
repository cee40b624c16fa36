"""The composition root: what listens, what is routed where, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from gateway.app import Gateway, run_gateway, serve
from gateway.config import BackendSettings, DimseSettings, GatewaySettings, HttpSettings
from gateway.errors import ConfigurationError
from gateway.tasks import running_tasks
from tests.support.peers import find_free_port

NOBODY = BackendSettings(ae_title="NOBODY", host="127.0.0.1", port=1, connect_timeout_s=1)


def make_settings(**backends: BackendSettings) -> GatewaySettings:
    return GatewaySettings(
        http=HttpSettings(listen="127.0.0.1:0", shutdown_grace_s=1),
        dimse=DimseSettings(listen="127.0.0.1:0"),
        backends=backends or {"main": NOBODY},
    )


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    async with run_gateway(make_settings(first=NOBODY, second=NOBODY)) as running:
        yield running


async def get(url: str) -> tuple[int, object]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, await answer.json()


async def test_it_lives_without_any_archive(gateway: Gateway) -> None:
    status, body = await get(f"{gateway.url}/healthz")
    assert (status, body["status"]) == (200, "ok")


async def test_it_is_not_ready_while_no_archive_answers(gateway: Gateway) -> None:
    status, body = await get(f"{gateway.url}/readyz")
    assert (status, body["backends"]) == (503, {"first": "ConnectFailed", "second": "ConnectFailed"})


async def test_the_first_backend_is_the_default_one(gateway: Gateway) -> None:
    _, body = await get(f"{gateway.url}/backends")
    roots = {backend["name"]: (backend["default"], backend["dicomweb"]) for backend in body["backends"]}
    assert roots == {"first": (True, "/dicomweb"), "second": (False, "/backends/second/dicomweb")}


@pytest.mark.parametrize("root", ["/dicomweb", "/backends/first/dicomweb", "/backends/second/dicomweb"])
async def test_every_backend_has_its_services(gateway: Gateway, root: str) -> None:
    status, body = await get(f"{gateway.url}{root}/studies")
    assert (status, body["dimse"]["peer"]) == (503, "NOBODY")


async def test_an_unknown_backend_is_404(gateway: Gateway) -> None:
    status, body = await get(f"{gateway.url}/backends/third/dicomweb/studies")
    assert (status, body["status"]) == (404, 404)


async def test_archives_can_reach_the_dimse_port(gateway: Gateway) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.dimse_port)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("section", ["http", "dimse"])
async def test_a_taken_address_names_the_setting(section: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        settings = make_settings()
        changed = getattr(settings, section).model_copy(update={"listen": address})
        with pytest.raises(ConfigurationError, match=rf"{section}\.listen"):
            async with run_gateway(settings.model_copy(update={section: changed})):
                pass


async def test_nothing_is_left_after_the_end() -> None:
    async with run_gateway(make_settings()) as gateway:
        await get(f"{gateway.url}/readyz")
    assert running_tasks() == []
    with pytest.raises(aiohttp.ClientConnectionError):
        await get(f"{gateway.url}/healthz")


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
async def test_signals_end_it_in_order(signals: list[signal.Signals]) -> None:
    port = find_free_port()
    settings = make_settings()
    http = settings.http.model_copy(update={"listen": f"127.0.0.1:{port}"})
    serving = asyncio.ensure_future(serve(settings.model_copy(update={"http": http})))
    while True:
        try:
            await get(f"http://127.0.0.1:{port}/healthz")
            break
        except aiohttp.ClientConnectionError:
            assert not serving.done()
    for number in signals:
        os.kill(os.getpid(), number)
    await asyncio.wait_for(serving, 20)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().remove_signal_handler(number)
