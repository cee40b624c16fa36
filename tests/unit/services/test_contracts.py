"""What the web ring hands to the services."""

from __future__ import annotations

import pytest

from gateway.errors import BadParameter
from gateway.resources import Level
from gateway.services.contracts import SearchRequest


@pytest.mark.parametrize(
    ("study", "series", "name"), [("x", None, "study"), ("1.2", "1..3", "series"), ("", None, "study")]
)
def test_a_search_request_refuses_what_is_no_uid(study: str, series: str | None, name: str) -> None:
    with pytest.raises(BadParameter) as caught:
        SearchRequest(Level.SERIES, "", "http://h", study, series)
    assert caught.value.name == name


def test_a_search_request_needs_no_uid() -> None:
    assert SearchRequest(Level.STUDY, "limit=1", "http://h").study is None
