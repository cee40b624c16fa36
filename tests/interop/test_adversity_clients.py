"""The client is killed in mid-stream: the archive learns it within two seconds, nothing leaks, the next is served."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateway.sandbox import SandboxArchive
from gateway.sandbox.loads import write_ct_series, write_multiframe
from tests.support.adversity import Rig, Series, Switches, open_rig, start_archive, wait_until
from tests.support.peers import DcmqrscpPeer
from tests.support.raw_http import ANY_INSTANCE, RawClient

pytestmark = pytest.mark.peer

NOTICED_WITHIN_S = 2.0
MARGIN_S = 1.0  # of a busy machine, for what is noticed in the very last moment
SLICES = 40
FRAMES = 64
ANY_FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
LARGEST_CUT = 12_000_000  # of 21 MB: what sockets may hold is not all of the rest


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_ct_series(tmp_path_factory.mktemp("series"), SLICES)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One instance of 64 frames of half a megabyte: after the first, most of it is worth cutting off."""
    return write_multiframe(tmp_path_factory.mktemp("large"), FRAMES / 2_048)


@pytest.fixture(params=["sandbox", "dcmqrscp"])
async def rig(
    request: pytest.FixtureRequest, tmp_path: Path, files: list[Path], large: Path, switches: Switches
) -> AsyncIterator[Rig]:
    lanes = {"get": {"retrieve": "c-get"}, "move": {"retrieve": "c-move"}}
    titles = ("GATEWAY1", "GATEWAY2")
    async with (
        start_archive(request.param, tmp_path, [*files, large], titles) as backing,
        open_rig(backing, lanes, switches=switches) as running,
    ):
        yield running


by_each_method = pytest.mark.parametrize("lane", [0, 1], ids=["c-get", "c-move"])


@by_each_method
async def test_the_archive_learns_it_and_nothing_leaks(rig: Rig, files: list[Path], lane: int) -> None:
    series, one = Series.of(files), rig.lanes[lane]
    numbers = random.Random(lane)
    for _ in range(5):
        before = count_ends(rig)
        async with RawClient(one.url) as client:
            await client.ask(series.path)
            taken = await client.take(numbers.randrange(1, LARGEST_CUT))
            assert taken.status == 200 and not taken.is_complete
        if isinstance(rig.backing.archive, SandboxArchive):
            seen = await wait_until(lambda before=before: count_ends(rig) > before, NOTICED_WITHIN_S)
            assert seen, "neither C-CANCEL nor abort within the limit"
        assert await wait_until(lambda: one.archive.pool.busy_count == 0, NOTICED_WITHIN_S + MARGIN_S)
        await rig.assert_nothing_left()
    assert await count_instances(one.url, series) == SLICES


def count_ends(rig: Rig) -> int:
    """C-CANCELs, aborts and lost connections that the sandbox has seen."""
    if not isinstance(rig.backing.archive, SandboxArchive):
        return 0
    counters = rig.backing.archive.counters
    return counters.cancels + counters.aborts + counters.connections_lost


