"""An instance passed on: untouched where it may leave as it is, converted where it may not."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Any, cast

import pytest
from pydicom import dcmread

from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import UndecodableResponse
from gateway.resources import ResourcePath
from gateway.services.retrieve.received_instance import ReceivedInstance
from tests.support.data_sets import read_sample, sample_names

CT = "1.2.840.10008.5.1.4.1.1.2"
JPEG = "1.2.840.10008.1.2.4.50"


class Store:
    """A sub-operation whose data set arrives in pieces."""

    def __init__(self, syntax: str, data_set: bytes, size: int = 1000) -> None:
        self.sop_class_uid, self.transfer_syntax_uid = CT, syntax
        self._pieces: Iterator[bytes] = (data_set[at : at + size] for at in range(0, len(data_set), size))

    async def read_piece(self) -> bytes | None:
        return next(self._pieces, None)


def receive(syntax: str, data_set: bytes) -> ReceivedInstance:
    store: Any = Store(syntax, data_set)
    return ReceivedInstance("PACS", ResourcePath("1", "1.1", "1.1.1"), cast(StoreSubOperation, store))


async def read_file(instance: ReceivedInstance) -> bytes:
    return b"".join([bytes(piece) async for piece in instance.iter_part10()])


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LE, JPEG, "1.2.3.4"])
async def test_what_may_leave_leaves_untouched(syntax: str) -> None:
    data_set = bytes.fromhex("1000100050 4E0400 4F646421") + bytes(5000)  # whatever it holds
    instance = receive(syntax, data_set)
    content = await read_file(instance)
    assert content.endswith(data_set) and instance.delivered_syntax == syntax
    meta = dcmread(BytesIO(content[: -len(data_set)])).file_meta
    assert (meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (
        syntax,
        CT,
        "1.1.1",
    )
    assert meta.SourceApplicationEntityTitle == "PACS"


NAMES = ("MR_small_implicit.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm")


@pytest.mark.parametrize("name", [name for name in sample_names() if name.endswith(NAMES)])
async def test_what_may_not_leave_becomes_explicit_little_endian(name: str) -> None:
    sample = read_sample(name)
    assert sample.transfer_syntax_uid in (IMPLICIT_VR_LE, EXPLICIT_VR_BE, DEFLATED)
    instance = receive(sample.transfer_syntax_uid, sample.data_set)
    found, stored = dcmread(BytesIO(await read_file(instance))), dcmread(BytesIO(sample.content))
    assert instance.delivered_syntax == found.file_meta.TransferSyntaxUID == EXPLICIT_VR_LE
    assert found.SOPInstanceUID == stored.SOPInstanceUID
    assert (found.pixel_array == stored.pixel_array).all()


async def test_what_is_cut_short_at_the_archive_is_passed_on_so() -> None:
    sample = read_sample(next(name for name in sample_names() if name.endswith("MR_small_implicit.dcm")))
    whole = await read_file(receive(IMPLICIT_VR_LE, sample.data_set))
    short = await read_file(receive(IMPLICIT_VR_LE, sample.data_set[:-1000]))
    assert whole.startswith(short) and len(whole) - len(short) == 1000


async def test_what_cannot_be_converted_fails() -> None:
    with pytest.raises(UndecodableResponse):
        await read_file(receive(DEFLATED, b"\xff" * 3000))


async def test_what_was_read_already_comes_first() -> None:
    store: Any = Store(EXPLICIT_VR_LE, b"cdef", 2)
    instance = ReceivedInstance("PACS", ResourcePath("1", "1.1", "1.1.1"), cast(StoreSubOperation, store), [b"a", b"b"])
    assert [await instance.read_piece() for _ in range(5)] == [b"a", b"b", b"cd", b"ef", None]
