"""Frames and bulk values taken out of instances that stream by."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG4HP41, DeflatedExplicitVRLittleEndian

from gateway.codecs.frames import FrameChunk, FrameEnd, FrameStart
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.dimse.association_cost import AssociationCost
from gateway.errors import NotAcceptable, UndecodableResponse, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.pixels.pixel_stream import PixelDataService, PixelStream
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand
from tests.support.cancellation import iter_cancelled_runs
from tests.support.retrieve_site import METHODS, Site, open_site
from tests.unit.sandbox.conftest import make_instance, save

PATH = ResourcePath("1.2.5", "1.2.5.1", "1.2.5.1.1")
RLE = "1.2.840.10008.1.2.5"
FRAMES = [bytes([number]) * 128 for number in (1, 2, 3)]


def add(site: Site, folder: Path, syntax: str = EXPLICIT_VR_LE, **attributes: object) -> None:
    """Add an instance of three frames in `syntax`."""
    instance = make_instance("1.2.5.1.1", NumberOfFrames=3, PixelData=b"".join(FRAMES))
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    instance.file_meta.TransferSyntaxUID = syntax
    if syntax != EXPLICIT_VR_LE and syntax != DeflatedExplicitVRLittleEndian:
        instance.PixelData = encapsulate(FRAMES)
        instance["PixelData"].VR = "OB"
    site.sandbox.index.add_file(save(instance, folder / "files"))


async def collect(opened: AbstractAsyncContextManager[PixelStream]) -> tuple[list[bytes], str, int]:
    """The values, their transfer syntax, and how many were announced."""
    values: list[bytes] = []
    numbers: list[int] = []
    async with opened as stream:
        described = (stream.transfer_syntax_uid, stream.count)
        is_open = False
        async for event in stream:
            match event:
                case FrameStart(number=number):
                    assert not is_open
                    is_open = True
                    numbers.append(number)
                    values.append(b"")
                case FrameChunk(data=data):
                    assert is_open
                    values[-1] += bytes(data)
                case FrameEnd():
                    is_open = False
    assert not is_open and numbers == sorted(set(numbers))
    return values, *described


def frames(site: Site, wanted: Sequence[int], demand: TransferDemand = AS_STORED) -> AbstractAsyncContextManager:
    return PixelDataService(site.retrieve).open_frames(PATH, wanted, demand)


def bulkdata(site: Site, value: str) -> AbstractAsyncContextManager[PixelStream]:
    return PixelDataService(site.retrieve).open_bulkdata(PATH, value)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LE, DeflatedExplicitVRLittleEndian, RLE])
async def test_some_frames_and_the_whole_value(tmp_path: Path, method: str, syntax: str) -> None:
    sent = RLE if syntax == RLE else EXPLICIT_VR_LE
    async with open_site(tmp_path, retrieve=method) as site:
        add(site, tmp_path, syntax)
        assert await collect(frames(site, [1, 3])) == ([FRAMES[0], FRAMES[2]], sent, 2)
        whole = FRAMES if syntax == RLE else [b"".join(FRAMES)]
        assert await collect(bulkdata(site, "7FE00010")) == (whole, sent, len(whole))
        await site.check_clean()


async def test_other_values_of_a_compressed_instance_are_plain(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        add(site, tmp_path, RLE, TextValue="text")
        assert await collect(bulkdata(site, "0040A160")) == ([b"text"], EXPLICIT_VR_LE, 1)
        assert await collect(bulkdata(site, "00080018")) == ([b"1.2.5.1.1\0"], EXPLICIT_VR_LE, 1)


async def test_an_empty_value_is_a_value(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        add(site, tmp_path, TextValue="")
        assert await collect(bulkdata(site, "0040A160")) == ([b""], EXPLICIT_VR_LE, 1)


async def test_a_video_is_one_value_and_has_no_single_frames(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        add(site, tmp_path, MPEG4HP41)
        assert await collect(bulkdata(site, "7FE00010")) == ([b"".join(FRAMES)], MPEG4HP41, 1)
        with pytest.raises(NotAcceptable):
            await collect(frames(site, [1]))
        await site.check_clean()


@pytest.mark.parametrize("value", ["00091010", "nonsense", "00400275/1/00400009", "7fe00010"])
async def test_an_unknown_value(tmp_path: Path, value: str) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        add(site, tmp_path)
        with pytest.raises(UnknownResource):
            await collect(bulkdata(site, value))
        await site.check_clean()


async def test_frames_that_are_not_there(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        add(site, tmp_path)
        with pytest.raises(UnknownResource):
            await collect(frames(site, [1, 4]))
        add(site, tmp_path, NumberOfFrames=4)
        with pytest.raises(UndecodableResponse):
            await collect(frames(site, [4]))
        await site.check_clean()


SIDE = 2000
LARGE = np.zeros((3, SIDE, SIDE), np.uint16).tobytes()
LARGE_FRAME = LARGE[: SIDE * SIDE * 2]


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[ReceivedInstance]:
    """The instances that are cut off from now on."""
    found: list[ReceivedInstance] = []
    cut = ReceivedInstance.cut

    def note(instance: ReceivedInstance) -> None:
        found.append(instance)
        cut(instance)

    monkeypatch.setattr(ReceivedInstance, "cut", note)
    return found


@pytest.mark.parametrize("method", METHODS)
async def test_a_rest_that_is_dearer_than_an_association_is_cut_off(
    tmp_path: Path, method: str, cuts: list[ReceivedInstance]
) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        add(site, tmp_path, PixelData=LARGE, Rows=SIDE, Columns=SIDE)
        price_associations(site, LARGE_BYTES_LEFT - 2_000_000)
        assert (await collect(frames(site, [1])))[0] == [LARGE_FRAME]
        assert len(cuts) == 1
        await site.check_clean()
        assert (await collect(frames(site, [3])))[0] == [LARGE_FRAME]
        assert len(cuts) == 1
        await site.check_clean()


@pytest.mark.parametrize("method", METHODS)
async def test_nothing_is_cut_off_where_it_may_not_be(
    tmp_path: Path, method: str, cuts: list[ReceivedInstance]
) -> None:
    async with open_site(tmp_path, retrieve=method, stop_early=False) as site:
        add(site, tmp_path, PixelData=LARGE, Rows=SIDE, Columns=SIDE)
        site.archive.pool.cost.note_set_up(1e-5)
        assert (await collect(frames(site, [1])))[0] == [LARGE_FRAME]
        assert not cuts and site.sandbox.counters.cancels == 0
        async with frames(site, [1]):
            pass  # one that leaves: as with anything else that it wants no more
        await site.check_clean()
        assert not cuts


@pytest.mark.parametrize("method", METHODS)
async def test_a_rest_that_is_cheaper_than_an_association_is_read(
    tmp_path: Path, method: str, cuts: list[ReceivedInstance]
) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        add(site, tmp_path, PixelData=LARGE, Rows=SIDE, Columns=SIDE)
        price_associations(site, LARGE_BYTES_LEFT + 2_000_000)
        assert (await collect(frames(site, [1])))[0] == [LARGE_FRAME]
        await site.check_clean()
        assert not cuts and site.sandbox.counters.cancels == 0


async def test_one_that_leaves_cuts_off_a_long_rest(tmp_path: Path, cuts: list[ReceivedInstance]) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        add(site, tmp_path, PixelData=LARGE, Rows=SIDE, Columns=SIDE)
        price_associations(site, 1_000_000)
        async with frames(site, [3]):
            pass  # as a HEAD request does
        assert len(cuts) == 1 and site.sandbox.counters.cancels == 0
        await site.check_clean()


async def test_of_what_length_is_not_known_a_little_is_read(tmp_path: Path, cuts: list[ReceivedInstance]) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        add(site, tmp_path, PixelData=LARGE, Rows=SIDE, Columns=SIDE)
        price_associations(site, LARGE_BYTES_LEFT * 2)
        await collect(bulkdata(site, "00080018"))
        assert not cuts
        price_associations(site, 1_000_000)
        await collect(bulkdata(site, "00080018"))
        assert len(cuts) == 1
        await site.check_clean()


LARGE_BYTES_LEFT = 2 * len(LARGE_FRAME)


def price_associations(site: Site, size: int) -> None:
    """Have a new association cost as much as reading `size` bytes."""

    class Cost(AssociationCost):
        break_even_bytes = size  # type: ignore[assignment]

    site.archive.pool.cost = Cost()


async def test_cancelled_at_any_await_nothing_is_left(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        add(site, tmp_path)
        async for _ in iter_cancelled_runs(lambda: collect(frames(site, [2]))):
            await site.check_clean()
