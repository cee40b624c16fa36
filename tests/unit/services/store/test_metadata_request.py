"""Bodies of metadata and bulk data to instances: what is stored, when it leaves, and what is refused as a whole."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from contextlib import aclosing
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from pydicom.encaps import generate_frames

from gateway.codecs.head import InstanceHead
from gateway.config import StoreSettings
from gateway.errors import MalformedBody, RequestError, SpoolFailed, TooLarge
from gateway.imaging.workers import ImagingWorkers
from gateway.services.store.consumer_images import ConsumerImages
from gateway.services.store.incoming import InstanceData, InstanceEnd, InstanceStart
from gateway.services.store.metadata_instance import PlannedInstance
from gateway.services.store.metadata_request import read_metadata_instances
from tests.support.metadata_uploads import JSON, XML, Bulk, Upload, make_body, read_stored
from tests.support.reference_model import build_xml
from tests.support.store_requests import iter_events
from tests.support.uploads import BOUNDARY, CT, STUDY, sop_uid

URL = "http://h/dicomweb/studies"
EXPLICIT = "1.2.840.10008.1.2.1"
J = "1.2.840.10008.1.2.4."


@dataclass
class Seen:
    """One instance as it came out."""

    head: InstanceHead
    data: bytearray = field(default_factory=bytearray)
    is_complete: bool = False


def ui(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def us(number: int) -> dict[str, Any]:
    return {"vr": "US", "Value": [number]}


def model(number: int = 1, pixels: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Metadata of an image of 4 x 8 pixels of 16 bits; `more` by tag after a letter, None to leave out."""
    made: dict[str, Any] = {
        "00080016": ui(CT),
        "00080018": ui(sop_uid(number)),
        "00100020": {"vr": "LO", "Value": ["P1"]},
        "0020000D": ui(STUDY),
        "0020000E": ui(f"{STUDY}.1"),
        "00280002": us(1),
        "00280004": {"vr": "CS", "Value": ["MONOCHROME2"]},
        "00280010": us(4),
        "00280011": us(8),
        "00280100": us(16),
        "00280101": us(12),
        "00280102": us(11),
        "00280103": us(0),
        "7FE00010": pixels or {"vr": "OW", "BulkDataURI": "pixels"},
    }
    made |= {tag[1:]: attribute for tag, attribute in more.items()}
    return {tag: attribute for tag, attribute in made.items() if attribute is not None}


PIXELS = bytes(range(64))


async def read(
    body: bytes,
    *,
    size: int = 1 << 20,
    seen: list[Seen] | None = None,
    images: ConsumerImages | None = None,
    **settings: Any,
) -> list[Seen]:
    seen = [] if seen is None else seen
    reader = read_metadata_instances(iter_events(body, size), URL, StoreSettings(**settings), images)
    async with aclosing(reader) as events:
        async for event in events:
            match event:
                case InstanceStart(head=head):
                    seen.append(Seen(head))
                case InstanceData(data=data):
                    assert len(data)
                    seen[-1].data += data
                case InstanceEnd(fingerprint=fingerprint, fault=fault):
                    assert (fingerprint.size, fault) == (len(seen[-1].data), "")
                    seen[-1].is_complete = True
    return seen


def value_of(seen: Seen, tag: int) -> Any:
    return read_stored(bytes(seen.data))[tag].value


# --- what is stored ---


@pytest.mark.parametrize("size", [1 << 20, 97, 1])
@pytest.mark.parametrize("root", [JSON, XML])
async def test_one_instance_with_pixel_data(root: str, size: int) -> None:
    (seen,) = await read(Upload([model()], [Bulk("pixels", PIXELS)]).body(root), size=size)
    head = seen.head
    assert (head.sop_class_uid, head.sop_instance_uid) == (CT, sop_uid(1))
    assert (head.study_uid, head.series_uid, head.transfer_syntax_uid) == (STUDY, f"{STUDY}.1", EXPLICIT)
    assert seen.is_complete
    data_set = read_stored(bytes(seen.data))
    assert data_set.PixelData == PIXELS
    assert [int(it.tag) for it in data_set] == sorted(int(tag, 16) for tag in model())


