"""Attributes and frames of one instance, against pydicom over the samples, whole and cut anywhere."""

from __future__ import annotations

import os
import weakref
import zlib
from collections.abc import Iterable
from io import BytesIO
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import generate_frames

from gateway.codecs.frames import FrameNotFound
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import DecodeError, NotAcceptable, TooLarge
from gateway.services.rendered.facts import Category, InstanceFacts
from gateway.services.rendered.instance_reader import Frame, InstanceReader, ReaderLimits
from tests.support.data_sets import read_sample, sample_names
from tests.support.elements import element, encapsulated, item, sequence

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"
RLE = "1.2.840.10008.1.2.5"
COMPARED = {
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "emri_small.dcm",
    "emri_small_jpeg_2k_lossless.dcm",
    "image_dfl.dcm",
    "SC_rgb_rle_2frame.dcm",
}
LIMITS = ReaderLimits(header=4_096, document=8_192, frames=64)


def all_frames(facts: InstanceFacts) -> list[int]:
    return list(range(1, facts.frame_count + 1))


def join(frames: list[Frame]) -> list[tuple[int, bytes]]:
    """Numbers and content; each frame is in a place of its own."""
    assert len({frame.place.address.path for frame in frames}) == len(frames)
    return [(frame.number, frame.place.read()) for frame in frames]


def drop_turns(given: Iterable[Frame | None]) -> list[Frame]:
    return [frame for frame in given if frame is not None]


def read(reader: InstanceReader, data: bytes, size: int = 65_536) -> list[tuple[int, bytes]]:
    frames = []
    for start in range(0, len(data), size):
        frames += drop_turns(reader.feed(data[start : start + size]))
    return join(frames + drop_turns(reader.finish()))


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def make(frames: int = 3, before: bytes = b"") -> bytes:
    """A data set with `frames` native frames of 4 bytes, an icon before and something after."""
    icon = sequence(0x00880200, element(0x7FE00010, "OB", b"icon"))
    return b"".join(
        (
            before,
            element(0x00280008, "IS", str(frames).encode().ljust(2)),
            element(0x00280010, "US", b"\2\0"),
            element(0x00280011, "US", b"\2\0"),
            element(0x00280100, "US", b"\x08\0"),
            icon,
            element(0x7FE00010, "OB", b"".join(bytes([number]) * 4 for number in range(1, frames + 1))),
            element(0xFFFCFFFC, "OB", bytes(600)),
        )
    )


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_attributes_and_frames(size: int) -> None:
    reader = InstanceReader(CT, EXPLICIT_VR_LE, lambda facts: [facts.telling_frame], LIMITS)
    assert read(reader, make(), size) == [(2, b"\2\2\2\2")]
    assert reader.is_complete
    assert reader.facts is not None and reader.facts.category is Category.MULTI_FRAME
    header = dcmread(BytesIO(bytes(reader.header)), force=True)
    assert header.Rows == 2 and header.IconImageSequence[0].PixelData == b"icon" and "PixelData" not in header


@given(st.integers(1, 200), st.sampled_from([EXPLICIT_VR_LE, DEFLATED]))
def test_cut_anywhere(size: int, syntax: str) -> None:
    data = make()
    data = deflate(data) if syntax == DEFLATED else data
    reader = InstanceReader(CT, syntax, lambda _: [1, 3], LIMITS)
    assert read(reader, data, size) == [(1, b"\1" * 4), (3, b"\3" * 4)]


def test_nothing_is_read_after_what_is_wanted() -> None:
    data = make()
    reader = InstanceReader(CT, EXPLICIT_VR_LE, lambda _: [1], LIMITS)
    assert not reader.is_complete and reader.remaining_bytes is None
    end = data.index(b"\2\2\2\2", 60)
    assert join(drop_turns(reader.feed(data[:end]))) == [(1, b"\1" * 4)]
    assert reader.is_complete and reader.remaining_bytes == 8
    assert list(chain(reader.feed(data[end:]), reader.finish())) == []


def test_attributes_alone() -> None:
    reader = InstanceReader(CT, EXPLICIT_VR_LE, lambda _: [], LIMITS)
    assert read(reader, make(), 50) == []
    assert reader.is_complete and reader.facts is not None and reader.facts.frame_count == 3


def test_a_report_is_all_attributes() -> None:
    text = element(0x0040A160, "UT", b"text" * 1_500)  # longer than attributes before pixels may be
    data = sequence(0x0040A730, text)
    asked: list[InstanceFacts] = []

    def note(facts: InstanceFacts) -> list[int]:
        asked.append(facts)
        return []

    reader = InstanceReader(SR, EXPLICIT_VR_LE, note, LIMITS)
    assert read(reader, data, 1_000) == []
    assert [facts.category for facts in asked] == [Category.TEXT]
    assert reader.is_complete and b"text" * 1_500 in bytes(reader.header)


