"""What compressed images say of themselves: the samples' frames agree with their attributes, damage is no error."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames

from gateway.codecs.codestreams import find_codestream, read_codestream
from tests.support.data_sets import read_sample, sample_names

READ = {f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57, 70, 80, 81, 90, 91, 201, 202, 203)}
RPCL = "1.2.840.10008.1.2.4.202"  # a lossless stream in a certain order, which .201 may have too
MISLABELLED = {  # files whose stream is of another precision, or another process, than their attributes say
    "JPEG-lossy.dcm",
    "JPGExtended.dcm",
}
ODD = {"JPEG2000-embedded-sequence-delimiter.dcm"}  # whose codestream is damaged on purpose
_SIGNATURE = b"\x00\x00\x00\x0cjP  \r\n\x87\n"


def _read(name: str) -> tuple[Dataset, bytes] | None:
    """Attributes and first frame; None where pydicom finds no frame."""
    data_set = dcmread(BytesIO(read_sample(name).content))
    if "PixelData" not in data_set or not data_set.PixelData.startswith(b"\xfe\xff\x00\xe0"):
        return None
    frame = next(generate_frames(data_set.PixelData, number_of_frames=int(data_set.get("NumberOfFrames", 1) or 1)))
    start, length = find_codestream(frame)
    return data_set, frame[start:] if length is None else frame[start : start + length]


_COMPRESSED = [
    name
    for name in sample_names()
    if read_sample(name).transfer_syntax_uid in READ and name.rpartition("/")[2] not in ODD and _read(name) is not None
]


@pytest.mark.parametrize("name", _COMPRESSED)
def test_samples_say_what_their_attributes_say(name: str) -> None:
    data_set, frame = _read(name) or (Dataset(), b"")
    syntax = read_sample(name).transfer_syntax_uid
    found = read_codestream(frame)
    assert found is not None
    size = (found.rows, found.columns, found.samples)
    assert size == (data_set.Rows, data_set.Columns, data_set.SamplesPerPixel)
    assert found.bits <= data_set.BitsAllocated
    if name.rpartition("/")[2] not in MISLABELLED:
        assert found.transfer_syntax_uid in (syntax, "1.2.840.10008.1.2.4.201" if syntax == RPCL else syntax) or (
            syntax.endswith((".91", ".81", ".203", ".51", ".57"))  # which hold what is lossless, or simpler, as well
        )


def test_there_are_samples_of_most_kinds() -> None:
    assert len({read_sample(name).transfer_syntax_uid for name in _COMPRESSED}) >= 5


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


def jpeg(frame: int, *, samples: int = 1, sampling: int = 0x11, more: bytes = b"", parameter: int = 0) -> bytes:
    """A stream without data."""
    components = b"".join(bytes([number, sampling if number == 1 else 0x11, 0]) for number in range(1, samples + 1))
    scan = bytes([samples]) + b"\1\0" * samples + bytes([parameter, 0, 0])
    header = b"\x08\0\x10\0\x20" + bytes([samples]) + components
    return b"\xff\xd8" + more + b"\xff" + _segment(frame, header) + _segment(0xDA, scan) + b"data"


ADOBE_RGB = _segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")
JPEGS = [  # what is made, last component of the syntax, photometric interpretation
    (jpeg(0xC0), "50", "MONOCHROME2"),
    (jpeg(0xC1), "51", "MONOCHROME2"),
    (jpeg(0xC2), "55", "MONOCHROME2"),
    (jpeg(0xC3, parameter=1), "70", "MONOCHROME2"),
    (jpeg(0xC3, parameter=6), "57", "MONOCHROME2"),
    (jpeg(0xF7), "80", "MONOCHROME2"),
    (jpeg(0xF7, parameter=2), "81", "MONOCHROME2"),
    (jpeg(0xC0, samples=3), "50", "YBR_FULL"),
    (jpeg(0xC0, samples=3, sampling=0x21), "50", "YBR_FULL_422"),
    (jpeg(0xC0, samples=3, more=ADOBE_RGB), "50", "RGB"),
    (jpeg(0xC3, samples=3, parameter=1), "70", "RGB"),
]


@pytest.mark.parametrize(("stream", "syntax", "colours"), JPEGS, ids=range(len(JPEGS)))
def test_kinds_of_jpeg(stream: bytes, syntax: str, colours: str) -> None:
    found = read_codestream(stream)
    assert found is not None
    assert found.transfer_syntax_uid == f"1.2.840.10008.1.2.4.{syntax}"
    assert (found.rows, found.columns, found.photometric_interpretation) == (16, 32, colours)


def j2k(
    *, samples: int = 1, transform: int = 1, reversible: int = 1, high_throughput: bool = False, rsiz: int = 0
) -> bytes:
    numbers = [rsiz, 42, 33, 2, 1, 42, 33, 0, 0]
    size = numbers[0].to_bytes(2, "big") + b"".join(n.to_bytes(4, "big") for n in numbers[1:])
    size += samples.to_bytes(2, "big") + b"\x8b\1\1" * samples
    coding = b"\0\2\0\1" + bytes([transform]) + b"\5\4\4\0" + bytes([reversible])
    capabilities = _segment(0x50, b"\0\2\0\0\0\0") if high_throughput else b""
    return b"\xff\x4f" + _segment(0x51, size) + capabilities + _segment(0x52, coding) + _segment(0x90, bytes(8))


@pytest.mark.parametrize(
    ("stream", "syntax", "colours"),
    [
        (j2k(), "90", "MONOCHROME2"),
        (j2k(reversible=0), "91", "MONOCHROME2"),
        (j2k(samples=3), "90", "YBR_RCT"),
        (j2k(samples=3, reversible=0), "91", "YBR_ICT"),
        (j2k(samples=3, transform=0), "90", "RGB"),
        (j2k(rsiz=0x8000), "92", "MONOCHROME2"),
        (j2k(rsiz=0x8000, reversible=0), "93", "MONOCHROME2"),
        (j2k(high_throughput=True, rsiz=0x4000), "201", "MONOCHROME2"),
        (j2k(high_throughput=True, reversible=0), "203", "MONOCHROME2"),
    ],
)
def test_kinds_of_jpeg_2000(stream: bytes, syntax: str, colours: str) -> None:
    found = read_codestream(stream)
    assert found is not None
    assert found.transfer_syntax_uid == f"1.2.840.10008.1.2.4.{syntax}"
    assert (found.rows, found.columns, found.bits, found.is_signed) == (32, 40, 12, True)
    assert found.photometric_interpretation == colours


def test_boxes_around_a_codestream() -> None:
    stream = j2k()
    boxes = _SIGNATURE + b"\0\0\0\x14ftypjp2 \0\0\0\0jp2 "
    sized = boxes + (8 + len(stream)).to_bytes(4, "big") + b"jp2c" + stream + b"\0\0\0\x08xml "
    to_the_end = boxes + b"\0\0\0\0jp2c" + stream
    extended = boxes + b"\0\0\0\1jp2c" + (16 + len(stream)).to_bytes(8, "big") + stream
    assert find_codestream(sized) == (40, len(stream))
    assert find_codestream(to_the_end) == (40, None)
    assert find_codestream(extended) == (48, len(stream))
    assert find_codestream(stream) == find_codestream(boxes) == (0, None)
    assert find_codestream(boxes + b"\0\0\0\2xml " + stream) == (0, None)


@pytest.mark.parametrize(
    "stream", [jpeg(0xC5), jpeg(0xC0, samples=4), b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", b"GIF89a"]
)
def test_what_no_transfer_syntax_has(stream: bytes) -> None:
    assert read_codestream(stream) is None


@given(st.sampled_from([stream for stream, *_ in JPEGS] + [j2k(samples=3)]), st.data())
def test_damage_is_no_error(stream: bytes, data: st.DataObject) -> None:
    damaged = bytearray(stream[: data.draw(st.integers(0, len(stream)))])
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read_codestream(bytes(damaged))
    find_codestream(_SIGNATURE + bytes(damaged))