@pytest.mark.parametrize("root", [JSON, XML])
async def test_several_instances_with_several_values_in_any_order(root: str) -> None:
    chance = random.Random(3)
    models, parts, values = [], [], {}
    for number in range(1, 6):
        lut, icon = bytes([number]) * 512, bytes([number + 10]) * (30 + number)
        models.append(
            model(
                number,
                {"vr": "OW", "BulkDataURI": f"p{number}"},
                t00281201={"vr": "OW", "BulkDataURI": f"http://other/lut/{number}"},
                t00880200={"vr": "SQ", "Value": [{"7FE00010": {"vr": "OB", "BulkDataURI": f"/icon/{number}"}}]},
            )
        )
        pixels = bytes([100 + number]) * 64
        values[number] = (pixels, lut, icon + b"\0" * (len(icon) % 2))
        parts += [Bulk(f"http://h/icon/{number}", icon), Bulk(f"http://other/lut/{number}", lut)]
        parts += [Bulk(f"{URL.removesuffix('studies')}p{number}", pixels)]
    for _ in range(5):
        seen = await read(Upload(models, parts).body(root, chance), size=1000)
        assert [it.head.sop_instance_uid for it in seen] == [sop_uid(number) for number in range(1, 6)]
        for number, it in enumerate(seen, start=1):
            icon_item = value_of(it, 0x00880200)[0]
            found = (value_of(it, 0x7FE00010), value_of(it, 0x00281201), icon_item.PixelData)
            assert it.is_complete and found == values[number]


async def test_metadata_without_bulk_data_and_a_bare_object() -> None:
    inline = model(1, {"vr": "OW", "InlineBinary": "AAEC"})
    (seen,) = await read(make_body([(JSON, json.dumps(inline).encode())]))
    assert value_of(seen, 0x7FE00010) == b"\0\1\2\0"


async def test_bulk_before_metadata_and_metadata_in_several_parts() -> None:
    parts = Upload([], [Bulk("p2", PIXELS), Bulk("pixels", PIXELS[::-1])]).parts
    second = model(2, {"vr": "OW", "BulkDataURI": "p2"})
    bulk = make_body([], parts[:1]).removesuffix(f"--{BOUNDARY}--\r\n".encode())
    rest = make_body([(XML, build_xml(model())), (XML, build_xml(second))], parts[1:])
    seen = await read(bulk + rest)
    assert [value_of(it, 0x7FE00010) for it in seen] == [PIXELS[::-1], PIXELS]


async def test_metadata_that_comes_after_the_first_instance_has_begun() -> None:
    def cut(body: bytes) -> bytes:
        return body.removesuffix(f"--{BOUNDARY}--\r\n".encode())

    first = cut(make_body([(XML, build_xml(model()))], [Bulk("pixels", PIXELS)]))
    second = make_body([(XML, build_xml(model(2, {"vr": "OW", "BulkDataURI": "p2"})))], [Bulk("p2", PIXELS[::-1])])
    assert [value_of(it, 0x7FE00010) for it in await read(first + second)] == [PIXELS, PIXELS[::-1]]
    again = make_body([(XML, build_xml(model(2)))])
    seen: list[Seen] = []
    with pytest.raises(MalformedBody, match="of instance 2.*before.*7FE00010"):
        await read(first + again, seen=seen)
    assert [it.is_complete for it in seen] == [False]  # as a whole


async def test_one_part_for_several_references() -> None:
    seen = await read(Upload([model(1), model(2)], [Bulk("pixels", PIXELS)]).body())
    assert [value_of(it, 0x7FE00010) for it in seen] == [PIXELS, PIXELS]
    twice = model(1, t00281201={"vr": "OW", "BulkDataURI": "pixels"})
    (seen_once,) = await read(Upload([twice], [Bulk("pixels", PIXELS)]).body())
    assert value_of(seen_once, 0x00281201) == value_of(seen_once, 0x7FE00010) == PIXELS


