"""The table of transfer syntaxes, against PS3.18 and pydicom's registry."""

from __future__ import annotations

import pytest
from pydicom.uid import UID

from gateway.codecs.transfer_syntax import (
    COMPRESSED,
    DEFLATED,
    EXPLICIT_VR_BE,
    EXPLICIT_VR_LE,
    IMPLICIT_VR_LE,
    TRANSFER_SYNTAXES,
    UNCOMPRESSED,
    get_transfer_syntax,
)

ROOT = "1.2.840.10008.1.2."

# PS3.18 Table 8.7.3-5
MEDIA_TYPES = {
    "image/jpeg": ["4.50", "4.51", "4.57", "4.70"],
    "image/dicom-rle": ["5"],
    "image/jls": ["4.80", "4.81"],
    "image/jp2": ["4.90", "4.91"],
    "image/jpx": ["4.92", "4.93"],
    "image/jphc": ["4.201", "4.202", "4.203"],
    "image/jxl": ["4.110", "4.111", "4.112"],
    "video/mpeg": ["4.100", "4.100.1", "4.101", "4.101.1"],
    "video/mp4": [f"4.10{n}{fragmentable}" for n in range(2, 7) for fragmentable in ("", ".1")],
    "video/H265": ["4.107", "4.108"],
}


@pytest.mark.parametrize("uid", TRANSFER_SYNTAXES)
def test_facts_agree_with_pydicom(uid: str) -> None:
    syntax, known = TRANSFER_SYNTAXES[uid], UID(uid)
    assert syntax.uid == uid and syntax.name
    if known.is_transfer_syntax and known.name != uid:
        assert syntax.explicit_vr is not known.is_implicit_VR
        assert syntax.little_endian is known.is_little_endian
        if "JPIP" not in known.name:
            assert syntax.deflated is known.is_deflated
            assert syntax.encapsulated is known.is_encapsulated
            assert syntax.video is any(name in known.name for name in ("MPEG2", "MPEG-4", "HEVC"))


def test_media_types_are_those_of_the_bulk_data_table() -> None:
    by_media_type: dict[str, list[str]] = {}
    for syntax in TRANSFER_SYNTAXES.values():
        if syntax.media_type is not None:
            by_media_type.setdefault(syntax.media_type, []).append(syntax.uid.removeprefix(ROOT))
    assert {name: sorted(uids) for name, uids in by_media_type.items()} == {
        name: sorted(uids) for name, uids in MEDIA_TYPES.items()
    }


def test_lists_are_in_order_and_complete() -> None:
    assert UNCOMPRESSED == (EXPLICIT_VR_LE, IMPLICIT_VR_LE, EXPLICIT_VR_BE, DEFLATED)
    assert all(TRANSFER_SYNTAXES[uid].is_uncompressed for uid in UNCOMPRESSED)
    assert all(TRANSFER_SYNTAXES[uid].encapsulated for uid in COMPRESSED)
    assert not any(TRANSFER_SYNTAXES[uid].is_uncompressed for uid in COMPRESSED)
    assert len(set(COMPRESSED)) == len(COMPRESSED) == 35
    listed = {ROOT + uid for uids in MEDIA_TYPES.values() for uid in uids}
    assert set(COMPRESSED) - listed == {ROOT + "8.1", ROOT + "1.98"}


@pytest.mark.parametrize(
    ("suffix", "lossy", "fragmentable"),
    [
        ("4.50", True, True),
        ("4.70", False, True),
        ("5", False, False),
        ("4.102", True, False),
        ("4.102.1", True, True),
        ("8.1", False, False),
    ],
)
def test_loss_and_fragments(suffix: str, lossy: bool, fragmentable: bool) -> None:
    syntax = get_transfer_syntax(ROOT + suffix)
    assert (syntax.lossy, syntax.fragmentable) == (lossy, fragmentable)


def test_padding_is_ignored_and_an_unknown_uid_is_encapsulated_explicit_little_endian() -> None:
    assert get_transfer_syntax(EXPLICIT_VR_LE + "\0") is TRANSFER_SYNTAXES[EXPLICIT_VR_LE]
    unknown = get_transfer_syntax("1.2.3 ")
    assert (unknown.uid, unknown.name, unknown.media_type) == ("1.2.3", "1.2.3", None)
    assert unknown.explicit_vr and unknown.little_endian and unknown.encapsulated and not unknown.deflated
