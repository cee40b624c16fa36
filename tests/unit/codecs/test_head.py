"""Reading the UIDs of an instance that comes in."""

from __future__ import annotations

import zlib

import pydicom
import pytest
from pydicom.datadict import dictionary_description

from gateway.codecs.head import HeadReader, InstanceHead
from gateway.codecs.part10 import encode_file_meta
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.errors import DecodeError
from tests.support.samples import sample_files
from tests.support.tokens import explicit, explicit_header, implicit, item, pieces_of

CT = "1.2.840.10008.5.1.4.1.1.2"
UIDS = {0x00080016: CT, 0x00080018: "1.2.3.1", 0x0020000D: "1.2.3.2", 0x0020000E: "1.2.3.3"}
TAIL = explicit(0x00280010, "US", b"\1\0") + explicit(0x7FE00010, "OW", bytes(100))


def uid_element(tag: int, uid: str | None = None) -> bytes:
    raw = (UIDS[tag] if uid is None else uid).encode()
    return explicit(tag, "UI", raw + b"\0" * (len(raw) % 2))


def data_set_without(*left_out: int, **replaced: str) -> bytes:
    nested = explicit(0x00081140, "SQ", item(uid_element(0x00080018, "1.2.9"), uid_element(0x0020000E, "1.2.9")))
    elements = {tag: uid_element(tag) for tag in UIDS} | {
        0x00081140: nested,
        0x00091010: explicit(0x00091010, "OB", bytes(300)),
        0x0020000A: explicit(0x0020000A, "SQ", length=0xFFFFFFFF) + implicit(0xFFFEE0DD),
    }
    return b"".join(elements[tag] for tag in sorted(elements) if tag not in left_out)


def head_of(syntax: str) -> bytes:
    return encode_file_meta("1.1", "1.2", syntax)


def read(data: bytes, size: int = 1 << 20, limit: int = 1 << 16) -> tuple[InstanceHead, bytes]:
    """The head, and the bytes of the data set forwarded: those in the head and those after it."""
    reader, fed = HeadReader(limit), 0
    for piece in pieces_of(data, size):
        fed += len(piece)
        if (head := reader.feed(piece)) is not None:
            reader.finish()
            return head, b"".join(head.data_set) + data[fed:]
    reader.finish()
    raise AssertionError("finish raises where nothing was found")


@pytest.mark.parametrize("size", [1, 13, 400, 1 << 20])
def test_uids_of_the_data_set_itself_are_found_and_every_byte_is_forwarded(size: int) -> None:
    data = data_set_without() + TAIL
    head, forwarded = read(head_of(EXPLICIT_VR_LE) + data, size)
    assert (head.sop_class_uid, head.sop_instance_uid) == (CT, "1.2.3.1")
    assert (head.study_uid, head.series_uid) == ("1.2.3.2", "1.2.3.3")
    assert head.transfer_syntax_uid == EXPLICIT_VR_LE
    assert forwarded == data


def test_implicit_and_big_endian() -> None:
    in_implicit = b"".join(implicit(tag, uid.encode()) for tag, uid in UIDS.items())
    assert read(head_of(IMPLICIT_VR_LE) + in_implicit)[0].series_uid == "1.2.3.3"
    in_big_endian = b"".join(explicit(tag, "UI", uid.encode(), order=">") for tag, uid in UIDS.items())
    assert read(head_of(EXPLICIT_VR_BE) + in_big_endian)[0].series_uid == "1.2.3.3"


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_deflated_data_is_forwarded_as_it_is(size: int) -> None:
    deflated = zlib.compress(data_set_without() + TAIL, wbits=-15)
    head, forwarded = read(head_of(DEFLATED) + deflated, size)
    assert (head.study_uid, head.transfer_syntax_uid) == ("1.2.3.2", DEFLATED)
    assert forwarded == deflated


@pytest.mark.parametrize("tag", UIDS)
def test_a_missing_uid_is_named(tag: int) -> None:
    with pytest.raises(DecodeError, match=dictionary_description(tag)):
        read(head_of(EXPLICIT_VR_LE) + data_set_without(tag) + TAIL)


@pytest.mark.parametrize("uid", ["", "not.a.uid", "1." * 40 + "1", "1." * 80 + "1"])
def test_a_malformed_uid_is_refused(uid: str) -> None:
    data = uid_element(0x00080016) + uid_element(0x00080018, uid)
    with pytest.raises(DecodeError, match="SOP Instance UID is empty or malformed"):
        read(head_of(EXPLICIT_VR_LE) + data)


