"""A data set in the DICOM JSON Model to Explicit VR Little Endian, with gaps where bulk values go.

Used by the store service for metadata parts; native XML becomes the same model first (``native_xml_reader``). A model
is refused as soon as one attribute of it cannot be written; the error names the tag, never a value.

Text is written in the character set that (0008,0005) names if that is one without code extensions and has all the
characters, else in UTF-8, which (0008,0005) then says. Items have no character set of their own: the whole data set is
in one. What an item says of its own is left out, unless it holds for bulk text, which is not rewritten.

Source: PS3.18 Annex F; PS3.5 §7
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import pack
from typing import Any

from gateway.codecs.character_sets import TERMS
from gateway.codecs.json_values import BULK_VRS, INLINE_VRS
from gateway.codecs.reencode import encode_element_header
from gateway.codecs.tokens import UNDEFINED_LENGTH
from gateway.codecs.value_fields import KNOWN_VRS, encode_inline, encode_values, pad_value
from gateway.errors import DecodeError

__all__ = ["BulkReference", "Model", "write_model"]

Model = Mapping[str, Any]

_MAX_DEPTH = 32
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_CHARACTER_SET, _UTF_8 = "00080005", "ISO_IR 192"
_WITHOUT_EXTENSIONS = ("ISO_IR 6", "ISO_IR 192", "GB18030", "GBK", *(f"ISO_IR {n}" for n in (100, 101, 109, 110)))
_WITHOUT_EXTENSIONS += tuple(f"ISO_IR {n}" for n in (126, 127, 138, 144, 148, 166))
_CODECS = {term: "ascii" if term == "ISO_IR 6" else TERMS[term] for term in _WITHOUT_EXTENSIONS}
_ASCII_TERMS = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_TEXT_VRS = frozenset({"LT", "ST", "UC", "UT"})
"""VRs that Specific Character Set governs and that may be bulk."""

_CONTENTS = ("Value", "InlineBinary", "BulkDataURI")
_FORBIDDEN_GROUPS = frozenset({0x0000, 0x0001, 0x0003, 0x0005, 0x0007, 0xFFFE, 0xFFFF})  # PS3.5 §7.1, §7.8
_FILE_META_GROUP = 0x0002

_ITEM_START = pack("<HHI", 0xFFFE, 0xE000, UNDEFINED_LENGTH)
_ITEM_END = pack("<HHI", 0xFFFE, 0xE00D, 0)
_SEQUENCE_END = pack("<HHI", 0xFFFE, 0xE0DD, 0)


@dataclass(frozen=True, slots=True)
class BulkReference:
    """The place of an element whose value comes from elsewhere; not even its header is written.

    Parameters
    ----------
    tag : int
        Group in the upper 16 bits.
    vr, uri : str
        As in the model.
    path : str
        ``7FE00010``, within items ``00880200/1/7FE00010``.
    """

    tag: int
    vr: str
    uri: str
    path: str


def write_model(model: Model) -> list[bytes | BulkReference]:
    """Write a data set.

    Parameters
    ----------
    model : mapping
        Attribute objects by tag, in any order and untrusted. Left out of what is written: group lengths, File Meta
        Information (group 0002), character sets of items.

    Returns
    -------
    list of bytes and BulkReference
        The data set in order, elements ascending, bytes between two references joined; sequences and items have
        undefined length.

    Raises
    ------
    DecodeError
        The model breaks PS3.18 Annex F, or a value its VR; `path` names the attribute.
    """
    codec, terms = _find_codec(model), _read_terms(model.get(_CHARACTER_SET))
    try:
        return _Writer(codec, terms).write(model)
    except UnicodeEncodeError:
        pass
    writer = _Writer("utf-8", (_UTF_8,))
    try:
        written = writer.write({**model, _CHARACTER_SET: {"vr": "CS", "Value": [_UTF_8]}})
    except UnicodeEncodeError:
        raise DecodeError("text that is not Unicode") from None
    if writer.has_bulk_text and _CHARACTER_SET in model:
        raise DecodeError("text that the character set of the bulk text does not have", path=_CHARACTER_SET)
    return written


def _find_codec(model: Model) -> str:
    """The codec of (0008,0005); ASCII where there is none, or one that takes code extensions."""
    terms = _read_terms(model.get(_CHARACTER_SET))
    return _CODECS.get(terms[0], "ascii") if len(terms) == 1 else "ascii"


def _read_terms(attribute: Any) -> tuple[str, ...]:
    """The defined terms of (0008,0005); one that there is none of for what cannot be."""
    values = attribute.get("Value") if isinstance(attribute, Mapping) else None
    if not isinstance(values, list):
        return ()
    return tuple("" if it is None else it.strip() if isinstance(it, str) else "?" for it in values)


class _Writer:
    """Writes one data set in one codec, that of the defined terms `terms`."""

    def __init__(self, codec: str, terms: tuple[str, ...]) -> None:
        self._codec = codec
        self._terms = terms
        self._odd_character_set = ""
        self._written: list[bytes | BulkReference] = []
        self._open = bytearray()
        self.has_bulk_text = False

    def write(self, model: Model) -> list[bytes | BulkReference]:
        self._write_data_set(model, "", 0)
        self._close()
        return self._written

    def _close(self) -> None:
        if self._open:
            self._written.append(bytes(self._open))
            self._open.clear()

    def _write_data_set(self, model: Model, path: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise DecodeError(f"sequences nested more than {_MAX_DEPTH} deep", path=path)
        for tag, name, attribute in _iter_attributes(model, path, depth):
            self._write_attribute(tag, attribute, path + name, depth)

    def _write_attribute(self, tag: int, attribute: Model, path: str, depth: int) -> None:
        vr = attribute["vr"]
        if "BulkDataURI" in attribute:
            self._refer(BulkReference(tag, vr, attribute["BulkDataURI"], path))
        elif vr == "SQ":
            self._write_sequence(tag, attribute.get("Value", []), path, depth)
        else:
            value = self._encode(vr, attribute, path)
            self._open += encode_element_header(tag, vr, len(value))
            self._open += value

    def _refer(self, reference: BulkReference) -> None:
        self._close()
        self._written.append(reference)
        if reference.vr in _TEXT_VRS:
            self.has_bulk_text = True
            if self._odd_character_set:
                raise DecodeError("bulk text in a character set of its own", path=self._odd_character_set)

    def _write_sequence(self, tag: int, items: list[Any], path: str, depth: int) -> None:
        if not items:
            self._open += encode_element_header(tag, "SQ", 0)
            return
        self._open += encode_element_header(tag, "SQ", UNDEFINED_LENGTH)
        for number, item in enumerate(items, start=1):
            if item is not None and not isinstance(item, Mapping):
                raise DecodeError("an item that is no data set", path=path)
            self._write_item({} if item is None else item, f"{path}/{number}/", depth + 1)
        self._open += _SEQUENCE_END

    def _write_item(self, item: Model, path: str, depth: int) -> None:
        outer = self._odd_character_set
        if _CHARACTER_SET in item:
            terms = _read_terms(item[_CHARACTER_SET])
            is_odd = terms != self._terms and not _ASCII_TERMS.issuperset(terms)
            self._odd_character_set = path + _CHARACTER_SET if is_odd else ""
        self._open += _ITEM_START
        self._write_data_set(item, path, depth)
        self._open += _ITEM_END
        self._odd_character_set = outer

    def _encode(self, vr: str, attribute: Model, path: str) -> bytes:
        try:
            if vr in INLINE_VRS:
                return pad_value(vr, encode_inline(attribute.get("InlineBinary", "")))
            return encode_values(vr, attribute.get("Value", []), self._codec)
        except UnicodeEncodeError:
            raise
        except ValueError as error:
            raise DecodeError(f"not a value of VR {vr}: {error}", path=path) from None


def _iter_attributes(model: Model, path: str, depth: int) -> Iterator[tuple[int, str, Model]]:
    """The attributes that are written, by ascending tag; the others are checked all the same."""
    found: dict[int, tuple[str, Model]] = {}
    for name, attribute in model.items():
        if _TAG.fullmatch(name) is None:
            raise DecodeError("an attribute whose name is no tag of eight hexadecimal digits", path=path.rstrip("/"))
        tag = int(name, 16)
        if tag in found:
            raise DecodeError("an attribute given twice", path=path + name.upper())
        if tag >> 16 in _FORBIDDEN_GROUPS:
            raise DecodeError("an attribute that is part of no data set", path=path + name.upper())
        found[tag] = (name.upper(), _check_attribute(attribute, path + name.upper()))
    for tag in sorted(found):
        if tag & 0xFFFF and tag >> 16 != _FILE_META_GROUP:
            if depth and found[tag][0] == _CHARACTER_SET:
                continue
            yield tag, *found[tag]


def _check_attribute(attribute: Any, path: str) -> Model:
    """Check that an attribute object has the members its VR allows, and one of them at most (PS3.18 §F.2.2)."""
    if not isinstance(attribute, Mapping):
        raise DecodeError("not an attribute object", path=path)
    vr = attribute.get("vr")
    if not isinstance(vr, str) or vr not in KNOWN_VRS:
        raise DecodeError("without a known VR", path=path)
    contents = [name for name in _CONTENTS if name in attribute]
    if len(contents) > 1:
        raise DecodeError(f"both {contents[0]} and {contents[1]}", path=path)
    content = contents[0] if contents else ""
    if content == "Value" and (vr in INLINE_VRS or not isinstance(attribute["Value"], list)):
        if vr in INLINE_VRS and attribute["Value"] in ([], None):
            return {"vr": vr}
        raise DecodeError(f"a Value that VR {vr} does not have", path=path)
    if content == "InlineBinary" and vr not in INLINE_VRS:
        raise DecodeError(f"InlineBinary, which VR {vr} does not have", path=path)
    if content == "BulkDataURI":
        uri = attribute["BulkDataURI"]
        if vr not in BULK_VRS or not isinstance(uri, str) or not uri:
            raise DecodeError(f"a BulkDataURI that VR {vr} does not have", path=path)
    return attribute
