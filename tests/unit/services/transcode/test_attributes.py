from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import ImagingFailed
from gateway.services.transcode.attributes import Compression, describe_values, find_pixel_vr, rewrite_head
from gateway.services.transcode.splitter import Head, HeadElement
from tests.support.images import describe

BASELINE, LOSSLESS_J2K = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"
PIXEL_DATA, FLOAT_PIXEL_DATA = 0x7FE00010, 0x7FE00008
VALUES = {
    0x00280002: b"\x03\x00",
    0x00280004: b"YBR_FULL",
    0x00280006: b"\x01\x00",
    0x00280008: b"12 ",
    0x00280010: b"\x04\x00",
    0x00280011: b"\x06\x00",
    0x00280100: b"\x08\x00",
    0x00280101: b"\x08\x00",
    0x00280102: b"\x07\x00",
    0x00280103: b"\x00\x00",
}
NO_LOSS = Compression(native_bytes=72, before=20, after=10, was_lossy=False, is_lossy=False)


def test_values_become_a_description() -> None:
    found = describe_values(VALUES, PIXEL_DATA, BASELINE, 1000)
    assert found == replace(describe((4, 6, 3), photometric="YBR_FULL", planar=1, syntax=BASELINE), number_of_frames=12)


def test_float_pixel_data() -> None:
    values = {**VALUES, 0x00280002: b"\x01\x00", 0x00280004: b"MONOCHROME2 ", 0x00280100: b"\x20\x00"}
    for tag in (0x00280101, 0x00280102, 0x00280103):
        del values[tag]
    found = describe_values(values, FLOAT_PIXEL_DATA, BASELINE, 1000)
    assert (found.is_float, found.bits_allocated, find_pixel_vr(found)) == (True, 32, "OB")
    assert not describe_values({**values, 0x00280103: b"\0\0"}, PIXEL_DATA, BASELINE, 1000).is_float


@pytest.mark.parametrize("change", [{0x00280010: b""}, {0x00280008: b"many"}, {0x00280011: b"\xff\xff"}])
def test_values_that_describe_no_image(change: dict[int, bytes]) -> None:
    with pytest.raises(ImagingFailed):
        describe_values({**VALUES, **change}, PIXEL_DATA, BASELINE, 1000)


def make_head(values: dict[int, bytes] | None = None) -> Head:
    tags = (0x00080008, 0x00280004, 0x00280010, 0x00400001, 0x7FE00001)
    return Head([HeadElement(tag, b"old") for tag in tags], values or {}, PIXEL_DATA)


def rewrite(head: Head, compression: Compression, **changes: object) -> dict[int, bytes]:
    source = describe((4, 6, 3), syntax=LOSSLESS_J2K, planar=1)
    target = replace(source, **changes)  # type: ignore[arg-type]
    elements = rewrite_head(head, source, target, compression)
    assert [one.tag for one in elements] == sorted(one.tag for one in elements)
    return {one.tag: one.encoded for one in elements}


def test_what_does_not_change_is_left_alone_but_for_offset_tables() -> None:
    assert rewrite(make_head(), NO_LOSS) == dict.fromkeys((0x00080008, 0x00280004, 0x00280010, 0x00400001), b"old")


def test_form_attributes_follow() -> None:
    found = rewrite(
        make_head(), NO_LOSS, photometric_interpretation="YBR_RCT", planar_configuration=0, bits_allocated=16
    )
    assert found[0x00280004] == b"\x28\x00\x04\x00CS\x08\x00YBR_RCT "
    assert found[0x00280006] == b"\x28\x00\x06\x00US\x02\x00\x00\x00"
    assert found[0x00280100] == b"\x28\x00\x00\x01US\x02\x00\x10\x00"


def test_each_loss_is_added_to_those_told_before() -> None:
    values = {0x00282110: b"01", 0x00282112: b"4 ", 0x00282114: b"ISO_14495_1 ", 0x00080008: b"ORIGINAL\\PRIMARY"}
    found = rewrite(make_head(values), replace(NO_LOSS, is_lossy=True), transfer_syntax_uid=BASELINE)
    assert found[0x00282110].endswith(b"01")
    assert found[0x00282112].endswith(b"4\\7.2 ")
    assert found[0x00282114].endswith(b"ISO_14495_1\\ISO_10918_1 ")
    assert found[0x00080008].endswith(b"DERIVED\\PRIMARY ")


@pytest.mark.parametrize(
    ("uid", "method"),
    [
        ("1.2.840.10008.1.2.4.51", "ISO_10918_1"),
        ("1.2.840.10008.1.2.4.81", "ISO_14495_1"),
        ("1.2.840.10008.1.2.4.91", "ISO_15444_1"),
        ("1.2.840.10008.1.2.4.203", "ISO_15444_15"),
        ("1.2.840.10008.1.2.4.112", "ISO_18181_1"),
        ("1.2.840.10008.1.2.4.111", "ISO_10918_1"),
    ],
)
def test_a_loss_before_that_nobody_told_of(uid: str, method: str) -> None:
    source = describe((4, 6), syntax=uid)
    lossy = replace(NO_LOSS, was_lossy=True)
    (element,) = (one for one in rewrite_head(make_head(), source, source, lossy) if one.tag == 0x00282114)
    assert method.encode() in element.encoded
