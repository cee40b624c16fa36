"""What follows from metadata and parts: lengths, counts, the transfer syntax; what an instance cannot do without."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.codecs.media_types import parse_media_type
from gateway.errors import DecodeError
from gateway.services.store.bulkdata_parts import MAX_URI, BulkdataParts, BulkPart
from gateway.services.store.metadata_instance import PlannedInstance
from tests.unit.services.store.test_metadata_request import J, model, ui, us

OCTETS, JPEG_2000 = "application/octet-stream", "image/jp2"


def plan(stated: str | None = None, **more: Any) -> PlannedInstance:
    return PlannedInstance(model(**more), stated, lambda uri: f"http://h/{uri}")


def part(media_type: str, length: int = 64) -> BulkPart:
    return BulkPart(parse_media_type(media_type), 0, length, length)


def cs(text: str) -> dict[str, Any]:
    return {"vr": "CS", "Value": [text]}


LENGTHS = [  # attributes by tag after a letter, bytes of native pixel data
    ({}, 64),
    ({"t00280008": {"vr": "IS", "Value": ["3"]}}, 192),
    ({"t00280100": us(1), "t00280011": us(3)}, 2),
    ({"t00280100": us(1), "t00280011": us(3), "t00280008": {"vr": "IS", "Value": [2]}}, 3),
    ({"t00280100": us(8), "t00280002": us(3), "t00280004": cs("RGB")}, 96),
    ({"t00280100": us(8), "t00280002": us(3), "t00280004": cs("YBR_FULL_422 ")}, 64),
    ({"t00280100": us(8), "t00280002": us(3), "t00280004": cs("YBR_PARTIAL_420")}, 48),
    ({"t00280010": None}, None),
    ({"t00280100": {"vr": "US"}}, None),
    ({"t00280010": {"vr": "SQ", "Value": [{}]}}, None),
    ({"t00280010": {"vr": "SS", "Value": [-4]}}, None),
    ({"t00280010": {"vr": "FD", "Value": [1e400]}}, None),
    ({"t00280010": {"vr": "LO", "Value": ["many"]}}, None),
]


@pytest.mark.parametrize(("more", "length"), LENGTHS)
def test_the_length_of_native_pixel_data(more: dict[str, Any], length: int | None) -> None:
    instance = plan(**more)
    (pixels,) = instance.references
    assert instance.find_length(pixels) == length


def test_float_pixel_data_has_its_own_bits() -> None:
    for tag, length in (("7FE00008", 128), ("7FE00009", 256)):
        instance = plan(t7FE00010=None, **{f"t{tag}": {"vr": "OF", "BulkDataURI": "x"}})
        assert instance.find_length(instance.references[0]) == length


def test_lengths_are_compared_where_the_value_is_native() -> None:
    instance = plan(t00280011=us(3), t00280010=us(3), t00280100=us(8))
    (pixels,) = instance.references
    for good in (part(OCTETS, 9), part(OCTETS, 10), part(JPEG_2000, 5)):
        instance.check_length(pixels, good)
    for bad in (part(OCTETS, 8), part(OCTETS, 11)):
        with pytest.raises(DecodeError, match="7FE00010"):
            instance.check_length(pixels, bad)


def test_references_and_how_many_parts_they_need() -> None:
    icon = {"vr": "SQ", "Value": [{"7FE00010": {"vr": "OB", "BulkDataURI": "icon"}}]}
    instance = plan(t00280008={"vr": "IS", "Value": [7]}, t00880200=icon)
    inner, outer = instance.references
    assert [instance.uri_of(it) for it in (inner, outer)] == ["http://h/icon", "http://h/pixels"]
    assert instance.find_length(inner) is None
    assert [instance.count_parts(outer, part(kind)) for kind in (OCTETS, JPEG_2000, "video/mpeg")] == [1, 7, 1]
    assert instance.count_parts(inner, part(JPEG_2000)) == 1


def test_long_references_are_refused_before_they_are_resolved() -> None:
    resolved: list[str] = []

    def resolve(uri: str) -> str:
        resolved.append(uri)
        return uri

    longest = "a" * MAX_URI
    PlannedInstance(model(1, {"vr": "OW", "BulkDataURI": longest}), None, resolve)
    with pytest.raises(DecodeError, match="more than 8192 characters") as caught:
        PlannedInstance(model(1, {"vr": "OW", "BulkDataURI": longest + "a"}), None, resolve)
    assert caught.value.path == "7FE00010" and resolved == [longest]


def test_ready_when_the_pixel_data_shows_its_syntax() -> None:
    instance, parts = plan(f"{J}91", t00281201={"vr": "OW", "BulkDataURI": "lut"}), BulkdataParts()
    assert not instance.is_ready(parts)
    assert instance.is_ready(parts, arriving="http://h/pixels")
    parts.add("http://h/pixels", part(JPEG_2000))
    assert instance.is_ready(parts)
    assert instance.prepare(parts).transfer_syntax_uid == f"{J}91"


@pytest.mark.parametrize(
    ("kinds", "is_mixed"),
    [
        ((JPEG_2000, JPEG_2000, f"{JPEG_2000}; transfer-syntax={J}90"), False),
        ((f"image/jpeg; transfer-syntax={J}50", "image/jpeg", "image/jpeg"), False),
        ((f"{OCTETS}; transfer-syntax={J}90", JPEG_2000, JPEG_2000), False),
        (("image/jpeg", "image/jpeg", JPEG_2000), True),
        ((JPEG_2000, OCTETS, JPEG_2000), True),
        ((JPEG_2000, JPEG_2000, f"{JPEG_2000}; transfer-syntax={J}91"), True),
        ((JPEG_2000, "application/pdf", JPEG_2000), True),
    ],
)
@pytest.mark.parametrize("numbered", [False, True])
def test_frames_are_all_in_one_syntax(kinds: tuple[str, ...], is_mixed: bool, numbered: bool) -> None:
    instance, parts = plan(t00280008={"vr": "IS", "Value": [3]}), BulkdataParts()
    for number, kind in enumerate(kinds, start=1):
        parts.add("http://h/pixels" + f"/frames/{number}" * numbered, part(kind))
    if not is_mixed:
        instance.check_description(parts)
        return
    with pytest.raises(DecodeError, match="transfer syntax|media type") as caught:
        instance.check_description(parts)
    assert caught.value.path == "7FE00010"


def test_inline_pixel_data_is_native() -> None:
    icon = {"vr": "SQ", "Value": [{"7FE00010": {"vr": "OB", "BulkDataURI": "icon"}}]}
    instance, parts = plan(pixels={"vr": "OW", "InlineBinary": "AAAA"}, t00880200=icon), BulkdataParts()
    parts.add("http://h/icon", part(JPEG_2000))
    with pytest.raises(DecodeError, match="more than one"):
        instance.prepare(parts)


def test_inline_pixel_data_is_never_compressed() -> None:
    native, fragments = ({"vr": "OW", "InlineBinary": text} for text in ("AAAA", "/v8A4AAAAAA="))
    for stated in (None, "*", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"):
        plan(stated, pixels=native)
    for stated, pixels in ((f"{J}90", native), ("1.2.3.4", native), (None, fragments)):
        with pytest.raises(DecodeError, match="InlineBinary"):
            plan(stated, pixels=pixels)


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"t00080018": None}, "00080018"),
        ({"t0020000D": ui("1.2"), "t0020000E": {"vr": "UI", "Value": [None]}}, "0020000E"),
        ({"t00280008": {"vr": "IS", "Value": ["-1"]}}, "00280008"),
        ({"t00280008": {"vr": "IS", "Value": [99_999_999]}}, "00280008"),
        ({"t00280008": {"vr": "SQ", "Value": [{"00080018": ui("1")}]}}, "00280008"),
    ],
)
def test_what_an_instance_cannot_do_without(more: dict[str, Any], path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        plan(**more)
    assert caught.value.path == path
