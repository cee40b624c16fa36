"""Which transfer syntax the pixel data of a part is in: parameter, metadata, stream, default, in this order."""

from __future__ import annotations

import pytest

from gateway.codecs.compressed_types import choose_transfer_syntax, is_box_type
from gateway.codecs.media_types import parse_media_type
from gateway.errors import DecodeError

J = "1.2.840.10008.1.2.4."

CHOICES = [  # media type, stated by the metadata, found in the stream, chosen
    ("application/octet-stream", None, None, None),
    ("application/octet-stream", "1.2.840.10008.1.2.1", None, None),
    ("application/octet-stream", "1.2.840.10008.1.2", None, None),
    ("application/octet-stream", f"{J}90", None, f"{J}90"),
    (f"application/octet-stream; transfer-syntax={J}80", None, None, f"{J}80"),
    ("application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1", f"{J}90", None, None),
    ("application/octet-stream; transfer-syntax=*", None, None, None),
    ("image/jpeg", None, None, f"{J}70"),
    ("image/jpeg", None, f"{J}50", f"{J}50"),
    ("image/jpeg", f"{J}51", f"{J}50", f"{J}51"),
    ("image/jpeg", f"{J}90", f"{J}50", f"{J}50"),
    (f"image/jpeg; transfer-syntax={J}57", f"{J}51", f"{J}50", f"{J}57"),
    (f'image/jpeg; transfer-syntax="{J}57"', None, None, f"{J}57"),
    ("image/jpeg", "1.2.840.10008.1.2.1", None, f"{J}70"),
    ("image/jls", None, f"{J}81", f"{J}81"),
    ("image/x-jls", None, None, f"{J}80"),
    ("image/jp2", f"{J}91", None, f"{J}91"),
    ("image/jpx", None, None, f"{J}92"),
    ("image/jpx", None, f"{J}90", f"{J}90"),
    ("image/jp2", None, f"{J}201", f"{J}201"),
    ("image/jpeg", None, f"{J}55", f"{J}55"),
    ("image/jpeg", None, f"{J}80", f"{J}70"),
    ("image/jph", None, f"{J}203", f"{J}203"),
    ("image/jphc", None, None, f"{J}201"),
    ("image/jxl", f"{J}112", None, f"{J}112"),
    ("image/dicom-rle", None, None, "1.2.840.10008.1.2.5"),
    ("video/mpeg", f"{J}100", None, f"{J}100"),
    ("video/mp4", None, None, f"{J}102"),
    ("video/H265", f"{J}108", None, f"{J}108"),
    ("image/jpeg; transfer-syntax=1.2.3.4", None, None, "1.2.3.4"),
    ("image/jpeg; transfer-syntax=nonsense", "nonsense", None, f"{J}70"),
]


@pytest.mark.parametrize(("media_type", "stated", "found", "chosen"), CHOICES)
def test_choices(media_type: str, stated: str | None, found: str | None, chosen: str | None) -> None:
    assert choose_transfer_syntax(parse_media_type(media_type), stated, found) == chosen


@pytest.mark.parametrize(
    ("media_type", "stated"),
    [
        ("image/png", None),
        ("text/plain", None),
        ("application/pdf", None),
        ("application/octet-stream", "1.2.840.10008.1.2.2"),
        ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.2", None),
        ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.1", None),
    ],
)
def test_what_pixel_data_is_never_in(media_type: str, stated: str | None) -> None:
    with pytest.raises(DecodeError):
        choose_transfer_syntax(parse_media_type(media_type), stated)


def test_files_of_boxes() -> None:
    assert is_box_type(parse_media_type("image/jp2"))
    assert not is_box_type(parse_media_type("image/jpeg"))