@pytest.mark.parametrize("vr", ["US", "LT", "UN", "FD"])
async def test_values_of_any_length_and_vr(vr: str) -> None:
    for value in (b"", b"12345678", b"1234567\0" * 10_000, b"x" * 9):
        upload = Upload(
            [model(1, t00283006={"vr": vr, "BulkDataURI": "v"})], [Bulk("v", value), Bulk("pixels", PIXELS)]
        )
        (seen,) = await read(upload.body())
        assert value + (b" " if vr == "LT" else b"\0") * (len(value) % 2) in seen.data
        assert value_of(seen, 0x7FE00010) == PIXELS


# --- what is derived ---

FRAME = b"\xff\x4f\xff\x51frame"  # no codestream that could be read


@pytest.mark.parametrize("numbered", [False, True])
@pytest.mark.parametrize("count", [1, 3])
async def test_compressed_pixel_data_has_a_fragment_for_each_frame(count: int, numbered: bool) -> None:
    frames = [FRAME + bytes([number]) * (10 + number) for number in range(count)]
    names = [f"pixels/frames/{number}" if numbered else "pixels" for number in range(1, count + 1)]
    parts = [Bulk(name, frame, "image/jp2") for name, frame in zip(names, frames, strict=True)]
    upload = Upload([model(t00280008={"vr": "IS", "Value": [count]})], parts)
    (seen,) = await read(upload.body())
    assert seen.head.transfer_syntax_uid == f"{J}90"
    pixel_data = value_of(seen, 0x7FE00010)
    assert list(generate_frames(pixel_data, number_of_frames=count)) == [it + b"\0" * (len(it) % 2) for it in frames]
    assert b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff" in seen.data
    # the same among others waits until the end, and then the offset table can be filled
    both = await read(Upload([*upload.models, model(2, {"vr": "OB", "InlineBinary": "AAAA"})], parts).body())
    table = value_of(both[0], 0x7FE00010)
    assert int.from_bytes(table[4:8], "little") == (4 * count if count > 1 else 0)
    assert list(generate_frames(table, number_of_frames=count)) == list(
        generate_frames(pixel_data, number_of_frames=count)
    )


@pytest.mark.parametrize("is_bulk", [False, True])
@pytest.mark.parametrize("is_native", [False, True])
async def test_an_extended_offset_table_of_other_fragments_is_left_out(is_native: bool, is_bulk: bool) -> None:
    table = {"vr": "OV", "BulkDataURI": "table"} if is_bulk else {"vr": "OV", "InlineBinary": "AAAAAAAAAAA="}
    stale = model(t00280008={"vr": "IS", "Value": ["2"]}, t7FE00001=table, t7FE00002=table)
    parts = [Bulk("pixels", PIXELS * 2)] if is_native else [Bulk("pixels", FRAME, "image/jp2")] * 2
    parts += [Bulk("table", bytes(16))] * is_bulk
    for others in ([], [model(2, {"vr": "OW", "InlineBinary": "AAAA"})]):
        for order in (parts, parts[::-1]):
            seen = await read(Upload([stale, *others], order).body())
            stored = read_stored(bytes(seen[0].data))
            assert 0x7FE00001 not in stored and 0x7FE00002 not in stored
            assert is_native or len(list(generate_frames(stored.PixelData, number_of_frames=2))) == 2
    assert is_native or stored.PixelData[4:8] == b"\x08\0\0\0"  # the basic one is of these fragments
    if is_bulk:
        with pytest.raises(MalformedBody, match="missing: 7FE00001"):
            await read(Upload([stale], parts[:-1]).body())


SYNTAXES = [  # media type of the part, parameters of the metadata, syntax
    ("image/jpeg", "", f"{J}70"),
    (f"image/jpeg; transfer-syntax={J}50", "", f"{J}50"),
    ("image/jpeg", f"; transfer-syntax={J}51", f"{J}51"),
    ("application/octet-stream", f"; transfer-syntax={J}80", f"{J}80"),
    ("application/octet-stream", "; transfer-syntax=1.2.840.10008.1.2", EXPLICIT),
    ("image/dicom-rle", "", "1.2.840.10008.1.2.5"),
    ("image/jxl", "", f"{J}110"),
    ("image/jph", "", f"{J}201"),
    ("video/mp4", f"; transfer-syntax={J}102", f"{J}102"),
]