def test_the_choice_may_refuse() -> None:
    def refuse(_: InstanceFacts) -> list[int]:
        raise NotAcceptable(["image/jpeg"])

    with pytest.raises(NotAcceptable):
        read(InstanceReader(CT, EXPLICIT_VR_LE, refuse, LIMITS), make())


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LE, DEFLATED])
def test_attributes_over_the_limit(syntax: str) -> None:
    data = make(before=element(0x00204000, "UN", bytes(5_000)))
    data = deflate(data) if syntax == DEFLATED else data
    with pytest.raises(TooLarge, match="precedes"):
        read(InstanceReader(CT, syntax, all_frames, LIMITS), data, 500)


def test_what_is_read_and_not_held_is_limited_too() -> None:
    """Group lengths weigh nothing when the data set is written anew."""
    with pytest.raises(TooLarge, match="precedes"):
        read(InstanceReader(CT, EXPLICIT_VR_LE, all_frames, LIMITS), element(0x00090000, "UL", bytes(4)) * 2_000, 500)


def test_a_frame_over_the_limit() -> None:
    data = element(0x00280010, "US", b"\1\0") + element(0x00280011, "US", b"\x80\0")
    data += element(0x00280100, "US", b"\x08\0") + element(0x7FE00010, "OB", bytes(128))
    with pytest.raises(TooLarge, match="of the frames"):
        read(InstanceReader(CT, EXPLICIT_VR_LE, all_frames, LIMITS), data, 10)


def test_frames_of_an_animation_are_kept_together_within_the_limit() -> None:
    def choose(facts: InstanceFacts) -> list[int]:
        reader.keeps_together = True
        return all_frames(facts)

    reader = InstanceReader(CT, EXPLICIT_VR_LE, choose, LIMITS)
    data = make(16)
    frames = drop_turns(reader.feed(data))
    assert {frame.held.address.path for frame in frames} == {frame.place.address.path for frame in frames}
    assert frames[0].held is frames[-1].held
    assert [frame.place.read() for frame in frames] == [bytes([number]) * 4 for number in range(1, 17)]
    reader = InstanceReader(CT, EXPLICIT_VR_LE, choose, LIMITS)
    with pytest.raises(TooLarge, match="of the frames"):
        read(reader, make(17))


@pytest.mark.parametrize("count", [2_000_000_000, 999_999_999_999])
def test_an_instance_that_claims_to_have_any_number_of_frames(count: int) -> None:
    """They are never listed; what there is comes, and its end is told."""
    data = element(0x00280008, "IS", str(count).encode().ljust(12)) + encapsulated(0x7FE00010, b"ab", b"cd")
    reader = InstanceReader(CT, RLE, lambda _: None, LIMITS)
    assert join(drop_turns(reader.feed(data[:-8]))) == [(1, b"ab"), (2, b"cd")]
    with pytest.raises(DecodeError):
        list(reader.feed(data[-8:]))


def test_frames_that_are_not_there() -> None:
    with pytest.raises(FrameNotFound):
        read(InstanceReader(CT, EXPLICIT_VR_LE, lambda _: [4], LIMITS), make())
    with pytest.raises(FrameNotFound):
        read(InstanceReader(CT, EXPLICIT_VR_LE, all_frames, LIMITS), element(0x7FE00010, "OB", b""))


def test_compressed_frames_come_without_their_fragments() -> None:
    data = element(0x00280008, "IS", b"2 ") + encapsulated(0x7FE00010, b"ab", b"cd")
    reader = InstanceReader(CT, RLE, all_frames, LIMITS)
    assert read(reader, data, 3) == [(1, b"ab"), (2, b"cd")]


