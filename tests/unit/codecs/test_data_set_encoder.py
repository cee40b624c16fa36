"""The encoder against the plain way, with a memo and without, in any pieces, on good and damaged data sets."""

from __future__ import annotations

from random import Random
from struct import pack

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.data_set_encoder import DataSetEncoder
from gateway.codecs.dicom_json import JSON
from gateway.codecs.dicom_xml import XML
from gateway.codecs.fragment_memo import Form, FragmentMemo
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.errors import DecodeError
from tests.support.data_sets import read_sample, sample_names
from tests.support.elements import element, encapsulated, sequence
from tests.support.encoding import encode, encode_plainly, make_uri
from tests.support.tokens import UNDEFINED, explicit, implicit, item, pieces_of

_FORMS = pytest.mark.parametrize("form", [JSON, XML])


def _cut(data: bytes, cuts: list[int]) -> list[memoryview]:
    bounds = [0, *sorted(cuts), len(data)]
    return [memoryview(data)[start:stop] for start, stop in zip(bounds, bounds[1:], strict=False)]


# --- every sample ---


@_FORMS
@pytest.mark.parametrize("name", sample_names(bare=True))
def test_every_sample(name: str, form: Form) -> None:
    sample = read_sample(name)
    data, syntax = sample.data_set, sample.transfer_syntax_uid
    random = Random(name)
    memo = FragmentMemo(form)
    expected = encode_plainly(data, syntax, form)
    assert encode([data], syntax, FragmentMemo(form, 0)) == expected
    for _ in range(3):
        assert encode([data], syntax, memo) == expected
    for _ in range(3):
        pieces = _cut(data, [random.randrange(len(data) + 1) for _ in range(12)])
        assert encode(pieces, syntax, memo) == expected


@pytest.mark.parametrize("form", [JSON, XML])
def test_samples_that_share_one_memo(form: Form) -> None:
    memo = FragmentMemo(form)
    for name in sample_names(bare=True):
        sample = read_sample(name)
        for limit, has_bulk in ((1024, True), (16, True), (1024, False)):
            options = {"inline_limit": limit, "has_bulk": has_bulk}
            expected = encode_plainly(sample.data_set, sample.transfer_syntax_uid, form, **options)  # type: ignore[arg-type]
            got = encode([sample.data_set], sample.transfer_syntax_uid, memo, **options)  # type: ignore[arg-type]
            assert got == expected, name


# --- a small data set of every form, in every cut ---


def _small(order: str = "<") -> bytes:
    inner = explicit(0x00081155, "UI", b"1.2\0", order=order)
    return b"".join(
        [
            explicit(0x00080005, "CS", b"ISO_IR 100", order=order),
            explicit(0x00080018, "UI", b"1.2.3\0", order=order),
            explicit(0x00081140, "SQ", item(inner, order=order) + item(order=order), order=order),
            explicit(0x00081199, "SQ", item(inner, order=order, undefined=True), order=order, length=UNDEFINED)
            + implicit(0xFFFEE0DD, order=order),
            explicit(0x00090010, "LO", b"ACUSON", order=order),
            explicit(0x00091000, "UN", b"\1\2", order=order),
            explicit(0x00100010, "PN", b"\xc4neas^B", order=order),
            explicit(0x00280010, "US", pack(order + "H", 512), order=order),
            explicit(0x00420011, "OB", bytes(40), order=order),
        ]
    )


def _small_implicit() -> bytes:
    return b"".join(
        [
            implicit(0x00080005, b"ISO_IR 100"),
            implicit(0x00080018, b"1.2.3\0"),
            implicit(0x00081140, item(implicit(0x00081155, b"1.2\0")) + item()),
            implicit(0x00090010, b"ACUSON"),
            implicit(0x00091000, b"12"),
            implicit(0x00100010, b"\xc4neas^B"),
            implicit(0x00280103, b"\1\0"),
            implicit(0x00280106, b"\xff\xff"),
            implicit(0x00420011, bytes(40)),
        ]
    )


