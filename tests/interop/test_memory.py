"""What a gateway holds of instances of 1 GiB, whoever is slow: a ceiling on its resident memory (invariant 1).

The gateway runs in a process of its own, and so does the archive. The figures are printed (``pytest -s``).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.support.adversity import ALL_ON, Switches
from tests.support.gateway_process import GatewayProcess, MemoryWatch
from tests.support.peers import find_free_port
from tests.support.raw_http import RawClient
from tests.support.streaming_scp import StreamingArchive
from tests.support.synthetic_instance import FRAME_BYTES, SyntheticInstance

pytestmark = [pytest.mark.slow, pytest.mark.peer]

GIB_FRAMES = 2_048
INSTANCE = SyntheticInstance(GIB_FRAMES)
ONE_LIMIT_MIB = 16
TEN_LIMIT_MIB = 48
SLOW_MB_PER_S = 50
STORE_MB_PER_S = 100
BOUNDARY = "boundary"


@contextmanager
def run_gateway(folder: Path, method: str = "c-get", switches: Switches = ALL_ON) -> Iterator[GatewayProcess]:
    move_port = find_free_port()
    with (
        StreamingArchive(GIB_FRAMES, store_mb_per_s=STORE_MB_PER_S, move_port=move_port) as archive,
        GatewayProcess(
            f"{archive.ae_title}@127.0.0.1:{archive.port}",
            folder,
            dimse_port=move_port,
            BACKENDS__MAIN__RETRIEVE=method,
            BACKENDS__MAIN__MAX_ASSOCIATIONS=16,
            **switches.environment,
        ) as gateway,
    ):
        # the first association imports what is not needed before
        with urlopen(gateway.url.removesuffix("/dicomweb") + "/readyz") as ready:
            assert ready.status == 200
        yield gateway


def tell(what: str, watch: MemoryWatch, size: int, began: float) -> None:
    seconds = time.monotonic() - began
    print(f"\n{what}: +{watch.growth_mib:.1f} MiB over {watch.before / 2**20:.0f} MiB, ", end="")
    print(f"{size / 1e6:.0f} MB in {seconds:.1f} s = {size / 1e6 / seconds:.0f} MB/s")


@pytest.mark.parametrize(("method", "mb_per_s"), [("c-get", SLOW_MB_PER_S), ("c-move", 4 * SLOW_MB_PER_S)])
async def test_one_whole_instance_to_a_slow_reader(tmp_path: Path, method: str, mb_per_s: float) -> None:
    with run_gateway(tmp_path, method) as gateway, gateway.watch_memory() as watch:
        began = time.monotonic()
        async with RawClient(gateway.url) as client:
            await client.ask(INSTANCE.url_path)
            taken = await client.take(mb_per_s=mb_per_s)
    tell(f"1 GiB by {method} to a reader of {mb_per_s} MB/s", watch, taken.size, began)
    assert taken.is_complete and taken.size > INSTANCE.size
    assert watch.growth_mib < ONE_LIMIT_MIB


async def test_ten_slow_readers_at_once(tmp_path: Path, switches: Switches) -> None:
    part = 150_000_000

    async def read_part(number: int) -> int:
        """Each the beginning of an instance of its own, then it goes away."""
        instance = SyntheticInstance(GIB_FRAMES, instance_uid=f"1.2.3.{number}")
        async with RawClient(gateway.url) as client:
            await client.ask(instance.url_path)
            return (await client.take(part, mb_per_s=SLOW_MB_PER_S)).size

    with run_gateway(tmp_path, switches=switches) as gateway, gateway.watch_memory() as watch:
        began = time.monotonic()
        sizes = await asyncio.gather(*(read_part(number) for number in range(1, 11)))
    tell(f"10 × 1 GiB to readers of {SLOW_MB_PER_S} MB/s with {switches}", watch, sum(sizes), began)
    assert min(sizes) >= part
    assert watch.growth_mib < TEN_LIMIT_MIB


async def test_readers_that_stop_for_seconds(tmp_path: Path, switches: Switches) -> None:
    """They take the beginning as fast as it comes, nothing for a while, and some more."""
    part = 100_000_000

    async def read_and_pause(number: int) -> int:
        instance = SyntheticInstance(GIB_FRAMES, instance_uid=f"1.2.3.{number}")
        async with RawClient(gateway.url) as client:
            await client.ask(instance.url_path)
            await client.take(part)
            await asyncio.sleep(4)
            return (await client.take(part)).size

    with run_gateway(tmp_path, switches=switches) as gateway, gateway.watch_memory() as watch:
        began = time.monotonic()
        sizes = await asyncio.gather(*(read_and_pause(number) for number in range(1, 5)))
    tell(f"4 × 1 GiB to readers that stop for 4 s with {switches}", watch, sum(sizes), began)
    assert min(sizes) >= 2 * part
    assert watch.growth_mib < ONE_LIMIT_MIB


async def test_the_last_frame(tmp_path: Path) -> None:
    with run_gateway(tmp_path) as gateway, gateway.watch_memory() as watch:
        began = time.monotonic()
        async with RawClient(gateway.url) as client:
            await client.ask(f"{INSTANCE.url_path}/frames/{GIB_FRAMES}", accept="application/octet-stream")
            taken = await client.take(mb_per_s=SLOW_MB_PER_S)
    tell("frame 2048 of 1 GiB", watch, INSTANCE.size, began)
    assert taken.status == 200 and FRAME_BYTES < taken.size < FRAME_BYTES + 4_096
    assert watch.growth_mib < ONE_LIMIT_MIB


async def test_metadata(tmp_path: Path) -> None:
    with run_gateway(tmp_path) as gateway, gateway.watch_memory() as watch:
        began = time.monotonic()
        async with RawClient(gateway.url) as client:
            await client.ask(f"{INSTANCE.url_path}/metadata", accept="application/dicom+json")
            taken = await client.take()
    tell("metadata of 1 GiB", watch, INSTANCE.size, began)
    assert taken.status == 200 and taken.is_complete and taken.size < 8_192
    assert watch.growth_mib < ONE_LIMIT_MIB


async def test_a_store_from_a_fast_client_to_a_slow_archive(tmp_path: Path) -> None:
    opening = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    closing = f"\r\n--{BOUNDARY}--\r\n".encode()
    head = INSTANCE.encode_part10_head()
    length = len(opening) + len(head) + GIB_FRAMES * FRAME_BYTES + len(closing)
    with run_gateway(tmp_path) as gateway, gateway.watch_memory() as watch:
        began = time.monotonic()
        async with RawClient(gateway.url) as client:
            await client.ask(
                "/studies",
                method="POST",
                accept="application/dicom+json",
                Content_Type=f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
                Content_Length=length,
                Connection="close",
            )
            await client.send(opening, head)
            await client.send_all(piece for frame in INSTANCE.iter_frames() for piece in frame)
            await client.send(closing)
            taken = await client.take()
    tell(f"1 GiB stored into an archive of {STORE_MB_PER_S} MB/s", watch, length, began)
    assert taken.status == 200
    assert watch.growth_mib < ONE_LIMIT_MIB
