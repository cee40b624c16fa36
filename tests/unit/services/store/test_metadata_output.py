"""One instance written as its values come: how far it gets, what may pass straight on, what lengths must be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.codecs.media_types import parse_media_type
from gateway.errors import DecodeError
from gateway.services.store.bulkdata_parts import SENT, BulkdataParts, BulkPart
from gateway.services.store.bulkdata_spool import BulkdataSpool, open_spool
from gateway.services.store.incoming import InstanceData, InstanceEvent, InstanceStart
from gateway.services.store.metadata_instance import PlannedInstance
from gateway.services.store.metadata_output import InstanceOutput
from tests.unit.services.store.test_metadata_request import PIXELS, model

OCTETS, JPEG_2000 = parse_media_type("application/octet-stream"), parse_media_type("image/jp2")
LUT = {"vr": "OW", "BulkDataURI": "lut"}


class Bench:
    """An instance, its parts and a spool."""

    def __init__(self, spool: BulkdataSpool, *, is_shared: bool = False, **more: Any) -> None:
        self.spool = spool
        self.parts = BulkdataParts()
        self.instance = PlannedInstance(model(**more), None, lambda uri: uri)
        self.output = InstanceOutput(self.instance, self.parts, spool, is_shared=is_shared)
        self.written = bytearray()

    async def arrive(self, location: str, data: bytes, media_type: Any = OCTETS) -> None:
        """A part has come and waits."""
        self.parts.add(location, BulkPart(media_type, self.spool.end, len(data), len(data)))
        await self.spool.append(data)

    async def advance(self) -> list[type[InstanceEvent]]:
        events = [event async for event in self.output.advance()]
        self.take(events)
        return [type(event) for event in events]

    def take(self, events: list[InstanceEvent]) -> None:
        for event in events:
            if isinstance(event, InstanceData):
                self.written += event.data


@pytest.fixture
async def spool() -> AsyncIterator[BulkdataSpool]:
    async with open_spool("", 0) as opened:
        yield opened


async def test_it_gets_as_far_as_values_are_there(spool: BulkdataSpool) -> None:
    bench = Bench(spool, t00281201=LUT)
    assert await bench.advance() == []
    await bench.arrive("pixels", PIXELS)
    assert await bench.advance() == [InstanceStart, InstanceData]
    assert await bench.advance() == [] and not bench.output.is_complete
    await bench.arrive("lut", b"lut")
    await bench.advance()
    assert bench.output.is_complete and spool.end == 0
    assert b"\x28\0\x01\x12OW\0\0\x04\0\0\0lut\0" in bench.written and bench.written.endswith(PIXELS)
    assert bench.output.end().fingerprint.size == len(bench.written)


async def test_frames_are_written_as_they_come(spool: BulkdataSpool) -> None:
    bench = Bench(spool, t00280008={"vr": "IS", "Value": [3]})
    for number in range(3):
        assert not bench.output.is_complete
        await bench.arrive("pixels", b"frame%d" % number, JPEG_2000)
        await bench.advance()
        assert bench.written.endswith(b"frame%d" % number) or number == 2
    assert bench.output.is_complete
    fragments = b"".join(b"\xfe\xff\0\xe0\6\0\0\0frame%d" % number for number in range(3))
    assert bench.written.endswith(b"\xfe\xff\0\xe0\0\0\0\0" + fragments + b"\xfe\xff\xdd\xe0\0\0\0\0")


class CountingParts(BulkdataParts):
    """Counts how often it is asked."""

    asked = 0

    def find(self, uri: str, index: int = 0) -> BulkPart | None:
        self.asked += 1
        return super().find(uri, index)


@pytest.mark.parametrize("location", ["pixels", "pixels/frames/1"])
async def test_frames_that_are_only_stated_are_not_looked_for(spool: BulkdataSpool, location: str) -> None:
    bench = Bench(spool, t00280008={"vr": "IS", "Value": [100_000]})
    parts = CountingParts()
    bench.parts = parts
    bench.output = InstanceOutput(bench.instance, parts, spool, is_shared=False)
    await bench.arrive(location, b"frame0", JPEG_2000)
    await bench.advance()
    assert bench.written.endswith(b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0\6\0\0\0frame0")
    assert parts.asked < 20


async def test_shared_values_stay(spool: BulkdataSpool) -> None:
    bench = Bench(spool, is_shared=True)
    await bench.arrive("pixels", PIXELS)
    await bench.advance()
    assert bench.output.is_complete and spool.end == len(PIXELS)
    assert bench.output.find_passable("pixels", OCTETS, None) is None


async def test_what_may_pass(spool: BulkdataSpool) -> None:
    bench = Bench(spool, t00281201=LUT)
    assert bench.output.find_passable("lut", OCTETS, 10) is None  # the syntax is not known yet
    assert bench.output.find_passable("pixels", OCTETS, None) is None  # it is not its turn
    await bench.arrive("lut", b"lut")
    assert bench.output.find_passable("other", OCTETS, None) is None
    assert bench.output.find_passable("pixels", JPEG_2000, 10) is None
    assert bench.output.find_passable("pixels", OCTETS, None) == 64
    assert bench.output.find_passable("pixels", OCTETS, 10) == 64
    twice = Bench(spool, t00281201={"vr": "OW", "BulkDataURI": "pixels"})
    assert twice.output.find_passable("pixels", OCTETS, None) is None
    unknown = Bench(spool, t00280010=None)
    assert unknown.output.find_passable("pixels", OCTETS, None) is None
    assert unknown.output.find_passable("pixels", OCTETS, 10) == 10


async def pass_through(bench: Bench, length: int, *pieces: bytes) -> None:
    bench.take([event async for event in bench.output.open_value("pixels", OCTETS, length)])
    for piece in pieces:
        bench.take([bench.output.pass_on(piece)])
    bench.take(list(bench.output.close_value(length)))


@pytest.mark.parametrize("last", [b"", b"\0"])
async def test_a_value_passes_and_is_padded_once(spool: BulkdataSpool, last: bytes) -> None:
    bench = Bench(spool, t00280010=None)
    await pass_through(bench, 9, b"1234", b"56789" + last)
    assert await bench.advance() == []
    assert bench.output.is_complete and bench.written.endswith(b"OW\0\0\x0a\0\0\0" + b"123456789\0")


@pytest.mark.parametrize("value", [b"", b"12345", b"1234567", b"123456789"])
async def test_a_value_of_another_length_than_it_should_have(spool: BulkdataSpool, value: bytes) -> None:
    with pytest.raises(DecodeError, match="7FE00010"):
        await pass_through(Bench(spool), 6, value)


async def test_a_value_longer_than_an_element(spool: BulkdataSpool) -> None:
    with pytest.raises(DecodeError, match="4 GiB"):
        await pass_through(Bench(spool), 2**32)
    bench = Bench(spool, t00280010=None)
    bench.parts.add("pixels", BulkPart(OCTETS, 0, 2**32 - 1, 0))
    with pytest.raises(DecodeError, match="4 GiB"):
        await bench.advance()


async def test_a_value_that_has_gone_already(spool: BulkdataSpool) -> None:
    bench = Bench(spool)
    bench.parts.add("pixels", BulkPart(OCTETS, SENT, 64, 0))
    with pytest.raises(DecodeError, match="before"):
        await bench.advance()
