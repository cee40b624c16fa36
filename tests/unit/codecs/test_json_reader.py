"""JSON of strangers: one object at a time, nothing twice, and one error whatever is wrong with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.json_reader import read_json_models
from gateway.errors import DecodeError

OBJECT = {"00080018": {"vr": "UI", "Value": ["1.2"]}}


@pytest.mark.parametrize("blanks", ["", " ", "\r\n\t"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_array_of_objects(blanks: str, count: int) -> None:
    text = blanks.join(["", "[", (blanks + "," + blanks).join([json.dumps(OBJECT)] * count), "]", ""])
    assert list(read_json_models(text.encode())) == [OBJECT] * count


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_one_object_alone(mark: bytes) -> None:
    assert list(read_json_models(mark + json.dumps(OBJECT).encode())) == [OBJECT]


def test_charsets() -> None:
    document = '{"a": "ä"}'
    assert list(read_json_models(document.encode("latin-1"), "ISO-8859-1")) == [{"a": "ä"}]
    assert list(read_json_models(document.encode(), "UTF-8")) == [{"a": "ä"}]
    with pytest.raises(DecodeError):
        list(read_json_models(document.encode("utf-16"), "utf-16"))


REFUSED = [
    b"",
    b"[]",
    b"[",
    b"[{}",
    b"[{}] x",
    b"[{},]",
    b"{} {}",
    b"[[]]",
    b"5",
    b'"text"',
    b"null",
    b'{"a": 1, "a": 2}',
    b'[{"x": {"a": 1, "a": 1}}]',
    b'{"a": NaN}',
    b'{"a": -Infinity}',
    b'{"a": 01}',
    b"{'a': 1}",
    b'{"a": "\xff"}',
    b'{"a": "\n"}',
    b'{"a": ' + b"9" * 10_000 + b"}",
    b'{"a": ' + b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"a": [' + b"{}," * 1_000_000 + b"{}]}",
    b'{"a": [' + b"[]," * 2_000_000 + b"[]]}",
]


@pytest.mark.parametrize("document", REFUSED, ids=range(len(REFUSED)))
def test_what_is_no_json_of_objects_is_refused(document: bytes) -> None:
    with pytest.raises(DecodeError):
        list(read_json_models(document))


@given(st.binary(max_size=200) | st.text('[]{}:,"0x \\u', max_size=60).map(str.encode))
def test_garbage_gives_one_error(document: bytes) -> None:
    try:
        models: list[Any] = list(read_json_models(document))
    except DecodeError:
        return
    assert all(isinstance(model, dict) for model in models) and models