async def count_instances(url: str, series: Series) -> int:
    """Retrieve the series and count its parts."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(url + series.path, headers={"Accept": ANY_INSTANCE}) as response,
    ):
        assert response.status == 200
        return (await response.read()).count(b"Content-Type: application/dicom;")


@by_each_method
async def test_clients_that_leave_within_frames(rig: Rig, large: Path, lane: int) -> None:
    """Several at once, which share what they can; who stays gets all it wants of the instance, whoever leaves."""
    series, one = Series.of([large]), rig.lanes[lane]
    path = f"{series.path}/instances/{series.instance_uids[0]}/frames/"
    numbers = random.Random(lane)
    for _ in range(3):
        leaving = [RawClient(one.url) for _ in range(3)]
        async with RawClient(one.url) as staying:
            for client in leaving:
                await client.__aenter__()
                wanted = ",".join(map(str, sorted(numbers.sample(range(1, FRAMES), 8))))
                await client.ask(path + wanted, accept=ANY_FRAME)
            await staying.ask(path + f"1,{FRAMES}", accept=ANY_FRAME)
            for client in leaving:
                assert not (await client.take(numbers.randrange(1, 3_000_000))).is_complete
                client.cut()
            taken = await staying.take()
        assert taken.status == 200 and taken.is_complete and taken.size > 2 * 524_288
        assert await wait_until(lambda: one.archive.pool.busy_count == 0, NOTICED_WITHIN_S + MARGIN_S)
        await rig.assert_nothing_left()


@by_each_method
async def test_clients_that_leave_metadata(rig: Rig, files: list[Path], lane: int) -> None:
    """Kept or not: who leaves takes nothing from who stays, and when all leave the archive is left too."""
    series, one = Series.of(files), rig.lanes[lane]
    for stays in (True, False, True):
        clients = [RawClient(one.url) for _ in range(4)]
        for client in clients:
            await client.__aenter__()
            await client.ask(f"{series.path}/metadata", accept="application/dicom+json")
        await clients[0].take(1)
        for client in clients[1:] if stays else clients:
            client.cut()
        if stays:
            taken = await clients[0].take()
            assert taken.status == 200 and taken.is_complete
            clients[0].cut()
        await rig.assert_nothing_left()


@by_each_method
async def test_clients_that_leave_before_the_first_byte(rig: Rig, files: list[Path], lane: int) -> None:
    series, one = Series.of(files), rig.lanes[lane]
    for delay_s in (0.0, 0.001, 0.003, 0.01, 0.02):
        async with RawClient(one.url) as client:
            await client.ask(series.path)
            await asyncio.sleep(delay_s)
    await rig.assert_nothing_left()
    assert await count_instances(one.url, series) == SLICES


async def test_an_archive_is_free_for_others_once_a_client_has_left(
    tmp_path: Path, files: list[Path], switches: Switches
) -> None:
    """dcmqrscp holds the lock of its index after a cancelled C-GET for as long as the association lasts."""
    series = Series.of(files)
    settings = {"retrieve": "c-get", "max_idle_s": 600}
    async with (
        start_archive("dcmqrscp", tmp_path, files) as backing,
        open_rig(backing, {"get": settings}, switches=switches) as rig,
    ):
        for _ in range(3):
            async with RawClient(rig.lane.url) as client:
                await client.ask(series.path)
                await client.take(1)
            await rig.assert_nothing_left()
        assert isinstance(rig.backing.archive, DcmqrscpPeer)
        async with asyncio.timeout(30):
            assert (await asyncio.to_thread(rig.backing.archive.load, files[:1])).stored


async def test_a_client_that_takes_nothing_is_cut_and_the_archive_released(
    tmp_path: Path, files: list[Path], switches: Switches
) -> None:
    series = Series.of(files)
    async with (
        start_archive("dcmqrscp", tmp_path, files) as backing,
        open_rig(backing, {"get": {"retrieve": "c-get"}}, http={"write_timeout_s": 0.5}, switches=switches) as rig,
        RawClient(rig.lane.url) as client,
    ):
        await client.ask(series.path)
        await client.take(1)
        assert await wait_until(lambda: rig.lane.archive.pool.busy_count == 0, 10)
        await rig.assert_nothing_left()
        taken = await client.take()
        assert taken.status == 200 and not taken.is_complete and taken.size < series.size


async def test_a_client_whose_upload_falls_silent_is_told_so(tmp_path: Path, files: list[Path]) -> None:
    content = files[0].read_bytes()
    opening = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
    async with (
        start_archive("dcmqrscp", tmp_path, files[:1]) as backing,
        open_rig(backing, {"main": {}}, http={"body_timeout_s": 0.5}) as rig,
        RawClient(rig.lane.url) as client,
    ):
        await client.ask(
            "/studies",
            method="POST",
            accept="application/dicom+json",
            Content_Type='multipart/related; type="application/dicom"; boundary=b',
            Content_Length=len(opening) + len(content),
        )
        await client.send(opening, content[:200_000])
        taken = await client.take(1)
        assert taken.status == 408
        await rig.assert_nothing_left()


async def test_a_client_that_never_finishes_its_head_is_cut(tmp_path: Path) -> None:
    async with (
        start_archive("sandbox", tmp_path, []) as backing,
        open_rig(backing, {"main": {}}, http={"header_timeout_s": 0.3}) as rig,
        RawClient(rig.lane.url) as client,
    ):
        await client.send(b"GET / HTTP/1.1\r\n")
        assert (await client.take()).size == 0
