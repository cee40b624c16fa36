from __future__ import annotations

import pydicom
import pytest
from pydicom.filebase import DicomBytesIO

from gateway.errors import ImagingFailed
from gateway.imaging.icons import MAX_ICON_BYTES, decompress_icons
from tests.support.converting import make_data_set, write
from tests.support.images import describe, draw

RLE = "1.2.840.10008.1.2.5"


def read(sequence: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(DicomBytesIO(sequence), force=True)


@pytest.mark.parametrize(("shape", "stored", "vr"), [((5, 5), 8, "OB"), ((5, 5), 12, "OW"), ((4, 4, 3), 8, "OB")])
def test_pixel_data_in_items_becomes_native(shape: tuple[int, ...], stored: int, vr: str) -> None:
    image = draw(shape, stored)
    outer = pydicom.Dataset()
    outer.IconImageSequence = [make_data_set([image], describe(shape, stored=stored, syntax=RLE))]
    (item,) = read(decompress_icons(write(outer), RLE)).IconImageSequence
    raw = image.tobytes()
    assert item["PixelData"].VR == vr
    assert item.PixelData == raw + b"\0" * (len(raw) % 2)
    assert item.Rows == shape[0]


def test_icons_deeper_down() -> None:
    inner, outer = pydicom.Dataset(), pydicom.Dataset()
    inner.IconImageSequence = [make_data_set([draw((4, 4))], describe((4, 4), syntax=RLE))]
    outer.ReferencedSeriesSequence = [inner]
    found = read(decompress_icons(write(outer), RLE))
    assert found.ReferencedSeriesSequence[0].IconImageSequence[0].PixelData == draw((4, 4)).tobytes()


@pytest.mark.parametrize("damage", [b"", b"\x88\x00\x00\x02SQ"])
def test_what_cannot_be_read_fails_in_one_way(damage: bytes) -> None:
    icon = make_data_set([draw((4, 4))], describe((4, 4), syntax=RLE))
    icon.Rows = 5
    outer = pydicom.Dataset()
    outer.IconImageSequence = [icon]
    with pytest.raises(ImagingFailed):
        decompress_icons(write(outer) + damage, RLE)


def test_sequences_have_a_limit() -> None:
    with pytest.raises(ImagingFailed, match="too long"):
        decompress_icons(bytes(MAX_ICON_BYTES + 1), RLE)
