"""The archive is killed in mid-stream: the client can tell, the next one is told, and service resumes by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.sandbox.loads import write_ct_series
from tests.support.adversity import ALL_ON, Lane, Rig, Series, Switches, open_rig, start_archive
from tests.support.cutting_proxy import CuttingProxy, Damage, Harm, Way
from tests.support.peers import Peer
from tests.support.raw_http import ANY_INSTANCE

pytestmark = pytest.mark.peer

SLICES = 40
LIMITS = ("silence", "retrieve", "response", "cancel", "associate")
QUICK: dict[str, Any] = {f"{name}_timeout_s": 1 for name in LIMITS}
"""For links on which nothing passes any more: within a second they are given up."""

HARMS = pytest.mark.parametrize("harm", [Harm.RESET, Harm.HALF_CLOSE, Harm.BLACK_HOLE])
METHODS = pytest.mark.parametrize("method", ["c-get", "c-move"])
BROKEN = (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_ct_series(tmp_path_factory.mktemp("series"), SLICES)


@asynccontextmanager
async def run(
    kind: str, folder: Path, files: list[Path], switches: Switches = ALL_ON, **settings: Any
) -> AsyncIterator[Rig]:
    async with (
        start_archive(kind, folder, files) as backing,
        open_rig(backing, {"main": QUICK | settings}, switches=switches) as rig,
    ):
        yield rig


def leg(lane: Lane, method: str) -> tuple[CuttingProxy, Way]:
    """The relay that instances pass, and in which direction."""
    return (lane.there, Way.BACK) if method == "c-get" else (lane.back, Way.OUT)


async def read(lane: Lane, path: str, **headers: str) -> tuple[int, bytes, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(lane.url + path, headers={"Accept": ANY_INSTANCE, **headers}) as response,
    ):
        return response.status, await response.read(), response.headers


async def assert_serves(lane: Lane, series: Series) -> None:
    status, body, _ = await read(lane, series.path)
    assert status == 200 and body.count(b"Content-Type: application/dicom;") == SLICES


async def assert_tells(lane: Lane, path: str) -> None:
    """A request is answered with 502 or 503 and a status report."""
    async with aiohttp.ClientSession() as session, session.get(lane.url + path) as response:
        assert response.status in (502, 503), await response.text()
        assert response.content_type == "application/json"
        assert (await response.json())["status"] == response.status
        assert ("Retry-After" in response.headers) == (response.status == 503)


# --- links that fail ---------------------------------------------------------------------------------------------


@METHODS
@HARMS
async def test_a_link_that_fails_within_an_instance(
    tmp_path: Path, files: list[Path], method: str, harm: Harm, switches: Switches
) -> None:
    series = Series.of(files)
    numbers = random.Random(f"{method} {harm}")
    async with run("dcmqrscp", tmp_path, files, switches, retrieve=method) as rig:
        relay, way = leg(rig.lane, method)
        for count in range(1, 4):
            relay.plan(Damage(harm, way, numbers.randrange(200_000, series.size - 200_000)))
            with pytest.raises(BROKEN):
                await read(rig.lane, series.path)
            assert relay.harms == count
            relay.cut()
            await rig.assert_nothing_left()
            await assert_serves(rig.lane, series)


@HARMS
async def test_the_request_leg_of_a_move_that_fails(
    tmp_path: Path, files: list[Path], harm: Harm, switches: Switches
) -> None:
    """What the archive had to say is lost: the client gets everything, or a response that is visibly cut."""
    series = Series.of(files)
    async with run("dcmqrscp", tmp_path, files, switches, retrieve="c-move") as rig:
        rig.lane.back.plan(Damage(Harm.PAUSE, Way.OUT, series.size // 3))
        reading = asyncio.create_task(read(rig.lane, series.path))
        await rig.lane.back.wait_for_harm()
        rig.lane.there.plan(Damage(harm, Way.BACK, 0))  # the next C-MOVE-RSP
        rig.lane.back.let_go()
        try:
            status, body, _ = await reading
            assert (status, body.count(b"Content-Type: application/dicom;")) == (200, SLICES)
        except BROKEN:
            pass
        assert rig.lane.there.harms == 1
        rig.lane.there.cut()
        await rig.assert_nothing_left()
        await assert_serves(rig.lane, series)


@HARMS
async def test_a_link_that_fails_before_the_first_byte(
    tmp_path: Path, files: list[Path], harm: Harm, switches: Switches
) -> None:
    series = Series.of(files)
    async with run("dcmqrscp", tmp_path, files, switches, retrieve="c-get") as rig:
        for after in (0, 5, 150):  # of the answer to A-ASSOCIATE-RQ, and of the first response
            rig.lane.there.plan(Damage(harm, Way.BACK, after))
            async with aiohttp.ClientSession() as session, session.get(rig.lane.url + series.path) as response:
                assert response.status in (502, 503, 504)
                assert (await response.json())["status"] == response.status
            rig.lane.there.cut()
            await rig.assert_nothing_left()
        await assert_serves(rig.lane, series)


@METHODS
async def test_a_slow_link_is_no_failure(tmp_path: Path, files: list[Path], method: str) -> None:
    series = Series.of(files[:4])
    async with run("dcmqrscp", tmp_path, files[:4], retrieve=method) as rig:
        rig.lane.there.delay_s = rig.lane.back.delay_s = 0.02
        status, body, _ = await read(rig.lane, series.path)
        assert (status, body.count(b"Content-Type: application/dicom;")) == (200, 4)


@METHODS
async def test_a_pause_shorter_than_the_limit_is_no_failure(tmp_path: Path, files: list[Path], method: str) -> None:
    series = Series.of(files)
    async with run("dcmqrscp", tmp_path, files, retrieve=method, silence_timeout_s=20, retrieve_timeout_s=20) as rig:
        relay, way = leg(rig.lane, method)
        relay.plan(Damage(Harm.PAUSE, way, series.size // 2))
        reading = asyncio.create_task(read(rig.lane, series.path))
        await relay.wait_for_harm()
        await asyncio.sleep(0.3)
        assert not reading.done()
        relay.let_go()
        status, body, _ = await reading
        assert (status, body.count(b"Content-Type: application/dicom;")) == (200, SLICES)


# --- archives that die and come back -----------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "method"), [("dcmqrscp", "c-get"), ("dcmqrscp", "c-move"), ("sandbox", "c-get")])
async def test_an_archive_that_is_gone_and_comes_back(
    tmp_path: Path, files: list[Path], method: str, kind: str, switches: Switches
) -> None:
    series = Series.of(files)
    async with run(kind, tmp_path, files, switches, retrieve=method) as rig:
        relay, way = leg(rig.lane, method)
        relay.plan(Damage(Harm.PAUSE, way, series.size // 3))
        reading = asyncio.create_task(read(rig.lane, series.path))
        await relay.wait_for_harm()
        await rig.lane.there.kill()
        rig.lane.back.cut()
        with pytest.raises(BROKEN):
            await reading
        for path in (series.path, series.path + "/metadata", "/studies"):
            await assert_tells(rig.lane, path)
        await rig.assert_nothing_left()
        rig.lane.there.open_listener()
        await assert_serves(rig.lane, series)


@METHODS
@pytest.mark.parametrize("kind", ["dcmqrscp", "orthanc"])
async def test_a_real_archive_killed_and_restarted(tmp_path: Path, files: list[Path], method: str, kind: str) -> None:
    """SIGKILL in mid-stream; curl is the client, whose exit code 18 says that the response was cut."""
    series = Series.of(files)
    async with run(kind, tmp_path, files, retrieve=method) as rig:
        archive = rig.backing.archive
        assert isinstance(archive, Peer)
        relay, way = leg(rig.lane, method)
        relay.plan(Damage(Harm.PAUSE, way, series.size // 3))
        command = ["curl", "-sS", "-o", "/dev/null", "-H", f"Accept: {ANY_INSTANCE}", rig.lane.url + series.path]
        curl = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        await relay.wait_for_harm()
        await asyncio.to_thread(archive.kill)
        relay.let_go()
        assert await curl.wait() == 18
        for path in (series.path, "/studies"):
            await assert_tells(rig.lane, path)
        await asyncio.to_thread(archive.start)
        await assert_serves(rig.lane, series)
        await rig.assert_nothing_left()


async def test_associations_that_died_while_idle_are_not_used_again(tmp_path: Path, files: list[Path]) -> None:
    async with run("dcmqrscp", tmp_path, files[:2], retrieve="c-get") as rig:
        series = Series.of(files[:2])
        for _ in range(3):
            assert (await read(rig.lane, series.path))[0] == 200
            archive = rig.backing.archive
            assert isinstance(archive, Peer)
            await asyncio.to_thread(archive.kill)
            await asyncio.to_thread(archive.start)
            assert (await read(rig.lane, "/studies", Accept="application/dicom+json"))[0] == 200