def test_pixel_data_in_fragments_before_the_uids_is_beyond_them() -> None:
    pixel_data = explicit(0x7FE00010, "OB", length=0xFFFFFFFF)
    with pytest.raises(DecodeError, match="data set without SOP Class UID"):
        read(head_of("1.2.840.10008.1.2.5") + pixel_data)


def test_the_transfer_syntax_of_the_file_wins_over_that_of_the_part() -> None:
    nameless = bytes(128) + b"DICM" + explicit(0x00020002, "UI", b"1.1\0")
    data = data_set_without() + TAIL
    with pytest.raises(DecodeError, match="names no transfer syntax"):
        read(nameless + data)
    by_part = HeadReader(1 << 16, default_transfer_syntax_uid=EXPLICIT_VR_LE).feed(nameless + data)
    assert by_part is not None and by_part.transfer_syntax_uid == EXPLICIT_VR_LE
    by_file = HeadReader(1 << 16, default_transfer_syntax_uid=DEFLATED).feed(head_of(EXPLICIT_VR_LE) + data)
    assert by_file is not None and by_file.transfer_syntax_uid == EXPLICIT_VR_LE


def test_a_head_over_the_limit_is_refused() -> None:
    blob = explicit_header(0x00091010, "OB", 1 << 20) + bytes(1 << 20)
    with pytest.raises(DecodeError, match="too late"):
        read(head_of(EXPLICIT_VR_LE) + blob, 1000, 5000)
    bomb = zlib.compress(blob * 4, wbits=-15)
    with pytest.raises(DecodeError, match="too late") as raised:
        read(head_of(DEFLATED) + bomb, limit=10_000)
    assert raised.value.offset <= 65536


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_what_comes_after_the_uids_is_not_looked_at(size: int) -> None:
    data = data_set_without() + explicit(0x00280010, "OB", bytes(300)) + implicit(0xFFFEE000) + b"damaged" * 100
    head, forwarded = read(head_of(EXPLICIT_VR_LE) + data, size)
    assert head.series_uid == "1.2.3.3" and forwarded == data


def follow_whole(data: bytes, size: int, syntax: str = EXPLICIT_VR_LE) -> None:
    """Read `data` after File Meta Information, and look whether it came whole."""
    reader, head = HeadReader(1 << 16), None
    for piece in pieces_of(head_of(syntax) + data, size):
        if head is None:
            head = reader.feed(piece)
        else:
            reader.follow(piece)
    assert head is not None
    reader.check_complete()


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
@pytest.mark.parametrize("missing", [1, 2, 99, 100, 101, 110])
def test_a_data_set_that_ends_too_early_is_noticed(size: int, missing: int) -> None:
    data = data_set_without() + TAIL
    follow_whole(data, size)
    follow_whole(zlib.compress(data, wbits=-15), size, DEFLATED)
    with pytest.raises(DecodeError):
        follow_whole(data[:-missing], size)
    with pytest.raises(DecodeError):
        follow_whole(zlib.compress(data[:-missing], wbits=-15), size, DEFLATED)


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_where_structure_is_odd_nothing_is_said_of_the_end(size: int) -> None:
    follow_whole(data_set_without() + explicit(0x00280010, "OB", bytes(300)) + implicit(0xFFFEE000, b"1234"), size)


def test_a_file_that_ends_in_its_head_is_refused() -> None:
    data = head_of(EXPLICIT_VR_LE) + data_set_without(0x0020000E)
    for length in (0, 3, 131, 200, len(data)):
        with pytest.raises(DecodeError, match="file ends before its UIDs"):
            read(data[:length])


def test_samples_agree_with_pydicom_or_lack_a_uid() -> None:
    found = 0
    for path in sample_files():
        raw = path.read_bytes()
        try:
            head, forwarded = read(raw, 4096, 1 << 21)
        except DecodeError:
            continue
        if path.name == "emri_small_jpeg_2k_lossless_too_short.dcm":
            continue  # pydicom gives up the whole data set
        expected = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        found += 1
        assert head.sop_class_uid == expected.SOPClassUID
        assert head.sop_instance_uid == expected.SOPInstanceUID
        assert head.study_uid == expected.StudyInstanceUID
        assert head.series_uid == expected.SeriesInstanceUID
        assert raw.endswith(forwarded)
    assert found > 50
