"""The tables of character sets are pydicom's, which knows more of them than we could test."""

from __future__ import annotations

import codecs

from pydicom import charset

from gateway.codecs.character_sets import DEFAULT_CODEC, ESCAPES, STAND_ALONE, TERMS


def test_the_tables_are_the_same() -> None:
    assert charset.default_encoding == DEFAULT_CODEC
    assert charset.python_encoding == TERMS
    assert charset.CODES_TO_ENCODINGS == ESCAPES
    assert charset.STAND_ALONE_ENCODINGS == STAND_ALONE


def test_python_has_every_codec() -> None:
    assert all(codecs.lookup(codec) for codec in {*TERMS.values(), *ESCAPES.values()})
