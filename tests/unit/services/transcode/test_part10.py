from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO

from gateway.codecs import Buffer
from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import NotAcceptable, UndecodableResponse
from gateway.resources import ResourcePath
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.transcode.part10 import iter_converted_part10
from gateway.services.transcode.transcoder import Transcoder
from tests.support.converting import InlineWorkers, make_data_set, read_pieces, write
from tests.support.images import describe, draw

NATIVE, RLE, BASELINE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50"


@dataclass
class Arriving:
    """What an archive sends of one instance."""

    data: bytes
    sop_class_uid: str = "1.2.840.10008.5.1.4.1.1.7"
    transfer_syntax_uid: str = NATIVE

    def __post_init__(self) -> None:
        self._read = read_pieces(self.data, 100)

    async def read_piece(self) -> Buffer | None:
        return await self._read()


def receive(data: bytes) -> ReceivedInstance:
    store: Any = Arriving(data)
    assert hasattr(StoreSubOperation, "read_piece")
    return ReceivedInstance("ARCHIVE", ResourcePath("1.2", "1.3", "1.2.3.4"), store)


DATA = write(make_data_set([draw((9, 9), 12)], describe((9, 9), stored=12)))
TRANSCODER = Transcoder(InlineWorkers(), 10_000)


async def test_the_file_names_its_new_syntax() -> None:
    pieces = [bytes(piece) async for piece in iter_converted_part10(receive(DATA), TRANSCODER, RLE)]
    found = pydicom.dcmread(DicomBytesIO(b"".join(pieces)))
    assert found.file_meta.TransferSyntaxUID == RLE
    assert found.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert found.file_meta.SourceApplicationEntityTitle == "ARCHIVE"
    assert (found.Rows, found.PatientName) == (9, "Doe^Jane")


async def test_a_refusal_comes_before_the_head_of_the_file() -> None:
    with pytest.raises(NotAcceptable):
        await anext(iter_converted_part10(receive(DATA), TRANSCODER, BASELINE))


async def test_a_data_set_that_cannot_be_read_is_the_archives_fault() -> None:
    with pytest.raises(UndecodableResponse):
        async for _ in iter_converted_part10(receive(DATA[:-9]), TRANSCODER, RLE):
            pass


async def test_a_data_set_without_elements_is_a_file_as_well() -> None:
    pieces = [bytes(piece) async for piece in iter_converted_part10(receive(b""), TRANSCODER, RLE)]
    assert pydicom.dcmread(DicomBytesIO(b"".join(pieces))).file_meta.TransferSyntaxUID == RLE