@pytest.mark.parametrize(("media_type", "parameters", "syntax"), SYNTAXES)
async def test_transfer_syntaxes(media_type: str, parameters: str, syntax: str) -> None:
    body = Upload([model()], [Bulk("pixels", PIXELS, media_type)]).body(parameters=parameters)
    (seen,) = await read(body)
    assert seen.head.transfer_syntax_uid == syntax
    stored = value_of(seen, 0x7FE00010)
    assert stored == PIXELS if syntax == EXPLICIT else next(generate_frames(stored, number_of_frames=1)) == PIXELS


async def test_a_video_is_one_part_whatever_its_frames() -> None:
    upload = Upload([model(t00280008={"vr": "IS", "Value": [50]})], [Bulk("pixels", PIXELS, "video/mpeg")])
    (seen,) = await read(upload.body())
    assert seen.head.transfer_syntax_uid == f"{J}101"


async def test_a_file_meta_group_states_the_syntax_and_is_not_stored() -> None:
    (seen,) = await read(Upload([model(t00020010=ui(f"{J}91"))], [Bulk("pixels", FRAME, "image/jp2")]).body())
    assert seen.head.transfer_syntax_uid == f"{J}91"
    assert seen.data[:2] == b"\x08\0"


def jpeg(rows: int, columns: int) -> bytes:
    """Headers of a grey baseline JPEG."""
    size = rows.to_bytes(2, "big") + columns.to_bytes(2, "big")
    return b"\xff\xd8\xff\xc0\0\x0b\x08" + size + b"\1\1\x11\0\xff\xda\0\x08\1\1\0\0\x3f\0data"


def jpeg_2000(rows: int, columns: int) -> bytes:
    """Headers of a grey reversible JPEG 2000 codestream."""
    edges = (columns, rows, 0, 0, columns, rows, 0, 0)
    size = b"\0\0" + b"".join(edge.to_bytes(4, "big") for edge in edges) + b"\0\1\x0f\1\1"
    style = b"\0\0\0\1\0\5\4\4\0\1"
    segments = (b"\xff\x51", size), (b"\xff\x52", style)
    head = b"".join(marker + (len(body) + 2).to_bytes(2, "big") + body for marker, body in segments)
    return b"\xff\x4f" + head + b"\xff\x90\0\x0a"


async def test_the_description_is_read_from_the_image_where_the_metadata_has_none() -> None:
    left_out = {f"t{tag}": None for tag in ("00280002", "00280004", "00280010", "00280011", "00280101", "00280102")}
    left_out |= {"t00280100": {"vr": "US"}, "t00280103": None}
    (seen,) = await read(Upload([model(**left_out)], [Bulk("pixels", jpeg(100, 200), "image/jpeg")]).body())
    found = read_stored(bytes(seen.data))
    assert seen.head.transfer_syntax_uid == f"{J}50"
    assert (found.Rows, found.Columns, found.SamplesPerPixel, found.PhotometricInterpretation) == (
        100,
        200,
        1,
        "MONOCHROME2",
    )
    assert (found.BitsAllocated, found.BitsStored, found.HighBit, found.PixelRepresentation) == (8, 8, 7, 0)
    assert found.LossyImageCompression == "01"
    with pytest.raises(MalformedBody, match="00280010"):
        await read(Upload([model(**left_out)], [Bulk("pixels", b"no image", "image/jpeg")]).body())


def lacking(*left: str, **given: dict[str, Any]) -> dict[str, Any]:
    """Attributes that leave out the Image Pixel Description, but for `left` and what is `given`."""
    description = ("00280002", "00280004", "00280010", "00280011", "00280100", "00280101", "00280102", "00280103")
    return {**{f"t{tag}": None for tag in description if tag not in left}, **given}


