from __future__ import annotations

from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import NotAcceptable
from gateway.imaging.description import ImageDescription
from gateway.services.transcode.pixel_writers import (
    MAX_HELD_BYTES,
    EncapsulatedWriter,
    NativeWriter,
    PixelWriter,
    make_pixel_writer,
)
from tests.support.images import describe

PIXEL_DATA = 0x7FE00010
RLE = "1.2.840.10008.1.2.5"


def image(shape: tuple[int, ...], frames: int, **named: object) -> ImageDescription:
    return replace(describe(shape, **named), number_of_frames=frames)  # type: ignore[arg-type]


def put(writer: PixelWriter, frame: bytes) -> list[bytes]:
    return list(writer.add(len(frame), (frame[:2], frame[2:])))


def test_native_frames_follow_their_header() -> None:
    writer = NativeWriter(image((2, 2), 2, stored=12), PIXEL_DATA)
    assert b"".join([*put(writer, b"abcdefgh"), *put(writer, b"ijklmnop"), *writer.finish()]) == (
        b"\xe0\x7f\x10\x00OW\0\0\x10\0\0\0abcdefghijklmnop"
    )


def test_an_odd_length_is_padded() -> None:
    writer = NativeWriter(image((1, 3), 1), PIXEL_DATA)
    assert b"".join([*put(writer, b"abc"), *writer.finish()]) == b"\xe0\x7f\x10\x00OB\0\0\x04\0\0\0abc\0"


def test_bits_follow_each_other() -> None:
    writer = NativeWriter(image((1, 5), 3, stored=1), PIXEL_DATA)
    pieces = [*put(writer, b"\x1f"), *put(writer, b"\x01"), *put(writer, b"\x1e"), *writer.finish()]
    assert b"".join(pieces)[12:] == (0b11110_00001_11111).to_bytes(2, "little")


@given(columns=st.integers(1, 200), frames=st.lists(st.integers(0), min_size=1, max_size=4), cut=st.integers(1, 25))
def test_bits_follow_each_other_whatever_pieces_they_come_in(columns: int, frames: list[int], cut: int) -> None:
    expected, mask = 0, (1 << columns) - 1
    written = []
    writer = NativeWriter(image((1, columns), len(frames), stored=1), PIXEL_DATA)
    for place, bits in enumerate(frames):
        expected |= (bits & mask) << place * columns
        frame = (bits & (1 << (columns + 7) // 8 * 8) - 1).to_bytes((columns + 7) // 8, "little")  # any padding
        written.append(writer.add(len(frame), [frame[start : start + cut] for start in range(0, len(frame), cut)]))
    length = (len(frames) * columns + 15) // 16 * 2
    assert b"".join(chain(*written, writer.finish()))[12:] == expected.to_bytes(length, "little")


def test_a_long_frame_of_bits_is_moved_in_short_steps() -> None:
    writer = NativeWriter(image((999, 1003), 2, stored=1), PIXEL_DATA)
    frame = bytes(range(256)) * 488 + bytes(322)
    moved = [list(writer.add(len(frame), [frame])) for _ in range(2)]
    assert max(len(piece) for pieces in moved for piece in pieces) <= 65_536
    whole = int.from_bytes(frame, "little")
    assert (
        int.from_bytes(b"".join([*moved[0], *moved[1], *writer.finish()])[12:], "little") == whole | whole << 1_001_997
    )


def test_pixel_data_too_long_for_a_length_is_refused() -> None:
    with pytest.raises(NotAcceptable, match="too long"):
        make_pixel_writer(image((4000, 4000), 300), PIXEL_DATA)
    make_pixel_writer(image((4000, 4000), 300, syntax=RLE), PIXEL_DATA)


def test_fragments_follow_their_offset_table() -> None:
    writer = EncapsulatedWriter(2)
    assert put(writer, b"abc") == []
    written = b"".join([*put(writer, b"de"), *writer.finish()])
    assert written == (
        b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
        b"\xfe\xff\x00\xe0\x08\0\0\0\0\0\0\0\x0c\0\0\0"
        b"\xfe\xff\x00\xe0\x04\0\0\0abc\0"
        b"\xfe\xff\x00\xe0\x02\0\0\0de"
        b"\xfe\xff\xdd\xe0\0\0\0\0"
    )


def test_the_offset_table_of_long_frames_is_empty() -> None:
    writer = EncapsulatedWriter(3)
    frame = bytes(MAX_HELD_BYTES // 2)
    assert put(writer, frame) == []
    written = b"".join(put(writer, frame))
    assert written[12:20] == b"\xfe\xff\x00\xe0\0\0\0\0"
    assert len(written) == 20 + 2 * (8 + len(frame))
    assert len(b"".join(put(writer, frame))) == 8 + len(frame)
    assert writer.finish() == [b"\xfe\xff\xdd\xe0\0\0\0\0"]
