"""Tokens are cheap values that tell themselves apart by class."""

from __future__ import annotations

from typing import get_args

import pytest

from gateway.codecs import token_kinds, tokens
from gateway.codecs.token_kinds import Element, FragmentChunk, ItemEnd, ItemStart, Token, ValueChunk


@pytest.mark.parametrize("kind", get_args(Token), ids=lambda kind: kind.__name__)
def test_tokens_are_slotted_and_handed_on_by_the_tokenizer(kind: type) -> None:
    assert not hasattr(object.__new__(kind), "__dict__")
    assert getattr(tokens, kind.__name__) is kind
    assert kind.__name__ in token_kinds.__all__ and kind.__name__ in tokens.__all__


def test_tokens_compare_by_class_and_value() -> None:
    assert Element(1, "LO", b"A") == Element(1, "LO", b"A")
    assert Element(1, "LO", b"A") != Element(1, "SH", b"A")
    assert ValueChunk(b"A") == ValueChunk(memoryview(b"A"))
    starts: list[Token] = [ItemStart(), ItemEnd(), ValueChunk(b"A"), FragmentChunk(b"A")]
    assert [start for start in starts if start in (ItemStart(), FragmentChunk(b"A"))] == [starts[0], starts[3]]
