"""Parts to instances: heads, data, ends, and what is no instance."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from xxhash import xxh3_64_intdigest

from gateway.codecs.multipart import PartChunk, PartEnd, PartStart
from gateway.services.store.incoming import (
    BodyEvent,
    Fingerprint,
    FingerprintReader,
    InstanceData,
    InstanceEnd,
    InstanceEvent,
    InstanceStart,
    NoInstance,
    read_instances,
)
from tests.support.uploads import make_data_set, make_file

DICOM = {"content-type": "application/dicom"}


async def read(*parts: tuple[dict[str, str], bytes], size: int = 1 << 20) -> list[InstanceEvent]:
    async def iter_body() -> AsyncIterator[BodyEvent]:
        for headers, content in parts:
            yield PartStart(headers)
            for start in range(0, len(content), size):
                yield PartChunk(content[start : start + size])
            yield PartEnd()

    return [event async for event in read_instances(iter_body(), 65_536)]


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
async def test_an_instance_in_pieces_of_any_size(size: int) -> None:
    file = make_file(make_data_set(1))
    events = await read((DICOM, file), size=size)
    assert isinstance(events[0], InstanceStart) and isinstance(events[-1], InstanceEnd)
    data = b"".join(bytes(event.data) for event in events if isinstance(event, InstanceData))
    assert file.endswith(data) and len(data) > 100
    assert events[-1] == InstanceEnd(Fingerprint(len(data), xxh3_64_intdigest(data)))


async def test_a_part_cut_short_is_told_at_its_end() -> None:
    events = await read((DICOM, make_file(make_data_set(1))[:-3]))
    assert isinstance(events[-1], InstanceEnd) and events[-1].fault


async def test_what_is_no_instance_does_not_hide_the_next() -> None:
    events = await read(
        (DICOM, b"text"),
        ({"content-type": "text/plain"}, make_file(make_data_set(1))),
        (DICOM, b""),
        (DICOM, make_file(make_data_set(1))),
    )
    kinds = [type(event) for event in events]
    assert kinds[:3] == [NoInstance] * 3 and kinds[3] is InstanceStart and kinds[-1] is InstanceEnd


def test_fingerprints_do_not_depend_on_the_cuts() -> None:
    def fingerprint(*pieces: bytes) -> Fingerprint:
        reader = FingerprintReader()
        for piece in pieces:
            reader.update(piece)
        return reader.finish()

    assert fingerprint(b"abcdef") == fingerprint(b"ab", b"", b"cdef")
    assert fingerprint(b"abcdef") != fingerprint(b"abcdeg")
    assert fingerprint(b"") != fingerprint(b"\0")
