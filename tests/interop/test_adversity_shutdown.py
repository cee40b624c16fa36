"""SIGTERM to ``dicomweb-gateway serve`` while an instance streams: what runs may end, nothing new begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.adversity import wait_until
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import find_free_port
from tests.support.raw_http import RawClient
from tests.support.streaming_scp import StreamingArchive
from tests.support.synthetic_instance import SyntheticInstance

pytestmark = pytest.mark.peer

INSTANCE = SyntheticInstance(64)  # 32 MiB: more than sockets hold
LIMIT_S = 20.0


@contextmanager
def run(folder: Path, method: str, grace_s: float) -> Iterator[tuple[StreamingArchive, GatewayProcess]]:
    move_port = find_free_port()
    with (
        StreamingArchive(INSTANCE.frames, move_port=move_port) as archive,
        GatewayProcess(
            f"{archive.ae_title}@127.0.0.1:{archive.port}",
            folder,
            dimse_port=move_port,
            BACKENDS__MAIN__RETRIEVE=method,
            HTTP__SHUTDOWN_GRACE_S=grace_s,
        ) as gateway,
    ):
        yield archive, gateway


@pytest.mark.parametrize("method", ["c-get", "c-move"])
async def test_a_stream_may_end(tmp_path: Path, method: str) -> None:
    with run(tmp_path, method, LIMIT_S) as (archive, gateway):
        async with RawClient(gateway.url) as client:
            await client.ask(INSTANCE.url_path)
            await client.take(1)
            gateway.terminate()
            assert await wait_until(lambda: not gateway.is_listening(), LIMIT_S)
            taken = await client.take()
        assert taken.is_complete and taken.size > INSTANCE.size
        assert await asyncio.to_thread(gateway.wait, LIMIT_S) == 0
        # a C-MOVE goes over the association of the query before it
        expected = ["released"] * (2 if method == "c-get" else 1)
        assert await wait_until(lambda: archive.ends == expected, LIMIT_S), archive.ends


@pytest.mark.parametrize("method", ["c-get", "c-move"])
async def test_a_client_that_is_too_slow_is_cut_after_the_grace(tmp_path: Path, method: str) -> None:
    with run(tmp_path, method, 0.5) as (archive, gateway):
        async with RawClient(gateway.url) as client:
            await client.ask(INSTANCE.url_path)
            await client.take(1)
            gateway.terminate()
            began = time.monotonic()
            assert await asyncio.to_thread(gateway.wait, LIMIT_S) == 0
            assert time.monotonic() - began >= 0.5
            assert not (await client.take()).is_complete
        assert await wait_until(lambda: len(archive.ends) >= 1, LIMIT_S)
        assert set(archive.ends) <= {"released", "aborted"}


async def test_idle_associations_are_released(tmp_path: Path) -> None:
    with run(tmp_path, "c-get", LIMIT_S) as (archive, gateway):
        async with RawClient(gateway.url) as client:
            await client.ask(INSTANCE.url_path)
            assert (await client.take()).is_complete
        gateway.terminate()
        assert await asyncio.to_thread(gateway.wait, LIMIT_S) == 0
        assert await wait_until(lambda: archive.ends == ["released", "released"], LIMIT_S), archive.ends