_PIXELS = explicit(0x7FE00010, "OW", bytes(30)) + explicit(0xFFFCFFFC, "OB", b"\0\0")
_FRAGMENTS = encapsulated(0x7FE00010, bytes(5), bytes(20)) + explicit(0xFFFAFFFA, "SQ")
_SMALL = [
    (EXPLICIT_VR_LE, _small() + _PIXELS),
    (EXPLICIT_VR_LE, _small() + _FRAGMENTS),
    (EXPLICIT_VR_BE, _small(">")),
    (IMPLICIT_VR_LE, _small_implicit()),
]
_SMALL_DATA = pytest.mark.parametrize(("syntax", "data"), _SMALL)


@_FORMS
@_SMALL_DATA
def test_every_cut_in_two(syntax: str, data: bytes, form: Form) -> None:
    expected = encode_plainly(data, syntax, form, inline_limit=32)
    assert expected.error is None
    memo = FragmentMemo(form)
    for cut in range(len(data) + 1):
        assert encode(_cut(data, [cut]), syntax, memo, inline_limit=32) == expected
        assert encode(_cut(data, [cut]), syntax, FragmentMemo(form, 0), inline_limit=32) == expected


@_FORMS
@_SMALL_DATA
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_pieces_of_any_size(syntax: str, data: bytes, form: Form, size: int) -> None:
    memo = FragmentMemo(form)
    for _ in range(3):
        assert encode(pieces_of(data, size), syntax, memo) == encode_plainly(data, syntax, form)


@given(st.lists(st.lists(st.integers(0, len(_SMALL[0][1])), max_size=6), min_size=1, max_size=5))
def test_any_cuts_one_after_the_other(cuts: list[list[int]]) -> None:
    syntax, data = _SMALL[0]
    memo = FragmentMemo(JSON)
    assert {encode(_cut(data, cut), syntax, memo) for cut in cuts} == {encode_plainly(data, syntax)}


# --- damage ---


@_FORMS
@_SMALL_DATA
def test_damage_at_every_offset(syntax: str, data: bytes, form: Form) -> None:
    memo = FragmentMemo(form)
    for _ in range(3):
        encode([data], syntax, memo)
    for place in range(len(data)):
        for damaged in (data[:place], data[:place] + b"\xff" + data[place + 1 :], data[:place] + data[place + 1 :]):
            expected = encode_plainly(damaged, syntax, form)
            assert encode([damaged], syntax, memo) == expected
            assert encode([damaged], syntax, FragmentMemo(form, 0)) == expected
            assert encode(pieces_of(damaged, 5), syntax, memo) == expected


@given(st.lists(st.binary(max_size=120), min_size=1, max_size=4), st.sampled_from([EXPLICIT_VR_LE, IMPLICIT_VR_LE]))
def test_random_bytes(contents: list[bytes], syntax: str) -> None:
    memo = FragmentMemo(JSON)
    for data in contents * 2:
        assert encode([data], syntax, memo) == encode_plainly(data, syntax)


def test_items_before_the_damage_are_salvaged() -> None:
    opened = explicit(0x00081140, "SQ", length=UNDEFINED)
    one = item(explicit(0x00081155, "UI", b"1.2\0"))
    data = explicit(0x00080018, "UI", b"1.2\0") + opened + one + b"garbage that is no item"
    encoder = DataSetEncoder(EXPLICIT_VR_LE, FragmentMemo(JSON), bulkdata_uri=None)
    with pytest.raises(DecodeError):
        encoder.feed(data)
    assert not encoder.has_element(0x00081140)
    model = orjson.loads(encoder.salvage())
    assert model["00081140"]["Value"] == [{"00081155": {"vr": "UI", "Value": ["1.2"]}}]
    assert encoder.has_element(0x00080018)
    assert not encoder.has_element(0x00081155)


def test_elements_of_a_run_are_found() -> None:
    memo = FragmentMemo(JSON)
    data = element(0x00080016, "UI", b"1.2\0") + element(0x00080018, "UI", b"1.2\0")
    for _ in range(3):
        encoder = DataSetEncoder(EXPLICIT_VR_LE, memo, bulkdata_uri=None)
        encoder.feed(data)
        assert encoder.has_element(0x00080018)
        assert not encoder.has_element(0x00080060)
        encoder.finish()


