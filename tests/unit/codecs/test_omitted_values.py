"""What is put back in place of bulk values left out."""

from __future__ import annotations

import json

import pytest

from gateway.codecs.data_set_encoder import DataSetEncoder
from gateway.codecs.dicom_json import JSON
from gateway.codecs.fragment_memo import FragmentMemo
from gateway.codecs.omitted_values import PIXEL_CLASSES, restore_elements
from tests.support.elements import element

SYNTAXES = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.70"]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    ("present", "restored"),
    [
        (set(), []),
        ({0x00280010}, ["7FE00010"]),
        ({0x00280010, 0x7FE00010}, []),
        ({0x00280010, 0x60000010, 0x60020010, 0x60023000}, ["60003000", "7FE00010"]),
        ({0x601E0010}, ["601E3000"]),
    ],
)
def test_metadata_refers_to_what_was_left_out(syntax: str, present: set[int], restored: list[str]) -> None:
    encoder = DataSetEncoder(syntax, FragmentMemo(JSON), bulkdata_uri=lambda path: f"/{path}", inline_limit=1)
    encoder.feed(restore_elements(syntax, present.__contains__))
    assert json.loads(encoder.finish()) == {tag: {"vr": "OW", "BulkDataURI": f"/{tag}"} for tag in restored}


def test_nothing_is_put_into_deflated_data() -> None:
    assert restore_elements("1.2.840.10008.1.2.1.99", lambda tag: tag == 0x00280010) == b""


def test_an_encoder_tells_what_it_has() -> None:
    encoder = DataSetEncoder(SYNTAXES[0], FragmentMemo(JSON), bulkdata_uri=str, inline_limit=1024)
    encoder.feed(element(0x00280010, "US", b"\1\0"))
    encoder.feed(restore_elements(SYNTAXES[0], encoder.has_element))
    assert list(json.loads(encoder.finish())) == ["00280010", "7FE00010"]


def test_classes_with_pixel_data() -> None:
    names = {"1.2.840.10008.5.1.4.1.1.2": True, "1.2.840.10008.5.1.4.1.1.88.11": False}
    names |= {"1.2.840.10008.5.1.4.1.1.30": False, "1.2.840.10008.5.1.4.1.1.104.1": False}
    assert {uid: uid in PIXEL_CLASSES for uid in names} == names
