"""What a store request may carry."""

from __future__ import annotations

import pytest

from gateway.errors import MalformedBody, UnsupportedMediaType
from gateway.web.negotiation import read_store_content_type

MULTIPART_DICOM = 'multipart/related; type="application/dicom"'


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("application/dicom", None),
        ("application/dicom; transfer-syntax=1.2.840.10008.1.2.1", None),
        ('multipart/related; type="application/dicom"; boundary=abc', "abc"),
        ("multipart/related; type=application/dicom; boundary=abc", "abc"),
        ('Multipart/Related; boundary="a b:c"; type="application/dicom"', "a b:c"),
        ("multipart/related; boundary=abc", "abc"),
    ],
)
def test_what_a_store_may_carry(content_type: str, boundary: str | None) -> None:
    assert read_store_content_type(content_type) == boundary


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "nonsense",
        "application/json",
        'multipart/related; type="application/dicom+json"; boundary=abc',
        "multipart/form-data; boundary=abc",
    ],
)
def test_what_a_store_may_not_carry(content_type: str | None) -> None:
    with pytest.raises(UnsupportedMediaType) as caught:
        read_store_content_type(content_type)
    assert MULTIPART_DICOM in caught.value.supported


@pytest.mark.parametrize("content_type", [MULTIPART_DICOM, f'{MULTIPART_DICOM}; boundary=""'])
def test_a_store_without_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(MalformedBody):
        read_store_content_type(content_type)
