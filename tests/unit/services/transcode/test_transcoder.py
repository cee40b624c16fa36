from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import parse_basic_offsets

from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import DecodeError, ImagingFailed, NotAcceptable
from gateway.imaging.conversion import PRODUCIBLE
from gateway.imaging.workers import ImagingWorkers
from gateway.services.transcode.transcoder import Transcoder
from tests.support.converting import InlineWorkers, convert, make_data_set, read_frames, read_pieces, write
from tests.support.images import describe, draw

PREFIX = "1.2.840.10008.1.2."
NATIVE, BASELINE, RLE, LOSSLESS_J2K = PREFIX + "1", PREFIX + "4.50", PREFIX + "5", PREFIX + "4.90"
LOSSLESS = sorted(uid for uid in PRODUCIBLE if uid.removeprefix(PREFIX) not in ("4.50", "4.51", "4.111"))

MAX_HEAD = 32 * 1024 * 1024


def make_frames(count: int, shape: tuple[int, ...] = (12, 15), stored: int = 12) -> list[Any]:
    return [draw(shape, stored, seed=seed) for seed in range(count)]


@pytest.mark.parametrize("target", LOSSLESS)
@pytest.mark.parametrize("shape", [(12, 15), (12, 15, 3)])
async def test_every_target_holds_the_frames_and_the_other_attributes(target: str, shape: tuple[int, ...]) -> None:
    frames = make_frames(3, shape)
    before = make_data_set(frames, describe(shape, stored=12), SmallestImagePixelValue=0)
    data_set, found = read_frames(await convert(write(before), NATIVE, target), target)
    assert all(np.array_equal(one, other) for one, other in zip(found, frames, strict=True))
    assert data_set.PatientName == "Doe^Jane"
    assert data_set.ImageType == ["ORIGINAL", "PRIMARY", "AXIAL"]
    assert "LossyImageCompression" not in data_set
    assert (data_set["PixelData"].VR == "OB") == get_transfer_syntax(target).encapsulated
    assert [element.tag for element in data_set] == sorted(element.tag for element in data_set)


@pytest.mark.parametrize("source", [uid for uid in LOSSLESS if not get_transfer_syntax(uid).deflated])
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_pieces_of_any_size_from_every_source(source: str, size: int) -> None:
    frames = make_frames(2)
    data = write(make_data_set(frames, describe((12, 15), stored=12, syntax=source)))
    whole = await convert(data, source, NATIVE, size=len(data))
    assert await convert(data, source, NATIVE, size=size) == whole
    assert np.array_equal(read_frames(whole, NATIVE)[1][1], frames[1])


async def test_offsets_of_short_frames_are_told() -> None:
    frames = make_frames(5)
    data = await convert(write(make_data_set(frames, describe((12, 15), stored=12))), NATIVE, RLE)
    data_set, _ = read_frames(data, RLE)
    offsets = parse_basic_offsets(data_set.PixelData)
    assert len(offsets) == 5
    assert offsets == sorted(set(offsets))


async def test_one_bit_frames_follow_each_other_without_padding() -> None:
    frames = [draw((3, 5), 1, seed=seed) for seed in range(3)]
    source = describe((3, 5), stored=1, syntax=RLE)
    data_set, found = read_frames(await convert(write(make_data_set(frames, source)), RLE, NATIVE), NATIVE)
    assert len(data_set.PixelData) == 6
    assert all(np.array_equal(one, other) for one, other in zip(found, frames, strict=True))


async def test_an_odd_number_of_bytes_is_padded() -> None:
    frames = [draw((3, 5))]
    data_set, _ = read_frames(
        await convert(write(make_data_set(frames, describe((3, 5), syntax=RLE))), RLE, NATIVE), NATIVE
    )
    assert len(data_set.PixelData) == 16


async def test_loss_is_told() -> None:
    frames = make_frames(2, (16, 16, 3), 8)
    data_set, _ = read_frames(
        await convert(write(make_data_set(frames, describe((16, 16, 3)))), NATIVE, BASELINE), BASELINE
    )
    assert data_set.LossyImageCompression == "01"
    assert data_set.LossyImageCompressionMethod == "ISO_10918_1"
    assert 0.1 < data_set.LossyImageCompressionRatio < 100
    assert data_set.ImageType[0] == "DERIVED"
    assert data_set.PhotometricInterpretation == "YBR_FULL_422"


async def test_loss_of_before_is_told_where_the_data_set_is_silent() -> None:
    source = describe((16, 16), syntax=BASELINE)
    data_set, _ = read_frames(await convert(write(make_data_set([draw((16, 16))], source)), BASELINE, RLE), RLE)
    assert (data_set.LossyImageCompression, data_set.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert data_set.ImageType[0] == "ORIGINAL"  # nothing was lost now


async def test_what_was_told_of_loss_before_stays() -> None:
    source = describe((16, 16), syntax=BASELINE)
    told = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "12", "LossyImageCompressionMethod": "X"}
    data_set, _ = read_frames(await convert(write(make_data_set([draw((16, 16))], source, **told)), BASELINE, RLE), RLE)
    assert (data_set.LossyImageCompressionRatio, data_set.LossyImageCompressionMethod) == (12, "X")


