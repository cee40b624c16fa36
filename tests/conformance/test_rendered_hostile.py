"""Instances that are damaged, or made to do harm: each gets a clear answer, and the gateway serves on."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from gateway.codecs.part10 import encode_file_meta
from gateway.sandbox import SandboxArchive
from tests.support.conformance_site import Site, open_site
from tests.support.rendered_site import refer
from tests.support.small_archive import encode_file, make_instance

ROOT = "1.2.826.0.1.3680043.10.1436.7"
CT = "1.2.840.10008.5.1.4.1.1.2"
GOOD = 1


def make_image(number: int, rows: int = 16, columns: int = 16, frames: int = 1, data: bytes | None = None) -> Dataset:
    image = make_instance(f"{ROOT}.{number}.1", Modality="CT")
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns, image.NumberOfFrames = rows, columns, frames
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelRepresentation = 7, 0
    image.add_new(0x7FE00010, "OB", bytes(rows * columns) if data is None else data)
    return image


def make_jpeg(size: tuple[int, int]) -> bytes:
    buffer = BytesIO()
    Image.new("L", size, 128).save(buffer, "JPEG")
    return buffer.getvalue()


def claim(jpeg: bytes, rows: int, columns: int) -> bytes:
    """A JPEG whose frame header says that it is larger."""
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + rows.to_bytes(2) + columns.to_bytes(2) + jpeg[place + 4 :]


def make_bomb() -> bytes:
    """A deflated data set of some kilobytes that inflates to 100 MB before any pixel data."""
    image = make_image(7)
    head = encode_file(image, ExplicitVRLittleEndian)
    head = head[144 + int.from_bytes(head[140:144], "little") :]
    group = head.index(b"\x28\x00\x02\x00US")
    element = b"\x21\x00\x10\x10UN\0\0" + (100_000_000).to_bytes(4, "little")
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(head[:group] + element + bytes(100_000_000) + head[group:]) + packer.flush()
    return encode_file_meta(CT, f"{ROOT}.7.1", DeflatedExplicitVRLittleEndian) + packed


def make_state() -> Dataset:
    """A presentation state that shows itself."""
    state = make_instance(f"{ROOT}.8.1", GrayscaleSoftcopyPresentationStateStorage, Modality="PR")
    state.ReferencedSeriesSequence = [refer(f"{ROOT}.8", (f"{ROOT}.8.1", []))]
    return state


def make_report() -> Dataset:
    """A report nested deeper than anybody reads."""
    report = make_instance(f"{ROOT}.9.1", BasicTextSRStorage, Modality="SR")
    item = Dataset()
    for _ in range(40):
        outer = Dataset()
        outer.RelationshipType, outer.ValueType, outer.ContentSequence = "CONTAINS", "CONTAINER", [item]
        item = outer
    report.ValueType, report.ContentSequence = "CONTAINER", [item]
    return report


JPEG = make_jpeg((16, 16))
FILES: dict[str, tuple[bytes, set[int]]] = {
    "1": (encode_file(make_image(GOOD), ExplicitVRLittleEndian), {200}),
    "2, native pixel data that ends early": (
        encode_file(make_image(2, rows=60_000, columns=60_000, data=bytes(1_000)), ExplicitVRLittleEndian),
        {502},
    ),
    "3, a codestream of other dimensions": (
        encode_file(make_image(3, data=encapsulate([claim(JPEG, 65_500, 65_500)])), JPEGBaseline8Bit),
        {502},
    ),
    "4, dimensions beyond every limit": (
        encode_file(
            make_image(4, rows=65_500, columns=65_500, data=encapsulate([claim(JPEG, 65_500, 65_500)])),
            JPEGBaseline8Bit,
        ),
        {502},
    ),
    "5, a codestream cut short": (
        encode_file(make_image(5, data=encapsulate([JPEG[:200]])), JPEGBaseline8Bit),
        {200, 502},
    ),
    "6, RLE segments that lie elsewhere": (
        encode_file(make_image(6, data=encapsulate([b"\1\0\0\0\xff\xff\xff\x7f" + bytes(60)])), RLELossless),
        {502},
    ),
    "7, a deflated bomb": (make_bomb(), {413}),
    "8, a state that shows itself": (encode_file(make_state(), ExplicitVRLittleEndian), {502}),
    "9, a report without a bottom": (encode_file(make_report(), ExplicitVRLittleEndian), {200, 502}),
    "10, garbage in place of JPEG 2000": (
        encode_file(make_image(10, data=encapsulate([bytes(range(256)) * 8])), JPEG2000Lossless),
        {502},
    ),
    "11, more frames than fragments": (
        encode_file(make_image(11, frames=2_000_000_000, data=encapsulate([JPEG])), JPEGBaseline8Bit),
        {413, 502},
    ),
    "12, JPEG in place of HTJ2K": (encode_file(make_image(12, data=encapsulate([JPEG])), HTJ2KLossless), {502}),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with small limits over an archive of such instances."""
    folder = tmp_path_factory.mktemp("hostile")
    with SandboxArchive(folder / "archive") as archive:
        for name, (content, _) in FILES.items():
            path = Path(folder, f"{name.partition(',')[0]}.dcm")
            path.write_bytes(content)
            archive.index.add_file(path)
        with open_site(archive, imaging={"max_frame_mib": 16, "memory_mib": 768, "task_timeout_s": 20}) as site:
            yield site


def locate(name: str) -> str:
    number = name.partition(",")[0]
    return f"/studies/{ROOT}/series/{ROOT}.{number}/instances/{ROOT}.{number}.1"


@pytest.mark.parametrize("name", list(FILES))
@pytest.mark.parametrize("accept", ["*/*", "image/gif"])
def test_each_gets_a_clear_answer(hostile: Site, name: str, accept: str) -> None:
    response = hostile.get(f"{locate(name)}/rendered", accept)
    assert response.status in FILES[name][1] | ({406} if accept != "*/*" else set()), response.body
    if response.status != 200:
        assert response.json["detail"] and "Traceback" not in response.body.decode()
    assert hostile.get(f"{locate('1')}/rendered", "image/png").status == 200


def test_they_do_not_hide_what_is_good(hostile: Site) -> None:
    response = hostile.get(f"/studies/{ROOT}/rendered", 'multipart/related; type="image/png"')
    assert response.status == 200
    assert any(locate("1") in part.location for part in response.parts)


@pytest.mark.parametrize("name", list(FILES))
def test_thumbnails_of_them(hostile: Site, name: str) -> None:
    assert hostile.get(f"{locate(name)}/thumbnail", "*/*").status in {200, 404, 406, 413, 502}