@pytest.mark.parametrize(
    ("tag", "number", "lossy"),
    [
        ("00280002", 3, True),
        ("00280010", 100, True),
        ("00280011", 100, True),
        ("00280100", 16, True),
        ("00280101", 12, True),
        ("00280006", 1, False),
        ("00280008", 5, False),
        ("00280010", 100, False),
        ("00280100", 16, False),
        ("00280101", 9, False),
    ],
)
async def test_a_description_in_part_agrees_with_the_image(tag: str, number: int, lossy: bool) -> None:
    file, kind = (jpeg(8, 10), "image/jpeg") if lossy else (a_png((8, 10, 3), np.uint8)[0], "image/png")
    given = {"vr": "IS", "Value": [str(number)]} if tag == "00280008" else us(number)
    bulk = [Bulk("pixels", file, kind)]
    with pytest.raises(MalformedBody, match=f"another value than the image has.*{tag}"):
        await read(Upload([model(**lacking(**{f"t{tag}": given}))], bulk).body(), images=IMAGES)
    right = {"00280006": us(0), "00280010": us(8), "00280011": us(10), "00280100": us(8), "00280101": us(7)}
    right["00280002"], right["00280008"] = us(1 if lossy else 3), {"vr": "IS", "Value": ["1"]}
    (seen,) = await read(Upload([model(**lacking(**{f"t{tag}": right[tag]}))], bulk).body(), images=IMAGES)
    found = read_stored(bytes(seen.data))
    assert (found.Rows, found.Columns, found.BitsAllocated) == (8, 10, 8)
    assert found.HighBit == found.BitsStored - 1


async def test_a_full_description_agrees_with_what_native_pixel_data_was_made_of() -> None:
    turned, _ = a_png((8, 4), np.uint16)  # as many bytes as there should be
    with pytest.raises(MalformedBody, match="another value than the image has in 00280010"):
        await read(Upload([model()], [Bulk("pixels", turned, "image/png")]).body(), images=IMAGES)
    (seen,) = await read(Upload([model()], [Bulk("pixels", jpeg(5, 8), "image/jpeg")]).body())
    assert value_of(seen, 0x00280101) == 12  # a compressed image stays as it was described


async def test_boxes_around_a_codestream_are_left_out() -> None:
    boxes = (
        b"\0\0\0\x0cjP  \r\n\x87\n"
        + b"\0\0\0\x68jp2h"
        + bytes(96)
        + (8 + len(FRAME)).to_bytes(4, "big")
        + b"jp2c"
        + FRAME
        + b"\0\0\0\x08xml "
    )
    parts = [Bulk("pixels", it, "image/jp2") for it in (boxes, FRAME, boxes)]
    (seen,) = await read(Upload([model(t00280008={"vr": "IS", "Value": [3]})], parts).body())
    found = list(generate_frames(value_of(seen, 0x7FE00010), number_of_frames=3))
    assert found == [FRAME + b"\0" * (len(FRAME) % 2)] * 3


class Codecs:
    """In the place of ``ImagingWorkers``."""

    async def run(self, function: Any, *arguments: Any) -> Any:
        return function(*arguments)


IMAGES = ConsumerImages(cast(ImagingWorkers, Codecs()), 10_000)


def a_png(shape: tuple[int, ...], kind: type) -> tuple[bytes, bytes]:
    """A file, and its samples."""
    pixels = np.arange(np.prod(shape), dtype=kind).reshape(shape)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue(), pixels.tobytes()


@pytest.mark.parametrize("others", [False, True])
async def test_a_png_becomes_native_pixel_data(others: bool) -> None:
    file, pixels = a_png((4, 8), np.uint16)
    models = [model()] + [model(2, {"vr": "OW", "InlineBinary": "AAAA"})] * others
    seen, *_ = await read(Upload(models, [Bulk("pixels", file, "image/png")]).body(), size=100, images=IMAGES)
    assert (seen.head.transfer_syntax_uid, value_of(seen, 0x7FE00010)) == (EXPLICIT, pixels)
    file, pixels = a_png((5, 6, 3), np.uint8)
    body = Upload([model(**lacking())], [Bulk("pixels", file, "image/png")]).body(parameters=f"; transfer-syntax={J}90")
    (seen,) = await read(body, images=IMAGES)
    found = read_stored(bytes(seen.data))
    assert (found.Rows, found.Columns, found.SamplesPerPixel, found.BitsAllocated) == (5, 6, 3, 8)
    assert (found.PhotometricInterpretation, found.PlanarConfiguration, found.PixelData) == ("RGB", 0, pixels)
    assert "LossyImageCompression" not in found


