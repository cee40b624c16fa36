"""What the Retrieve handlers share; the answers as a whole are in test_retrieve.py and test_retrieve_bulk.py."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.errors import BadParameter
from gateway.resources import ResourcePath
from gateway.web.retrieve_answers import Validity, judge_validity, read_accept, read_path


def test_the_path_of_a_request() -> None:
    request = make_mocked_request("GET", "/", match_info={"study": "1.2", "series": "1.3"})
    assert read_path(request) == ResourcePath("1.2", "1.3")
    with pytest.raises(BadParameter):
        read_path(make_mocked_request("GET", "/", match_info={"study": "x"}))


def test_what_a_request_accepts() -> None:
    request = make_mocked_request("GET", "/?accept=a%2Bb/c", headers={"Accept": "*/*"})
    assert read_accept(request) == ("*/*", "a+b/c")
    assert read_accept(make_mocked_request("GET", "/")) == (None, None)


def test_validity_needs_a_generation() -> None:
    request = make_mocked_request("GET", "/x")
    assert judge_validity(request, None, "private", "form", exists=True) == Validity()
    first = judge_validity(request, "g", "private", "form", exists=True)
    assert first.headers["Cache-Control"] == "private" and not first.is_unchanged
    known = make_mocked_request("GET", "/x", headers={"If-None-Match": first.headers["ETag"]})
    assert judge_validity(known, "g", "private", "form", exists=True).is_unchanged
    assert not judge_validity(known, "h", "private", "form", exists=True).is_unchanged
