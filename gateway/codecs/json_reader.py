"""DICOM JSON documents of web clients, read with suspicion (PS3.18 Annex F; RFC 8259).

Only what makes a document JSON objects of one name each is looked at here; what is in them is for ``model_writer``.
The store service reads metadata parts with it. Not for what the gateway has written itself: ``orjson`` is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from gateway.errors import DecodeError

__all__ = ["read_json_models"]

Model = dict[str, Any]

_BLANKS = " \t\r\n"
_MAX_OBJECTS = 1_000_000  # an attribute is written in some 20 bytes and read into 300; `{}` costs more for less
_CHARSETS = {None: "utf-8-sig", "utf-8": "utf-8-sig", "us-ascii": "ascii", "iso-8859-1": "latin-1"}


def read_json_models(document: bytes, charset: str | None = None) -> Iterator[Model]:
    """Read an array of objects, or one object alone, an object at a time.

    Parameters
    ----------
    document : bytes
        Whole.
    charset : str or None
        Of the media type; None means UTF-8, the only one of RFC 8259.

    Yields
    ------
    dict
        A DICOM JSON Model object, unchecked. At least one.

    Raises
    ------
    DecodeError
        No JSON, a name given twice in an object, nested deeper than can be read, a million objects or two million
        arrays, or something else than objects.
    """
    codec = _CHARSETS.get(charset.lower() if charset else None)
    if codec is None:
        raise DecodeError("the charset is not taken; DICOM JSON is UTF-8")
    try:
        yield from _read(document.decode(codec))
    except UnicodeDecodeError as error:
        raise DecodeError("not UTF-8", offset=error.start) from None
    except RecursionError:
        raise DecodeError("nested too deep") from None
    except ValueError:  # a syntax error, or a number of thousands of digits
        raise DecodeError("not JSON") from None


def _read(text: str) -> Iterator[Model]:
    if text.count("[") > 2 * _MAX_OBJECTS:
        raise DecodeError(f"more than {2 * _MAX_OBJECTS} arrays")
    decoder = json.JSONDecoder(object_pairs_hook=_ObjectMaker().make, parse_constant=_refuse_constant)
    place = _skip_blanks(text, 0)
    is_array = text[place : place + 1] == "["
    place = _skip_blanks(text, place + is_array)
    while True:
        model, place = decoder.raw_decode(text, place)
        if not isinstance(model, dict):
            raise DecodeError("not an array of JSON objects")
        yield model
        place = _skip_blanks(text, place)
        if not is_array or text[place : place + 1] != ",":
            break
        place = _skip_blanks(text, place + 1)
    if is_array and text[place : place + 1] != "]":
        raise DecodeError("not JSON", offset=place)
    if _skip_blanks(text, place + is_array) != len(text):
        raise DecodeError("text after the JSON document", offset=place)


def _skip_blanks(text: str, place: int) -> int:
    while text[place : place + 1] and text[place] in _BLANKS:
        place += 1
    return place


class _ObjectMaker:
    """Makes the objects of one document, no name twice in one, and not too many."""

    def __init__(self) -> None:
        self._count = 0

    def make(self, pairs: list[tuple[str, Any]]) -> Model:
        self._count += 1
        if self._count > _MAX_OBJECTS:
            raise DecodeError(f"more than {_MAX_OBJECTS} objects")
        made = dict(pairs)
        if len(made) != len(pairs):
            raise DecodeError("a name given twice in a JSON object")
        return made


def _refuse_constant(_text: str) -> NoReturn:
    raise DecodeError("NaN or Infinity, which JSON does not have")