async def test_the_images_of_a_gif_are_frames() -> None:
    frames = [Image.fromarray(np.full((4, 4, 3), 80 * n, np.uint8)).convert("P") for n in range(3)]
    buffer = BytesIO()
    frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
    (seen,) = await read(
        Upload([model(**lacking())], [Bulk("pixels", buffer.getvalue(), "image/gif")]).body(), images=IMAGES
    )
    found = read_stored(bytes(seen.data))
    assert (found.NumberOfFrames, len(found.PixelData)) == (3, 3 * 4 * 4 * 3)


async def test_consumer_images_that_are_refused_or_no_pixel_data() -> None:
    file, _ = a_png((4, 8), np.uint16)
    other, _ = a_png((5, 8), np.uint16)
    with pytest.raises(MalformedBody, match="another value than the image has in 00280010"):
        await read(Upload([model()], [Bulk("pixels", other, "image/png")]).body(), images=IMAGES)
    with pytest.raises(MalformedBody, match="image/png"):
        await read(Upload([model()], [Bulk("pixels", b"no image", "image/png")]).body(), images=IMAGES)
    with pytest.raises(TooLarge, match="decoded"):
        await read(Upload([model()], [Bulk("pixels", bytes(10_001), "image/png")]).body(), images=IMAGES)
    document = model(t7FE00010=None, t00420011={"vr": "OB", "BulkDataURI": "d"})
    (seen,) = await read(Upload([document], [Bulk("d", file, "image/png")]).body(), images=IMAGES)
    assert value_of(seen, 0x00420011) == file + b"\0" * (len(file) % 2)


@pytest.mark.parametrize("given", [None, "text/XML"])
async def test_an_encapsulated_document(given: str | None) -> None:
    document = {"t7FE00010": None, "t00420011": {"vr": "OB", "BulkDataURI": "doc"}}
    if given:
        document["t00420012"] = {"vr": "LO", "Value": [given]}
    (seen,) = await read(Upload([model(**document)], [Bulk("doc", b"%PDF-1", "application/pdf")]).body())
    found = read_stored(bytes(seen.data))
    assert found.MIMETypeOfEncapsulatedDocument == (given or "application/pdf")
    assert found.EncapsulatedDocument == b"%PDF-1"


# --- when it leaves ---


async def test_native_pixel_data_passes_on_while_it_arrives(tmp_path: Path) -> None:
    """Nothing is kept: the folder for it does not exist."""
    body = Upload([model()], [Bulk("pixels", PIXELS)]).body()
    arrived: list[Seen] = []
    (seen,) = await read(body, size=10, seen=arrived, spool_folder=str(tmp_path / "missing"), max_spool_bytes=1)
    assert seen.is_complete and value_of(seen, 0x7FE00010) == PIXELS
    document = model(
        t7FE00010=None, t00420011={"vr": "OB", "BulkDataURI": "d"}, t00420012={"vr": "LO", "Value": ["a/b"]}
    )
    sized = [Bulk("d", b"x" * 9, more="Content-Length: 9\r\n")]
    (seen,) = await read(Upload([document], sized).body(), size=10, max_spool_bytes=1)
    assert value_of(seen, 0x00420011) == b"x" * 9 + b"\0"


async def test_nothing_ends_before_the_body_has() -> None:
    body = Upload([model()], [Bulk("pixels", PIXELS)]).body()
    for stop in range(len(body) - 3):
        seen: list[Seen] = []
        with pytest.raises(MalformedBody):
            await read(body[:stop], seen=seen)
        assert not any(it.is_complete for it in seen)
    assert seen and seen[0].data  # what had come had left


@pytest.mark.parametrize("root", [JSON, XML])
async def test_cuts_anywhere_of_several_instances(root: str) -> None:
    models = [model(1), model(2, {"vr": "OW", "BulkDataURI": "p2"})]
    body = Upload(models, [Bulk("pixels", PIXELS), Bulk("p2", PIXELS)]).body(root)
    for stop in range(0, len(body) - 3, 7):
        seen: list[Seen] = []
        with pytest.raises(MalformedBody):
            await read(body[:stop], seen=seen)
        assert not any(it.is_complete for it in seen)


