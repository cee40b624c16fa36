"""Media types and Accept lists as clients really write them (PS3.18 §8.7, RFC 9110 §12.5.1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.media_types import (
    MediaRange,
    MediaType,
    format_media_type,
    is_valid_boundary,
    parse_accept,
    parse_media_type,
)
from gateway.errors import DecodeError

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


@pytest.mark.parametrize(
    "text",
    [
        f'multipart/related; type="image/jpeg"; transfer-syntax={JPEG_BASELINE}',
        f"multipart/related;type=image/jpeg;transfer-syntax={JPEG_BASELINE}",
        f'Multipart/Related ; TYPE="image/JPEG" ; Transfer-Syntax="{JPEG_BASELINE}"',
        f'multipart/related; type="image/jpeg; transfer-syntax={JPEG_BASELINE}"',
        f'multipart/related; transfer-syntax={JPEG_BASELINE}; type="image/jpeg"',
    ],
)
def test_a_multipart_says_the_same_in_every_spelling(text: str) -> None:
    media_type = parse_media_type(text)
    assert media_type.essence == "multipart/related"
    assert media_type.is_multipart
    assert media_type.part_type == "image/jpeg"
    assert media_type.transfer_syntax == JPEG_BASELINE


def test_a_transfer_syntax_beside_the_type_outranks_one_inside_it() -> None:
    media_type = parse_media_type('multipart/related; type="image/jls; transfer-syntax=1.2"; transfer-syntax=*')
    assert media_type.transfer_syntax == "*"


def test_quoted_values_keep_separators_and_escapes() -> None:
    media_type = parse_media_type(r'application/dicom; note="a;b,\"c\""; charset=UTF-8')
    assert media_type.parameter("note") == 'a;b,"c"'
    assert media_type.parameter("charset") == "UTF-8"
    assert media_type.parameter("absent") is None


@pytest.mark.parametrize(("alias", "name"), [("image/x-jls", "image/jls"), ("image/x-dicom-rle", "image/dicom-rle")])
def test_legacy_names_mean_the_present_ones(alias: str, name: str) -> None:
    assert parse_media_type(alias).essence == name
    assert parse_media_type(f"multipart/related; type={alias}").part_type == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "application",
        "application/",
        "/dicom",
        "a b/c",
        "*/dicom",
        "application/dicom; x",
        'a/b; c="d',
        "a/b; =c",
    ],
)
def test_what_is_no_media_type_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        parse_media_type(text)


def test_an_accept_list_keeps_its_order_and_weights() -> None:
    ranges = parse_accept('application/dicom+json;q=0.1, multipart/related;type="application/dicom+xml";Q=0.9, */*;q=0')
    assert [(item.media_type.essence, item.q) for item in ranges] == [
        ("application/dicom+json", 0.1),
        ("multipart/related", 0.9),
        ("*/*", 0.0),
    ]


def test_members_that_break_the_grammar_are_left_out() -> None:
    ranges = parse_accept("nonsense, , application/dicom+json, */json, image/;q=1")
    assert ranges == (MediaRange(MediaType("application/dicom+json")),)


@pytest.mark.parametrize("weight", ["2", "-1", "high", "1.5", ""])
def test_a_weight_that_is_none_counts_as_absent(weight: str) -> None:
    assert parse_accept(f"image/jpeg;q={weight}")[0].q == 1.0


def test_parameters_after_the_weight_are_dropped() -> None:
    assert parse_accept("image/jpeg;charset=x;q=0.5;level=1")[0].media_type.parameters == (("charset", "x"),)


def test_more_specific_ranges_sort_higher() -> None:
    texts = [
        "*/*",
        "image/*",
        "image/jpeg",
        f"image/jpeg; transfer-syntax={JPEG_BASELINE}",
    ]
    keys = [parse_accept(text)[0].specificity for text in texts]
    assert keys == sorted(set(keys))
    parts = [
        'multipart/related; type="*/*"',
        'multipart/related; type="image/*"',
        "multipart/related; type=image/jpeg",
    ]
    keys = [parse_accept(text)[0].specificity for text in parts]
    assert keys == sorted(set(keys))


@pytest.mark.parametrize(
    ("text", "essence", "multipart", "covered"),
    [
        ("*/*", "image/jpeg", True, True),
        ("*/*", "image/jpeg", False, True),
        ("image/*", "image/jpeg", False, True),
        ("image/*", "image/jpeg", True, False),
        ("image/*", "application/dicom", False, False),
        ("image/jpeg", "image/jpeg", False, True),
        ("image/jpeg", "image/jpeg", True, False),
        ("multipart/related", "image/jpeg", True, True),
        ("multipart/*", "image/jpeg", True, True),
        ("multipart/form-data", "image/jpeg", True, False),
        ("multipart/related; type=image/jpeg", "image/jpeg", True, True),
        ("multipart/related; type=image/jpeg", "image/jpeg", False, False),
        ('multipart/related; type="image/*"', "image/jpeg", True, True),
        ('multipart/related; type="*/*"', "image/jpeg", True, True),
        ('multipart/related; type="image/*"', "application/octet-stream", True, False),
        ("multipart/related; type=image/jp", "image/jpeg", True, False),
    ],
)
def test_what_a_range_covers(text: str, essence: str, multipart: bool, covered: bool) -> None:
    assert parse_accept(text)[0].covers(essence, multipart=multipart) is covered


@pytest.mark.parametrize(
    ("text", "wild"),
    [
        ("*/*", True),
        ("image/*", True),
        ('multipart/related; type="*/*"', True),
        ("multipart/related", True),
        ("image/jpeg", False),
    ],
)
def test_wildcards_are_told_apart(text: str, wild: bool) -> None:
    assert parse_media_type(text).has_wildcard is wild


def test_writing_quotes_what_is_no_token() -> None:
    text = format_media_type("multipart/related", (("type", "application/dicom"), ("boundary", "abc")))
    assert text == 'multipart/related; type="application/dicom"; boundary=abc'
    assert format_media_type("application/dicom") == "application/dicom"


@given(st.dictionaries(st.sampled_from(["a", "charset", "note"]), st.text(st.characters(codec="ascii"), max_size=20)))
def test_what_is_written_reads_back(parameters: dict[str, str]) -> None:
    printable = {name: value for name, value in parameters.items() if value.isprintable()}
    read = parse_media_type(format_media_type("application/dicom", printable.items()))
    assert dict(read.parameters) == printable


@given(st.text(max_size=80))
def test_garbage_gives_one_kind_of_error(text: str) -> None:
    parse_accept(text)
    try:
        parse_media_type(text)
    except DecodeError:
        return


@pytest.mark.parametrize(
    ("boundary", "valid"),
    [
        ("abc", True),
        ("a" * 70, True),
        ("a" * 71, False),
        ("", False),
        ("a b", True),
        ("a ", False),
        ("a;b", False),
    ],
)
def test_boundary_rules(boundary: str, valid: bool) -> None:
    assert is_valid_boundary(boundary) is valid
