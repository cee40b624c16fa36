"""The frames of an instance as pydicom has them, encoded as they are stored."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.encaps import generate_frames

from gateway.codecs.transfer_syntax import get_transfer_syntax

__all__ = ["PIXEL_DATA", "expected_frames"]

PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)


def expected_frames(data_set: Dataset) -> list[bytes]:
    """Native frames are cut by their length, words little endian, bits from bit 0 on; others are pydicom's."""
    count = int(data_set.get("NumberOfFrames") or 1)
    syntax = get_transfer_syntax(data_set.file_meta.TransferSyntaxUID)
    element = next(data_set[tag] for tag in PIXEL_DATA if tag in data_set)
    if syntax.encapsulated:
        return list(generate_frames(element.value, number_of_frames=count))
    value = bytes(element.value)
    if not syntax.little_endian and element.VR == "OW":
        swapped = bytearray(value)
        swapped[::2], swapped[1::2] = value[1::2], value[::2]
        value = bytes(swapped)
    samples = 2 if data_set.get("PhotometricInterpretation") == "YBR_FULL_422" else data_set.get("SamplesPerPixel", 1)
    bits = data_set.Rows * data_set.Columns * samples * data_set.BitsAllocated
    whole = int.from_bytes(value, "little")
    mask = (1 << bits) - 1
    return [(whole >> number * bits & mask).to_bytes((bits + 7) // 8, "little") for number in range(count)]