async def test_offset_tables_of_before_are_left_out_and_what_follows_stays() -> None:
    data_set = make_data_set(make_frames(1), describe((12, 15), stored=12, syntax=RLE))
    data_set.ExtendedOffsetTable, data_set.ExtendedOffsetTableLengths = bytes(8), bytes(8)
    data_set.DataSetTrailingPadding = b"\x01\x02"
    found, _ = read_frames(await convert(write(data_set), RLE, LOSSLESS_J2K), LOSSLESS_J2K)
    assert "ExtendedOffsetTable" not in found
    assert "ExtendedOffsetTableLengths" not in found
    assert found.DataSetTrailingPadding == b"\x01\x02"


async def test_compressed_icons_become_native() -> None:
    icon = make_data_set([draw((8, 8, 3))], describe((8, 8, 3), photometric="YBR_FULL_422", syntax=BASELINE))
    image = make_data_set([draw((16, 16))], describe((16, 16), syntax=BASELINE), IconImageSequence=[icon])
    found, _ = read_frames(await convert(write(image), BASELINE, RLE), RLE)
    (item,) = found.IconImageSequence
    assert (len(item.PixelData), item.PhotometricInterpretation) == (192, "YBR_FULL")
    assert item.PatientName == "Doe^Jane"


async def test_without_pixel_data_the_data_set_stays_as_it_is() -> None:
    data_set = pydicom.Dataset()
    data_set.PatientName, data_set.ContentSequence = "Doe^Jane", [pydicom.Dataset()]
    data_set.ContentSequence[0].TextValue = "x" * 6000
    found = pydicom.dcmread(
        pydicom.filebase.DicomBytesIO(await convert(write(data_set), NATIVE, LOSSLESS_J2K)), force=True
    )
    assert found == data_set


async def test_a_deflated_target_is_one_stream_of_even_length() -> None:
    frames = make_frames(1, (200, 200))
    deflated = PREFIX + "1.99"
    data = await convert(write(make_data_set(frames, describe((200, 200), stored=12))), NATIVE, deflated, size=50_000)
    assert len(data) % 2 == 0
    assert np.array_equal(read_frames(data, deflated)[1][0], frames[0])


async def test_nothing_comes_before_a_refusal() -> None:
    data = write(make_data_set(make_frames(1), describe((12, 15), stored=12)))
    pieces = Transcoder(InlineWorkers(), 1 << 20).convert(read_pieces(data, 50), NATIVE, BASELINE)
    with pytest.raises(NotAcceptable, match="12 bits stored"):
        await anext(pieces)


async def test_nothing_comes_before_a_broken_first_frame() -> None:
    data = bytearray(write(make_data_set(make_frames(1), describe((12, 15), stored=12, syntax=RLE))))
    data[data.index(b"\xe0\x7f\x10\x00") + 32] = 77  # the number of segments
    pieces = Transcoder(InlineWorkers(), 1 << 20).convert(read_pieces(bytes(data), 50), RLE, NATIVE)
    with pytest.raises(ImagingFailed, match="RLE"):
        await anext(pieces)


async def test_a_data_set_cut_short_fails() -> None:
    data = write(make_data_set(make_frames(2), describe((12, 15), stored=12, syntax=RLE)))
    with pytest.raises(DecodeError):
        await convert(data[:-20], RLE, NATIVE)


async def test_limits() -> None:
    data = write(make_data_set([draw((40, 40))], describe((40, 40), syntax=RLE)))
    pieces = Transcoder(InlineWorkers(), 1599).convert(read_pieces(data, 50), RLE, NATIVE)
    with pytest.raises(ImagingFailed, match="over the limit"):
        await anext(pieces)


async def test_what_precedes_the_pixel_data_has_a_limit_of_its_own() -> None:
    data = write(make_data_set([draw((4, 4))], describe((4, 4)), EncapsulatedDocument=bytes(MAX_HEAD)))
    pieces = Transcoder(InlineWorkers(), 2 * MAX_HEAD).convert(read_pieces(data, 1 << 19), NATIVE, RLE)
    with pytest.raises(ImagingFailed, match="precede"):
        await anext(pieces)


async def test_others_have_their_turns_while_a_long_head_passes() -> None:
    groups = [pydicom.Dataset() for _ in range(30_000)]
    for number, group in enumerate(groups):
        group.FrameComments, group.TemporalPositionIndex = "x" * 40, number
    image = make_data_set([draw((4, 4))], describe((4, 4)), PerFrameFunctionalGroupsSequence=groups)
    data = write(image)
    assert len(data) > 1_900_000
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    pieces, turns_before = [], []
    async for piece in Transcoder(InlineWorkers(), 1 << 24).convert(read_pieces(data, 1 << 19), NATIVE, RLE):
        pieces.append(piece)
        turns_before.append(turns)
    other.cancel()
    assert turns_before[0] > len(data) // 10_000  # while it was read
    assert len(set(turns_before)) > len(data) // 140_000  # while it was written
    assert max(map(len, pieces)) < 140_000
    whole = b"".join(pieces)
    assert whole == await convert(data, NATIVE, RLE, size=len(data)) == await convert(data, NATIVE, RLE, size=4099)
    assert read_frames(whole, RLE)[0].PerFrameFunctionalGroupsSequence == groups


async def test_processes_do_the_same() -> None:
    frames = make_frames(4)
    data = write(make_data_set(frames, describe((12, 15), stored=12, syntax=RLE)))
    workers = ImagingWorkers(2, task_timeout_s=30, memory_mib=512)
    try:
        assert await convert(data, RLE, NATIVE, workers=workers) == await convert(data, RLE, NATIVE)
    finally:
        await workers.close()
