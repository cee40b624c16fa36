"""Requests of a viewer that share operations, against archives that exist: few operations, every byte right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydicom import dcmread

from gateway.sandbox.loads import write_ct_series
from tests.support.adversity import ALL_ON, Lane, Rig, Series, Switches, open_rig, start_archive, wait_until
from tests.support.cutting_proxy import Damage, Harm, Way
from tests.support.raw_http import ANY_INSTANCE, RawClient

pytestmark = pytest.mark.peer

SLICES = 60
AT_ONCE = 25
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
KINDS = pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp", "sandbox"])
METHODS = pytest.mark.parametrize("method", ["c-get", "c-move"])
LARGE_SIDE = 4_000  # 32 MB: more than sockets hold


@dataclass(frozen=True, slots=True)
class Load:
    """A series of small instances in files, and the pixels of each by SOP Instance UID."""

    files: list[Path]
    series: Series
    pixels: dict[str, bytes]


def describe(files: list[Path]) -> Load:
    held = [dcmread(path) for path in files]
    return Load(files, Series.of(files), {str(one.SOPInstanceUID): bytes(one.PixelData) for one in held})


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    return describe(write_ct_series(tmp_path_factory.mktemp("series"), SLICES, 128))


@pytest.fixture(scope="module")
def load_with_a_large_one(tmp_path_factory: pytest.TempPathFactory, load: Load) -> Load:
    """The large one is the first of the series."""
    large = dcmread(load.files[0])
    large.SOPInstanceUID = large.file_meta.MediaStorageSOPInstanceUID = f"{load.series.series_uid}.999"
    large.Rows = large.Columns = LARGE_SIDE
    large.PixelData = bytes(range(256)) * (LARGE_SIDE * LARGE_SIDE * 2 // 256)
    path = tmp_path_factory.mktemp("large") / "large.dcm"
    large.save_as(path)
    return describe([path, *load.files[:10]])


ALL_BUT_STOPPING, ALL_BUT_CACHING = Switches(early_stop=False), Switches(caching=False)
OTHERS_ON_AND_OFF = pytest.mark.parametrize("switches", [ALL_BUT_STOPPING, ALL_BUT_CACHING], ids=str)
"""Coalescing with one of the others each; with both it is what is tested where nothing is said."""


@asynccontextmanager
async def run(
    kind: str, folder: Path, files: list[Path], switches: Switches = ALL_ON, **settings: Any
) -> AsyncIterator[Rig]:
    main = {"max_associations": 4, "pool_timeout_s": 60, **settings}
    async with (
        start_archive(kind, folder, files) as backing,
        open_rig(backing, {"main": main}, switches=switches) as rig,
    ):
        yield rig


async def ask_together(
    lane: Lane, paths: Iterable[str], accept: str, at_once: int = AT_ONCE
) -> list[tuple[int, bytes]]:
    """Status and body of each, so many at a time."""
    connector = aiohttp.TCPConnector(limit=at_once)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:

        async def ask(path: str) -> tuple[int, bytes]:
            async with session.get(lane.url + path, headers={"Accept": accept}) as response:
                return response.status, await response.read()

        return await asyncio.gather(*map(ask, paths))


def list_frame_paths(load: Load) -> list[str]:
    return [f"{load.series.path}/instances/{uid}/frames/1" for uid in load.pixels]


def assert_frames(answers: list[tuple[int, bytes]], load: Load) -> None:
    for (status, body), pixels in zip(answers, load.pixels.values(), strict=True):
        assert status == 200 and pixels in body and len(body) < len(pixels) + 1_000


def count_operations(rig: Rig) -> int:
    """Operations of every kind: each leases an association."""
    statistics = rig.lane.archive.pool.statistics
    return statistics.opened + statistics.reused


@METHODS
@KINDS
async def test_what_a_viewer_asks_for(tmp_path: Path, load: Load, kind: str, method: str) -> None:
    async with run(kind, tmp_path, load.files, retrieve=method) as rig:
        frames = list_frame_paths(load)
        assert_frames(await ask_together(rig.lane, frames, FRAMES), load)
        assert count_operations(rig) < SLICES // 2
        assert rig.lane.archive.pool.statistics.opened <= 4

        unknown = f"{load.series.path}/instances/1.2.3.4.5/frames/1"
        (status, _), *answers = await ask_together(rig.lane, [unknown, *frames], FRAMES)
        assert status == 404
        assert_frames(answers, load)

        instances = [f"{load.series.path}/instances/{uid}" for uid in load.pixels][:AT_ONCE]
        together = await ask_together(rig.lane, instances, ANY_INSTANCE)
        apart = await ask_together(rig.lane, instances, ANY_INSTANCE, at_once=1)
        for (status, body), (other_status, other_body) in zip(together, apart, strict=True):
            assert status == other_status == 200
            assert take_part(body) == take_part(other_body)
        await rig.assert_nothing_left()


def take_part(body: bytes) -> bytes:
    """What stands between the boundaries, which differ."""
    boundary = body.partition(b"\r\n")[0]
    return body.removeprefix(boundary).partition(b"\r\n" + boundary)[0]


# not dcmqrscp: there one retrieval under way keeps every other operation waiting, shared or not
@METHODS
@OTHERS_ON_AND_OFF
@pytest.mark.parametrize("kind", ["orthanc", "sandbox"])
async def test_one_that_takes_nothing_does_not_stop_the_others(
    tmp_path: Path, load_with_a_large_one: Load, kind: str, method: str, switches: Switches
) -> None:
    load = load_with_a_large_one
    large, *small = list_frame_paths(load)
    async with run(kind, tmp_path, load.files, switches, retrieve=method) as rig, RawClient(rig.lane.url) as stalled:
        await stalled.ask(large, accept=FRAMES)
        for _ in range(3):
            answers = await ask_together(rig.lane, small, FRAMES)
            assert [status for status, _ in answers] == [200] * len(small)
        pool = rig.lane.archive.pool
        assert await wait_until(lambda: pool.busy_count == 1, 10)  # that of the one that takes nothing
        taken = await stalled.take()
        assert taken.status == 200 and taken.is_complete and taken.size > LARGE_SIDE * LARGE_SIDE * 2
        await rig.assert_nothing_left()


@METHODS
@OTHERS_ON_AND_OFF
@pytest.mark.parametrize(("kind", "harm"), [("dcmqrscp", Harm.RESET), ("sandbox", Harm.HALF_CLOSE)])
async def test_a_link_that_fails_in_the_middle(
    tmp_path: Path, load: Load, kind: str, method: str, harm: Harm, switches: Switches
) -> None:
    """The one under way may fail, or be cut off where its client sees it; all the others are whole."""
    paths = list_frame_paths(load)
    async with run(kind, tmp_path, load.files, switches, retrieve=method, cancel_timeout_s=1) as rig:
        relay, way = (rig.lane.there, Way.BACK) if method == "c-get" else (rig.lane.back, Way.OUT)
        relay.plan(Damage(harm, way, load.series.size // 3))
        answers = await asyncio.gather(
            *(ask_together(rig.lane, [path], FRAMES) for path in paths), return_exceptions=True
        )
        good = 0
        for answer, pixels in zip(answers, load.pixels.values(), strict=True):
            if not isinstance(answer, BaseException) and answer[0][0] == 200:
                assert pixels in answer[0][1]
                good += 1
        assert relay.harms == 1
        assert good >= SLICES - 2
        relay.cut()
        await rig.assert_nothing_left()
        assert_frames(await ask_together(rig.lane, paths, FRAMES), load)


@METHODS
@OTHERS_ON_AND_OFF
async def test_some_leave(tmp_path: Path, load: Load, method: str, switches: Switches) -> None:
    paths = list_frame_paths(load)
    async with run("dcmqrscp", tmp_path, load.files, switches, retrieve=method) as rig:
        leaving = [RawClient(rig.lane.url) for _ in range(10)]
        for client, path in zip(leaving, paths[::3], strict=False):
            await client.__aenter__()
            await client.ask(path, accept=FRAMES)
        asking = asyncio.ensure_future(ask_together(rig.lane, paths, FRAMES))
        for client in leaving:
            await asyncio.sleep(0.002)
            client.cut()
        assert_frames(await asking, load)
        await rig.assert_nothing_left()


@OTHERS_ON_AND_OFF
async def test_everyone_leaves(tmp_path: Path, load: Load, switches: Switches) -> None:
    async with run("sandbox", tmp_path, load.files, switches) as rig:
        for pause_s in (0.0, 0.003, 0.006, 0.02):
            leaving = [RawClient(rig.lane.url) for _ in range(20)]
            for client, path in zip(leaving, list_frame_paths(load), strict=False):
                await client.__aenter__()
                await client.ask(path, accept=FRAMES)
            await asyncio.sleep(pause_s)
            for client in leaving:
                client.cut()
            await rig.assert_nothing_left()
        assert_frames(await ask_together(rig.lane, list_frame_paths(load), FRAMES), load)