# --- what the memo must not confuse ---


def test_character_sets_are_kept_apart() -> None:
    name = element(0x00100010, "PN", b"\xc4\xc9")
    memo = FragmentMemo(JSON)
    terms = [b"ISO_IR 100", b"ISO_IR 126", b"ISO_IR 144", b"ISO_IR 192", b""] * 3
    for term in terms:
        data = element(0x00080005, "CS", term) + name + sequence(0x00081115, name)
        assert encode([data], EXPLICIT_VR_LE, memo) == encode_plainly(data, EXPLICIT_VR_LE)
    for default in ("ISO_IR 100", "ISO_IR 126", "ISO_IR 100"):
        for data in (name, element(0x00080005, "CS", b"") + name):
            expected = encode_plainly(data, EXPLICIT_VR_LE, default_character_set=default)
            assert encode([data], EXPLICIT_VR_LE, memo, default_character_set=default) == expected


@_FORMS
def test_what_private_elements_depend_on_is_kept_apart(form: Form) -> None:
    memo = FragmentMemo(form)
    for creator in (b"ACUSON", b"PAPYRUS ", b"nobody", b"ACUSON"):
        for signed in (b"\0\0", b"\1\0"):
            data = b"".join(
                [
                    implicit(0x00090010, creator),
                    implicit(0x00091000, b"12"),
                    implicit(0x00091001, b"12"),
                    implicit(0x00280103, signed),
                    implicit(0x00280106, b"\xff\xff"),
                    implicit(0x00409096, item(implicit(0x00409211, b"\xff\xff"))),
                ]
            )
            for _ in range(2):
                assert encode([data], IMPLICIT_VR_LE, memo) == encode_plainly(data, IMPLICIT_VR_LE, form)


@_FORMS
def test_creators_after_their_elements_count_too(form: Form) -> None:
    private = element(0x00091001, "UN", b"\1\2") + sequence(0x00091002, element(0x00091001, "UN", b"\1\2"))
    memo = FragmentMemo(form)
    for names in ([b"A&B "], [b"A ", b"B "], [b""], [b"x" * 66, b"C "], [b"C ", b"x" * 66]):
        data = private + b"".join(element(0x00090010, "LO", name) for name in names)
        for _ in range(2):
            assert encode([data], EXPLICIT_VR_LE, memo) == encode_plainly(data, EXPLICIT_VR_LE, form)


@_FORMS
@given(st.lists(st.sampled_from(range(12)), max_size=12))
def test_elements_in_any_order(form: Form, order: list[int]) -> None:
    tags = [0x00080000, 0x00080005, 0x00080018, 0x00080060, 0x00090010, 0x00091001, 0x00100010, 0x00020010]
    elements = [element(tag, "LO" if tag & 0x10000 else "SH", b"v%d" % (tag & 7)) for tag in tags]
    elements += [element(0x00080060, "CS", b"MR"), sequence(0x00081140, elements[3], elements[2])]
    elements += [element(0x00420011, "OB", bytes(40)), element(0x00189087, "FD", pack("<d", float("nan")))]
    data = b"".join(elements[number] for number in order)
    memo = FragmentMemo(form)
    for _ in range(3):
        got = encode([data], EXPLICIT_VR_LE, memo, inline_limit=32)
        assert got == encode_plainly(data, EXPLICIT_VR_LE, form, inline_limit=32)


_VALUES = st.sampled_from([b"", b"1 ", b"2 ", b"11", b"12", b"1234", b"\xc4\xd6"])


