"""Readers that look at little, beside one that looks at all: the same elements, places and ends."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.codecs.element_headers import find_element_end, read_header, read_tag
from gateway.codecs.head import HeadReader
from gateway.codecs.levels import UNBOUNDED, Kind, Level
from gateway.codecs.part10 import encode_file_meta
from gateway.codecs.tokens import Tokenizer
from gateway.codecs.transfer_syntax import EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.errors import DecodeError

SYNTAXES = {EXPLICIT_VR_LE: (True, True), EXPLICIT_VR_BE: (True, False), IMPLICIT_VR_LE: (False, True)}
"""Whether VRs are written, and whether the order is little endian."""

UIDS = {0x00080016: "1.1", 0x00080018: "1.2", 0x0020000D: "1.3", 0x0020000E: "1.4"}

VALUES = st.one_of(
    st.tuples(st.just(0x00080060), st.just("CS"), st.text("AB1_", max_size=16)),
    st.tuples(st.just(0x00100020), st.just("LO"), st.text("ab1.", max_size=64)),
    st.tuples(st.sampled_from([0x00280010, 0x00280011]), st.just("US"), st.integers(0, 65_535)),
    st.tuples(st.just(0x00420011), st.just("OB"), st.binary(max_size=20).map(lambda half: half * 2)),
    st.tuples(st.just(0x7FE00010), st.just("OW"), st.binary(max_size=20).map(lambda half: half * 2)),
    st.tuples(st.just(0x00189087), st.just("FD"), st.floats(allow_nan=False)),
    st.tuples(st.just(0x00081140), st.just("SQ"), st.lists(st.sampled_from(["1.5", "1.6"]), max_size=3)),
    st.tuples(st.just(0x00204000), st.just("LT"), st.text("xyz", max_size=300)),
)
CONTENTS = st.lists(VALUES, max_size=8)


def build(contents: list[tuple[int, str, Any]], *, undefined: bool) -> Dataset:
    """A data set with the UIDs of an instance and `contents`; sequences with delimiters where `undefined`."""
    data_set = Dataset()
    for tag, uid in UIDS.items():
        data_set.add_new(tag, "UI", uid)
    for tag, vr, value in contents:
        if vr == "SQ":
            value = [_refer_to(uid, undefined) for uid in value]
        data_set.add_new(tag, vr, value)
        data_set[tag].is_undefined_length = vr == "SQ" and undefined
    return data_set


def _refer_to(uid: str, undefined: bool) -> Dataset:
    item = Dataset()
    item.ReferencedSOPInstanceUID = uid
    item.is_undefined_length_sequence_item = undefined
    return item


def encode(data_set: Dataset, syntax: str) -> bytes:
    """As pydicom writes it."""
    explicit, little = SYNTAXES[syntax]
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = not explicit, little
    write_dataset(file, data_set)
    return file.getvalue()


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(CONTENTS)
def test_elements_begin_and_end_where_pydicom_wrote_them(syntax: str, contents: list[tuple[int, str, Any]]) -> None:
    explicit, little = SYNTAXES[syntax]
    data_set = build(contents, undefined=False)
    data, position = encode(data_set, syntax), 0
    level = Level(Kind.DATA_SET, UNBOUNDED, explicit=explicit, little=little)
    for element in data_set:
        alone = Dataset()
        alone.add(element)
        length = len(encode(alone, syntax))
        tag = read_tag(data, position, little=little)
        header = read_header(tag, data, position, level)
        assert header is not None
        assert (header.tag, header.vr) == (element.tag, element.VR)
        assert header.start + header.length == position + length
        assert find_element_end(data, position, explicit=explicit, little=little) == position + length
        position += length
    assert position == len(data)


def tell_by_tokens(data: bytes, syntax: str) -> bool:
    """Whether a data set may end where `data` does, by the reader that looks at everything."""
    tokenizer = Tokenizer(syntax, gather_limit=64)
    try:
        for _ in tokenizer.feed(data):
            pass
        for _ in tokenizer.finish():
            pass
    except DecodeError:
        return False
    return True


@pytest.mark.parametrize("syntax", SYNTAXES)
@given(CONTENTS, st.booleans(), st.floats(0, 1), st.lists(st.integers(0, 2_000), max_size=6))
def test_heads_and_ends_are_those_that_the_plain_reader_finds(
    syntax: str, contents: list[tuple[int, str, Any]], undefined: bool, share: float, cuts: list[int]
) -> None:
    """UIDs, every byte of the data set, and whether it is cut off, in any pieces."""
    data_set = build(contents, undefined=undefined)
    whole = encode(data_set, syntax)
    data = whole[: round(share * len(whole))]
    file = encode_file_meta("1.1", "1.2", syntax) + data
    bounds = sorted({0, len(file)} | {cut for cut in cuts if cut < len(file)})
    reader, head, forwarded = HeadReader(1 << 20), None, list[bytes]()
    for start, stop in itertools.pairwise(bounds):
        if head is not None:
            reader.follow(file[start:stop])
            forwarded.append(file[start:stop])
        elif (head := reader.feed(file[start:stop])) is not None:
            forwarded += map(bytes, head.data_set)
    if head is None:
        with pytest.raises(DecodeError):
            reader.finish()
        return
    found = (head.sop_class_uid, head.sop_instance_uid, head.study_uid, head.series_uid)
    assert found == tuple(UIDS.values())
    assert b"".join(forwarded) == data
    try:
        reader.check_complete()
    except DecodeError:
        assert not tell_by_tokens(data, syntax)
    else:
        assert tell_by_tokens(data, syntax)
        tags = list(dcmread(DicomBytesIO(file), force=True).keys())
        assert tags == sorted(data_set.keys())[: len(tags)]
