"""Entity tags, and when a client that names one gets 304 (RFC 9110 §13.1.2)."""

from __future__ import annotations

import itertools

import pytest
from aiohttp import hdrs
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.conditional import answer_unchanged, is_unchanged, make_entity_tag, name_representation

TAG = make_entity_tag("generation", "/path")
STRONG = TAG.removeprefix("W/")


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (TAG, True),
        (STRONG, True),  # weak comparison
        (f'"other", {TAG}', True),
        (f'W/"other" ,, {STRONG},', True),
        (f'"with,comma",{TAG}', True),
        ('"other"', False),
        (f'"a{STRONG[1:]}', False),
        ("", False),
        (STRONG.strip('"'), False),
        (f"{TAG} {TAG}", False),
        (f"w/{STRONG}", False),
        (f'{TAG}, "unclosed', False),
        ("*, *", False),
    ],
)
def test_lists(sent: str, expected: bool) -> None:
    for exists in (False, True):
        request = make_mocked_request("GET", "/", {hdrs.IF_NONE_MATCH: sent})
        assert is_unchanged(request, TAG, exists=exists) is expected


def test_several_lines_are_one_list() -> None:
    headers = [(hdrs.IF_NONE_MATCH, '"other"'), (hdrs.IF_NONE_MATCH, TAG)]
    assert is_unchanged(make_mocked_request("GET", "/", headers), TAG, exists=True)  # type: ignore[arg-type]


def test_any_means_what_is_known_to_exist() -> None:
    request = make_mocked_request("GET", "/", {hdrs.IF_NONE_MATCH: "*"})
    assert is_unchanged(request, TAG, exists=True) and not is_unchanged(request, TAG, exists=False)


@pytest.mark.parametrize(("method", "expected"), [("GET", True), ("HEAD", True), ("POST", False)])
def test_methods(method: str, expected: bool) -> None:
    request = make_mocked_request(method, "/", {hdrs.IF_NONE_MATCH: TAG})
    assert is_unchanged(request, TAG, exists=True) is expected


def test_without_the_header() -> None:
    assert not is_unchanged(make_mocked_request("GET", "/"), TAG, exists=True)


@given(st.text())
def test_garbage_is_no_match_and_no_error(sent: str) -> None:
    request = make_mocked_request("GET", "/", {hdrs.IF_NONE_MATCH: sent})
    is_unchanged(request, '"x"', exists=False)


def test_tags_tell_parts_apart() -> None:
    parts = [(), ("",), ("a",), ("a", ""), ("", "a"), ("a", "b"), ("ab",), ("a\nb",), ("\udcff",)]
    tags = [make_entity_tag(*each) for each in parts]
    assert len(set(tags)) == len(parts) and tags == [make_entity_tag(*each) for each in parts]


def test_representations_tell_apart_what_decides_the_form() -> None:
    requests = [
        make_mocked_request("GET", target, {hdrs.ACCEPT: accept})
        for target, accept in itertools.product(("/a", "/b", "/a?accept=x"), ("*/*", "text/html"))
    ]
    named = [name_representation(request, url) for request in requests for url in ("http://a", "http://b")]
    assert len(set(named)) == 12


def test_304_has_what_a_304_has() -> None:
    sent = {"ETag": TAG, "Cache-Control": "private", "Content-Type": "text/plain", "Warning": "299 - x"}
    response = answer_unchanged(sent)
    assert response.status == 304 and response.body is None
    assert dict(response.headers) == {"ETag": TAG, "Cache-Control": "private"}
