"""Forms that the archive does not deliver, over HTTP: instances, frames, bulk values."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.pixels import compress
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from gateway.codecs.frames import FrameChunk, FrameEnd, FrameStart
from gateway.web.conversions import ALL_TARGETS, join_frames
from tests.support.wado import fetch
from tests.unit.sandbox.conftest import make_instance, save
from tests.unit.web.test_retrieve import INSTANCE, JSON, OCTETS, SERIES, STUDY, Site, open_site

EXPLICIT, RLE = str(ExplicitVRLittleEndian), str(RLELossless)
JPEG_LOSSLESS, JPEG_BASELINE, JLS = (f"1.2.840.10008.1.2.4.{n}" for n in (70, 50, 80))
FILES = 'multipart/related; type="application/dicom"'
FRAMES = np.arange(3 * 64, dtype="<u2").reshape(3, 8, 8)
LOOP = "/studies/1.2.5/series/1.2.5.1/instances/1.2.5.1.1"


def add_loop(site: Site, folder: Path, uid: str = "1.2.5.1.1") -> None:
    """Three frames in RLE."""
    loop = make_instance(uid, NumberOfFrames=3, PixelData=FRAMES.tobytes())
    compress(loop, UID(RLE), generate_instance_uid=False)
    site.sandbox.index.add_file(save(loop, folder / "files"))


DECODERS = {JPEG_LOSSLESS: "dcmdjpeg", JLS: "dcmdjpls", RLE: "dcmdrle"}


def decode(content: bytes, syntax: str, folder: Path) -> bytes:
    """The native pixel data of a file, by DCMTK."""
    (folder / "compressed.dcm").write_bytes(content)
    tool = f"/usr/bin/{DECODERS[syntax]}"
    subprocess.run([tool, folder / "compressed.dcm", folder / "native.dcm"], check=True)
    return bytes(dcmread(folder / "native.dcm").PixelData)


def read(content: bytes) -> Dataset:
    return dcmread(BytesIO(content))


@pytest.mark.parametrize("syntax", DECODERS)
async def test_instances_in_a_syntax_that_is_named(tmp_path: Path, syntax: str) -> None:
    async with open_site(tmp_path) as site:
        native = read((await site.get(INSTANCE)).parts[0].body)
        for path, count in ((INSTANCE, 1), (SERIES, 3), (STUDY, 4)):
            answer = await site.get(path, f"{FILES}; transfer-syntax={syntax}")
            assert (answer.status, len(answer.parts)) == (200, count)
            for part in answer.parts:
                found = read(part.body)
                assert part.transfer_syntax == found.file_meta.TransferSyntaxUID == syntax
                assert decode(part.body, syntax, tmp_path) == native.PixelData
        archive = await site.get(SERIES, f"application/zip; transfer-syntax={syntax}")
        with ZipFile(BytesIO(archive.body)) as files:
            assert {str(read(files.read(name)).file_meta.TransferSyntaxUID) for name in files.namelist()} == {syntax}
        await site.check_clean()


async def test_what_is_held_compressed_is_decoded_where_nothing_is_named(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        add_loop(site, tmp_path)
        for accept in (FILES, f"{FILES}; transfer-syntax={EXPLICIT}", "application/dicom"):
            answer = await site.get(LOOP, accept)
            found = read(answer.body if accept == "application/dicom" else answer.parts[0].body)
            assert found.file_meta.TransferSyntaxUID == EXPLICIT and found.PixelData == FRAMES.tobytes()
        stored = read((await site.get(LOOP)).parts[0].body)
        assert stored.file_meta.TransferSyntaxUID == RLE
        await site.check_clean()


async def test_frames_in_a_form_that_the_archive_has_not(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        add_loop(site, tmp_path)
        native = (await site.get(f"{LOOP}/frames/1,3", OCTETS)).parts
        assert [part.body for part in native] == [FRAMES[0].tobytes(), FRAMES[2].tobytes()]
        assert [part.location for part in native] == [f"{site.url}{LOOP}/frames/{n}" for n in (1, 3)]
        assert {part.content_type for part in native} == {f"application/octet-stream; transfer-syntax={EXPLICIT}"}
        (part,) = (await site.get(f"{LOOP}/frames/2", 'multipart/related; type="image/jls"')).parts
        assert part.content_type == f"image/jls; transfer-syntax={JLS}" and part.body[:2] == b"\xff\xd8"
        single = await site.get(f"{LOOP}/frames/2", "application/octet-stream")
        assert single.body == FRAMES[1].tobytes()
        await site.check_clean()


async def test_compressed_pixel_data_as_one_native_value(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        add_loop(site, tmp_path)
        (model,) = json.loads((await site.get(f"{LOOP}/metadata", JSON)).body)
        uri = model["7FE00010"]["BulkDataURI"]
        (part,) = (await fetch(uri, OCTETS)).parts
        assert part.body == FRAMES.tobytes()
        assert (await fetch(uri, "application/octet-stream")).body == FRAMES.tobytes()
        assert len((await fetch(uri, f"{OCTETS}; transfer-syntax=*")).parts) == 3
        await site.check_clean()


async def test_pixel_data_and_bulk_data_of_a_level(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        add_loop(site, tmp_path)
        add_loop(site, tmp_path, "1.2.5.2.1")
        native = make_instance("1.2.5.3.1", RedPaletteColorLookupTableData=bytes(4_000))
        site.sandbox.index.add_file(save(native, tmp_path / "files"))
        pixels = (await site.get("/studies/1.2.5/pixeldata", OCTETS)).parts
        assert sorted(part.location[-9:] for part in pixels) == ["pixeldata"] * 3
        assert [part.body for part in pixels].count(FRAMES.tobytes()) == 2
        assert {part.content_type for part in pixels} == {f"application/octet-stream; transfer-syntax={EXPLICIT}"}
        bulk = {
            part.location.partition("/series/")[2]: part.body
            for part in (await site.get("/studies/1.2.5", OCTETS)).parts
        }
        assert bulk == {
            "1.2.5.1/instances/1.2.5.1.1/bulkdata/7FE00010": FRAMES.tobytes(),
            "1.2.5.2/instances/1.2.5.2.1/bulkdata/7FE00010": FRAMES.tobytes(),
            "1.2.5.3/instances/1.2.5.3.1/bulkdata/00281201": bytes(4_000),
            "1.2.5.3/instances/1.2.5.3.1/bulkdata/7FE00010": bytes(range(128)),
        }
        frames = (
            await site.get("/studies/1.2.5/series/1.2.5.1/pixeldata", 'multipart/related; type="image/jls"')
        ).parts
        assert [part.location.rpartition("/instances/")[2] for part in frames] == [
            f"1.2.5.1.1/frames/{n}" for n in (1, 2, 3)
        ]
        assert {part.content_type for part in frames} == {f"image/jls; transfer-syntax={JLS}"}
        await site.check_clean()


REFUSED = [
    (INSTANCE, f"{FILES}; transfer-syntax=1.2.840.10008.1.2.4.102"),  # nothing becomes a video
    (INSTANCE, f"{FILES}; transfer-syntax=1.2.840.10008.1.2.4.92"),
    (INSTANCE, f"{FILES}; transfer-syntax={JPEG_BASELINE}"),  # 16 bits do not fit into 8
    (f"{INSTANCE}/frames/1", f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG_BASELINE}'),
    (f"{INSTANCE}/frames/1", 'multipart/related; type="image/jpx"'),
    (f"{INSTANCE}/bulkdata/7FE00010", 'multipart/related; type="image/jls"'),  # frames have it
]


@pytest.mark.parametrize(("path", "accept"), REFUSED)
async def test_what_cannot_be_made_is_refused_with_what_can(tmp_path: Path, path: str, accept: str) -> None:
    async with open_site(tmp_path) as site:
        answer = await site.get(path, accept)
        assert answer.status == 406
        await site.check_clean()


async def test_a_picture_that_cannot_be_decoded(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        add_loop(site, tmp_path)
        path = tmp_path / "files" / "1.2.5.1.1.dcm"
        broken = dcmread(path)
        broken.PixelData = broken.PixelData.replace(broken.PixelData[30:60], bytes(30))
        broken.save_as(path)
        assert (await site.get(LOOP, FILES)).status == 502
        assert (await site.get(LOOP)).status == 200
        await site.check_clean()


async def test_native_frames_become_one_value() -> None:
    async def frames():
        for event in (FrameStart(1), FrameChunk(b"a"), FrameEnd(), FrameStart(2), FrameChunk(b"b"), FrameEnd()):
            yield event

    assert [event async for event in join_frames(frames())] == [
        FrameStart(1),
        FrameChunk(b"a"),
        FrameChunk(b"b"),
        FrameEnd(),
    ]


def test_what_can_be_made() -> None:
    assert ALL_TARGETS[0] == EXPLICIT and {RLE, JPEG_LOSSLESS, JLS} <= set(ALL_TARGETS)
