"""Names of attributes and UIDs as the page reads them."""

from __future__ import annotations

import json

from gateway.console.names import encode_names

NAMES = json.loads(encode_names())


def test_attributes_have_the_names_of_the_standard() -> None:
    attributes = NAMES["attributes"]
    assert attributes["00100010"] == "Patient's Name"
    assert attributes["7FE00010"] == "Pixel Data"
    assert all(len(tag) == 8 and tag == tag.upper() for tag in attributes)
    assert "" not in attributes.values()


def test_repeating_groups_stand_under_their_first_group() -> None:
    assert NAMES["attributes"]["60003000"] == "Overlay Data"
    assert NAMES["attributes"]["50000005"] == "Curve Dimensions"


def test_uids_of_sop_classes_have_names() -> None:
    assert NAMES["uids"]["1.2.840.10008.5.1.4.1.1.2"] == "CT Image Storage"
    assert NAMES["uids"]["1.2.840.10008.1.2.4.80"] == "JPEG-LS Lossless Image Compression"