@pytest.mark.parametrize("name", [name for name in sample_names() if name.rsplit("/")[-1] in COMPARED])
def test_samples_agree_with_pydicom(name: str) -> None:
    sample = read_sample(name)
    wanted = dcmread(BytesIO(sample.content))
    reader = InstanceReader(wanted.SOPClassUID, sample.transfer_syntax_uid, all_frames, ReaderLimits())
    frames = [content for _, content in read(reader, sample.data_set, 1_111)]
    header = dcmread(BytesIO(bytes(reader.header)), force=True)
    expected = [element for element in wanted if element.tag < 0x7FE00000]
    assert [(found.tag, found.value) for found in header] == [(one.tag, one.value) for one in expected]
    if get_transfer_syntax(sample.transfer_syntax_uid).encapsulated:
        count = wanted.get("NumberOfFrames", 1)
        assert frames == list(generate_frames(wanted.PixelData, number_of_frames=count))
    else:
        pixels = np.frombuffer(b"".join(frames), wanted.pixel_array.dtype.newbyteorder("<"))
        assert (pixels == wanted.pixel_array.ravel()).all()


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LE, RLE])
def test_a_frame_is_held_only_when_it_is_asked_for(syntax: str) -> None:
    """One piece may have thousands; each held alone has a descriptor."""
    data = make(250)
    if syntax == RLE:
        data = element(0x00280008, "IS", b"250 ") + encapsulated(0x7FE00010, *[b"abcd"] * 250)
    reader = InstanceReader(CT, syntax, lambda _: None, ReaderLimits())
    before, most, count = count_descriptors(), 0, 0
    for frame in reader.feed(data):
        most = max(most, count_descriptors() - before)
        count += frame is not None
    assert (count, most <= 3) == (250, True)


GROUP = element(0x00180050, "DS", b"1 ") + element(0x00209157, "UL", bytes(8))
LONG_HEADER = sequence(0x00081140, *[GROUP] * 4_000)


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LE, DEFLATED])
@pytest.mark.parametrize("size", [997, 16_384, 100_000, 1_000_000])
def test_a_long_header_is_the_same_however_it_is_cut(size: int, syntax: str) -> None:
    data = make(before=LONG_HEADER)
    reader = InstanceReader(CT, syntax, lambda _: [2], ReaderLimits())
    frames = read(reader, deflate(data) if syntax == DEFLATED else data, size)
    assert frames == [(2, b"\2\2\2\2")]
    header = dcmread(BytesIO(bytes(reader.header)), force=True)
    assert len(header.ReferencedImageSequence) == 4_000
    assert header.ReferencedImageSequence[-1].SliceThickness == 1
    assert header.Rows == 2 and "PixelData" not in header


@pytest.mark.parametrize("syntax", [EXPLICIT_VR_LE, DEFLATED])
def test_others_have_their_turns_while_a_header_passes(syntax: str) -> None:
    """However much of it there is at once; a deflated one may come in a few bytes."""
    reader = InstanceReader(CT, syntax, lambda _: [1], ReaderLimits())
    data = make(before=LONG_HEADER)
    given = list(chain(reader.feed(deflate(data) if syntax == DEFLATED else data), reader.finish()))
    assert given.count(None) >= len(data) // 16_384


def test_a_long_piece_is_read_in_short_steps() -> None:
    """What is wrong at its end is not seen before others had their turns."""
    reader = InstanceReader(CT, EXPLICIT_VR_LE, lambda _: [1], ReaderLimits())
    turns = 0
    with pytest.raises(DecodeError):
        for _ in reader.feed(LONG_HEADER + item(b"")):
            turns += 1
    assert turns >= len(LONG_HEADER) // 16_384


@pytest.mark.parametrize("bits", [1, 8])
def test_others_have_their_turns_while_tiny_frames_pass(bits: int) -> None:
    """A frame of one pixel is a frame; an animation holds all of them together."""
    count = 4_000
    data = element(0x00280008, "IS", str(count).encode())
    data += element(0x00280010, "US", b"\1\0") + element(0x00280011, "US", b"\1\0")
    data += element(0x00280100, "US", bytes([bits, 0])) + element(0x7FE00010, "OB", b"\1" * (count * bits // 8))
    reader = InstanceReader(CT, EXPLICIT_VR_LE, lambda _: None, ReaderLimits())
    reader.keeps_together = True
    longest = run = 0
    for frame in reader.feed(data):
        run = 0 if frame is None else run + 1
        longest = max(longest, run)
    assert reader.is_complete and longest <= 256


@given(st.binary(max_size=300))
def test_garbage_gives_one_kind_of_error(data: bytes) -> None:
    reader = InstanceReader(CT, EXPLICIT_VR_LE, all_frames, LIMITS)
    try:
        read(reader, data, 11)
    except (DecodeError, FrameNotFound, TooLarge):
        pass


def test_whom_it_asks_for_frames_is_let_go_of() -> None:
    class Asker:
        def choose(self, facts: InstanceFacts) -> list[int]:
            return [1]

    asker = Asker()
    reader, held = InstanceReader(CT, EXPLICIT_VR_LE, asker.choose, LIMITS), weakref.ref(asker)
    del asker
    read(reader, make(), 1_000)
    assert held() is None