async def test_frames_leave_as_they_arrive_and_make_room_for_the_next() -> None:
    count = 20
    frames = [Bulk("pixels", FRAME + bytes([number]) * 1000, "image/jp2") for number in range(count)]
    upload = Upload([model(t00280008={"vr": "IS", "Value": [count]})], frames)
    (seen,) = await read(upload.body(), max_spool_bytes=1100)
    assert len(list(generate_frames(value_of(seen, 0x7FE00010), number_of_frames=count))) == count


# --- what is refused as a whole ---

MALFORMED: list[tuple[str, bytes]] = [
    ("no metadata", make_body([])),
    ("neither", make_body([("application/dicom", b"x")])),
    ("not JSON", make_body([(JSON, b"{")])),
    ("not JSON", make_body([(JSON, b"")])),
    ("XML", make_body([(XML, b"<x>")])),
    ("document type", make_body([(XML, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>')])),
    ("missing: 7FE00010 of instance 1", make_body([(JSON, json.dumps([model()]).encode())])),
    (
        "missing: 7FE00010 of instance 2",
        Upload([model(), model(2, {"vr": "OW", "BulkDataURI": "x"})], [Bulk("pixels", PIXELS)]).body(),
    ),
    ("1 bulk parts", Upload([model()], [Bulk("pixels", PIXELS), Bulk("x", PIXELS)]).body()),
    ("1 bulk parts", Upload([model()], [Bulk("x", PIXELS), Bulk("pixels", PIXELS)]).body()),
    ("1 bulk parts", Upload([model()], [Bulk("pixels", PIXELS), Bulk("pixels", PIXELS)]).body()),
    ("1 bulk parts", Upload([model()], [Bulk("pixels", FRAME, "image/jp2")] * 2).body()),
    ("missing", Upload([model(t00280008={"vr": "IS", "Value": [2]})], [Bulk("pixels", FRAME, "image/jp2")]).body()),
    ("length", Upload([model()], [Bulk("pixels", PIXELS[:-1])]).body()),
    ("length", Upload([model()], [Bulk("pixels", PIXELS + b"x")]).body()),
    ("63 bytes of pixel data, not 64", Upload([model(), model(2)], [Bulk("pixels", PIXELS[:-1])]).body()),
    (
        "more than one transfer syntax",
        Upload(
            [model(t00880200={"vr": "SQ", "Value": [{"7FE00010": {"vr": "OB", "BulkDataURI": "i"}}]})],
            [Bulk("i", FRAME, "image/jp2"), Bulk("pixels", PIXELS)],
        ).body(),
    ),
    (
        "instance 2.*00280010",  # neither metadata nor image tells its size: known before the first is sent
        Upload(
            [model(), model(2, {"vr": "OB", "BulkDataURI": "p2"}, t00280010=None), model(3)],
            [Bulk("pixels", PIXELS), Bulk("p2", b"no image", "image/jpeg")],
        ).body(),
    ),
    (
        "instance 2.*00280011",  # the image is wider than an attribute can say
        Upload(
            [model(), model(2, {"vr": "OB", "BulkDataURI": "p2"}, t00280011=None)],
            [Bulk("pixels", PIXELS), Bulk("p2", jpeg_2000(4, 70_000), "image/jp2")],
        ).body(),
    ),
    ("media type", Upload([model()], [Bulk("pixels", PIXELS, "image/png")]).body()),
    (
        "Big Endian",
        Upload([model()], [Bulk("pixels", PIXELS)]).body(parameters="; transfer-syntax=1.2.840.10008.1.2.2"),
    ),
    ("BulkDataURI of more than 8192", Upload([model(1, {"vr": "OW", "BulkDataURI": "a" * 9_000})]).body()),
    ("Content-Location of more than 8192", Upload([model()], [Bulk("a" * 8_193, PIXELS)]).body()),
    (
        "frames in more than one transfer syntax",
        Upload(
            [model(t00280008={"vr": "IS", "Value": [2]})],
            [Bulk("pixels", FRAME, "image/jp2"), Bulk("pixels", FRAME)],
        ).body(),
    ),
    ("Content-Type", Upload([model()], [Bulk("pixels", PIXELS, "nonsense")]).body()),
    ("instance 2", make_body([(JSON, json.dumps([model(2), {**model(), "00280010": us(-1)}]).encode())])),
    ("00280010", make_body([(JSON, json.dumps([{**model(), "00280010": us(-1)}]).encode())])),
    ("7FE00001", make_body([(JSON, json.dumps([{**model(), "7FE00001": us(-1)}]).encode())])),
    ("00280008", make_body([(JSON, json.dumps([{**model(), "00280008": {"vr": "IS", "Value": [-1]}}]).encode())])),
    *(
        (name, make_body([(JSON, json.dumps([model(**{f"t{tag}": given})]).encode())]))
        for name, tag in (
            ("SOP Class", "00080016"),
            ("SOP Instance", "00080018"),
            ("Study", "0020000D"),
            ("Series", "0020000E"),
        )
        for given in (None, {"vr": "UI"}, {"vr": "LO", "Value": ["x"]})
    ),
]


@pytest.mark.parametrize(("words", "body"), MALFORMED, ids=range(len(MALFORMED)))
async def test_what_does_not_belong_together_is_refused(words: str, body: bytes) -> None:
    for size in (1 << 20, 50):
        seen: list[Seen] = []
        with pytest.raises(MalformedBody, match=words):
            await read(body, size=size, seen=seen)
        assert not any(it.is_complete for it in seen)


async def test_limits(tmp_path: Path) -> None:
    large = model(t00104000={"vr": "LT", "Value": ["x" * 70_000]})
    with pytest.raises(TooLarge, match="metadata"):
        await read(make_body([(JSON, json.dumps([large]).encode())]), max_metadata_bytes=65_536)
    many = [Bulk(f"{number}", b"") for number in range(300)]
    with pytest.raises(TooLarge, match="metadata"):
        await read(Upload([model()], many).body(), max_metadata_bytes=65_536)
    waiting = Upload([model(), model(2)], [Bulk("pixels", PIXELS)]).body()
    with pytest.raises(TooLarge, match="wait"):
        await read(waiting, max_spool_bytes=10)
    big = Upload([model(t00280010=us(1000), t00280011=us(1000)), model(2)], [Bulk("pixels", bytes(2_000_000))]).body()
    with pytest.raises(SpoolFailed):
        await read(big, spool_folder=str(tmp_path / "missing"))
    assert issubclass(TooLarge, RequestError)


async def test_large_metadata_is_read_beside_the_event_loop() -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    large = model(t00104000={"vr": "LT", "Value": ["x" * 10_000_000]})
    counting = asyncio.get_running_loop().create_task(count_turns())
    (seen,) = await read(Upload([large], [Bulk("pixels", PIXELS)]).body())
    counting.cancel()
    assert len(seen.data) > 10_000_000 and turns > 10


@pytest.mark.parametrize("is_large", [False, True])
async def test_what_follows_from_the_parts_of_large_metadata_is_settled_beside_the_event_loop(
    is_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is written once more, for what the image tells, and where references are compared with parts."""
    on_loop: list[bool] = []

    def note(*arguments: Any) -> Any:
        on_loop.append(threading.current_thread() is threading.main_thread())
        return check(*arguments)

    check = PlannedInstance.check_description
    monkeypatch.setattr(PlannedInstance, "check_description", note)
    prepare = PlannedInstance.prepare
    monkeypatch.setattr(PlannedInstance, "prepare", lambda *arguments: (note(*arguments), prepare(*arguments))[1])
    comment = {"vr": "LT", "Value": ["x" * (70_000 if is_large else 10)]}
    upload = [model(**lacking(t00104000=comment)), model(2)]
    seen = await read(Upload(upload, [Bulk("pixels", jpeg(4, 8), "image/jpeg")]).body())
    assert [read_stored(bytes(it.data)).Rows for it in seen] == [4, 4]
    # both are compared, then each is prepared, of which the second is small
    assert on_loop == [not is_large] * 3 + [True]
