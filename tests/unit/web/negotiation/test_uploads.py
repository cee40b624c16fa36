"""What a store request may carry."""

from __future__ import annotations

import pytest

from gateway.errors import MalformedBody, UnsupportedMediaType
from gateway.web.negotiation.uploads import StoreContent, read_store_content_type

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
    assert read_store_content_type(content_type) == StoreContent(boundary)


@pytest.mark.parametrize("essence", ["application/dicom+json", "application/dicom+xml"])
def test_metadata_with_or_without_bulk_data(essence: str) -> None:
    multipart = f'multipart/related; type="{essence}"; boundary=abc'
    assert read_store_content_type(multipart) == StoreContent("abc", is_metadata=True)
    assert read_store_content_type(f"{essence}; charset=utf-8") == StoreContent(None, is_metadata=True)
    assert f'multipart/related; type="{essence}"' in str(_refuse("text/plain").supported)


def _refuse(content_type: str | None) -> UnsupportedMediaType:
    with pytest.raises(UnsupportedMediaType) as caught:
        read_store_content_type(content_type)
    return caught.value


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "nonsense",
        "application/json",
        'multipart/related; type="application/json"; boundary=abc',
        'multipart/related; type="image/jpeg"; boundary=abc',
        "multipart/form-data; boundary=abc",
    ],
)
def test_what_a_store_may_not_carry(content_type: str | None) -> None:
    assert MULTIPART_DICOM in _refuse(content_type).supported


@pytest.mark.parametrize("content_type", [MULTIPART_DICOM, f'{MULTIPART_DICOM}; boundary=""'])
def test_a_store_without_boundary_is_malformed(content_type: str) -> None:
    with pytest.raises(MalformedBody):
        read_store_content_type(content_type)