@_FORMS
@given(st.lists(st.tuples(*[_VALUES] * 6), min_size=2, max_size=6))
def test_instances_that_differ_here_and_there(form: Form, instances: list[tuple[bytes, ...]]) -> None:
    memo = FragmentMemo(form)
    for one, two, three, four, five, six in [*instances, *instances]:
        code = sequence(0x00081140, element(0x00080100, "SH", four) + element(0x00080104, "LO", five))
        data = b"".join(
            [
                element(0x00080005, "CS", b"ISO_IR 100"),
                element(0x00080016, "UI", b"1.2\0"),
                element(0x00080018, "UI", one),
                element(0x00080060, "CS", b"CT"),
                code,
                element(0x00090010, "LO", two),
                element(0x00091010, "LO", three),
                element(0x00100010, "PN", six),
                element(0x00100020, "LO", one),
                element(0x00200013, "IS", three),
                element(0x7FE00010, "OW", bytes(8)),
            ]
        )
        assert encode([data], EXPLICIT_VR_LE, memo) == encode_plainly(data, EXPLICIT_VR_LE, form)


def test_depth_is_limited_with_a_memo_as_without() -> None:
    def nest(depth: int) -> bytes:
        data = element(0x00080060, "CS", b"CT")
        for _ in range(depth):
            data = sequence(0x00081140, data)
        return data

    memo = FragmentMemo(JSON)
    for depth in (30, 60, 64, 65, 64, 65, 80):
        data = nest(depth)
        expected = encode_plainly(data, EXPLICIT_VR_LE)
        assert encode([data], EXPLICIT_VR_LE, memo) == expected
        assert (expected.error is None) == (depth <= 64)


# --- limits ---


def test_a_hostile_memo_stays_within_its_limit() -> None:
    limit = 100_000
    memo = FragmentMemo(JSON, limit)
    for instance in range(20):
        elements = [element(0x00100000 + number, "LO", b"%8d" % (instance * 1000 + number)) for number in range(1, 500)]
        creators = [element(0x00190010 + number % 0xE0, "LO", b"%8d" % number) for number in range(200)]
        sets = [element(0x00080005, "CS", b"\\" * number) for number in range(100)]
        data = b"".join(elements + creators + sets)
        assert encode([data], EXPLICIT_VR_LE, memo) == encode_plainly(data, EXPLICIT_VR_LE)
        assert memo.size <= limit


def test_more_creators_than_are_remembered() -> None:
    creators = b"".join(
        element((group << 16) + number, "LO", b"C%d " % number)
        for group in range(0x0009, 0x0013, 2)
        for number in range(0x10, 0x100)
    )
    document = encode([creators], EXPLICIT_VR_LE, FragmentMemo(XML)).document
    assert document.count(b"<DicomAttribute") == 5 * 240 - 1024


def test_dropped_values_take_no_memory_and_can_be_skipped() -> None:
    expected = {"7FE00010": {"vr": "OW", "BulkDataURI": make_uri("7FE00010")}, "FFFAFFFA": {"vr": "SQ"}}
    encoder = DataSetEncoder(EXPLICIT_VR_LE, FragmentMemo(JSON), bulkdata_uri=make_uri)
    encoder.feed(explicit(0x7FE00010, "OW", bytes(10), length=1 << 31))
    chunk = bytes(1 << 20)
    for _ in range(1024):
        encoder.feed(chunk)
    assert encoder.skippable == (1 << 30) - 10
    encoder.skip(1000)
    encoder.skip(encoder.skippable)
    assert encoder.skippable == 0
    encoder.feed(explicit(0xFFFAFFFA, "SQ"))
    assert orjson.loads(encoder.finish()) == expected


def test_fragments_are_skipped_one_by_one() -> None:
    data = encapsulated(0x7FE00010, bytes(100), bytes(200)) + explicit(0xFFFAFFFA, "SQ")
    encoder = DataSetEncoder(EXPLICIT_VR_LE, FragmentMemo(JSON), bulkdata_uri=make_uri)
    position, skipped = 0, []
    while position < len(data):
        if count := encoder.skippable:
            encoder.skip(count)
            skipped.append(count)
            position += count
        else:
            encoder.feed(data[position : position + 1])
            position += 1
    assert skipped == [100, 200]
    assert encoder.finish() == encode_plainly(data, EXPLICIT_VR_LE).document


def test_a_deflated_data_set_cannot_be_skipped() -> None:
    encoder = DataSetEncoder(DEFLATED, FragmentMemo(JSON), bulkdata_uri=make_uri)
    encoder.feed(b"\x63\x00")
    assert encoder.skippable == 0
