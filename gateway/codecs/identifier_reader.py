"""Identifiers of C-FIND responses to the DICOM JSON Model, each distinct element decoded once.

The answers to one query repeat most of their elements: the study's attributes, the modality, the empty ones. An
`IdentifierReader` remembers the attribute object of each element it has met, by the bytes of the element, and a model
is then made of look-ups. What is written plainly is read here; whatever is not (other VRs than the transfer syntax
promises, undefined lengths, UN, private elements without VR, anything broken) goes to ``dicom_json.read_data_set`` as
a whole, whose result is the same by definition and by test.

One reader serves one query, so that nothing of a patient outlives it.

Source: PS3.5 §7.1, PS3.18 Annex F
"""

from __future__ import annotations

from struct import Struct, error
from typing import Any

from gateway.codecs.charset import decode_text, find_encodings
from gateway.codecs.dicom_json import read_data_set
from gateway.codecs.json_values import read_value
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.codecs.value_representations import LONG_VRS, SHORT_VRS, look_up_vr
from gateway.errors import DecodeError

__all__ = ["IdentifierReader"]

Model = dict[str, Any]

_EXPLICIT = Struct("<HH2sH").unpack_from
_LENGTH = Struct("<I").unpack_from
_CHARACTER_SET = 0x00080005
_PIXEL_REPRESENTATION = 0x00280103
# below are commands and files, above padding, items and delimiters
_FIRST_GROUP, _LAST_GROUP = 0x0008, 0x7FE0
# no identifier has a longer value; an undefined length is one of these
_MAX_LENGTH = 1 << 20
# an identifier has a few dozen elements, and those that repeat are short
_MAX_REMEMBERED = 2_048
_LONGEST_REMEMBERED = 256


class _NotPlainError(Exception):
    """This data set is one for the general reader."""


class IdentifierReader:
    """Reads the answers to one query.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of all of them.
    default_character_set : str
        Defined term of those that name none.

    Notes
    -----
    The attribute objects of one model may be those of another: replace them, never change them.
    """

    def __init__(self, transfer_syntax_uid: str, default_character_set: str = "ISO_IR 6") -> None:
        self._transfer_syntax = transfer_syntax_uid
        self._default = default_character_set
        self._explicit = transfer_syntax_uid == EXPLICIT_VR_LE
        self._is_readable = self._explicit or transfer_syntax_uid == IMPLICIT_VR_LE
        self._initial = find_encodings("", default_character_set)
        # by the encodings in force, since they decide what a text element means
        self._remembered: dict[tuple[str, ...], dict[bytes, Model]] = {}

    def read(self, data: bytes) -> Model:
        """Return what ``read_data_set`` returns, attributes ascending by tag.

        Raises
        ------
        DecodeError
            `data` is no whole data set, or a value is longer than 4 MiB.
        """
        if self._is_readable:
            try:
                return self._read_plain(data)
            except (_NotPlainError, DecodeError, error):
                pass  # the general reader takes it, or says what is wrong
        return read_data_set(data, self._transfer_syntax, self._default)

    def _read_plain(self, data: bytes) -> Model:
        model: Model = {}
        encodings, character_set = self._initial, b""
        known = self._remembered.setdefault(encodings, {})
        explicit, size = self._explicit, len(data)
        if not explicit and (data[4:6] in SHORT_VRS or data[4:6] in LONG_VRS):
            raise _NotPlainError
        position, previous = 0, -1
        while position < size:
            group, number, raw_vr, length = _EXPLICIT(data, position)
            tag = group << 16 | number
            if tag <= previous or not _FIRST_GROUP <= group <= _LAST_GROUP:
                raise _NotPlainError
            if explicit and raw_vr in SHORT_VRS:
                start = position + 8
            else:
                start, length = self._find_value(data, position, raw_vr)
            end = start + length
            if end > size:
                raise _NotPlainError
            written = data[position:end]
            attribute = known.get(written)
            if attribute is None:
                attribute = self._read_element(tag, raw_vr, written, start - position, encodings, character_set)
                if length <= _LONGEST_REMEMBERED and len(known) < _MAX_REMEMBERED:
                    known[written] = attribute
            if tag == _CHARACTER_SET:
                character_set = data[start:end]
                encodings = find_encodings(decode_text(character_set, "CS", encodings), self._default)
                known = self._remembered.setdefault(encodings, {})
            if number:  # without group lengths
                model[f"{tag:08X}"] = attribute
            previous, position = tag, end
        return model

    def _find_value(self, data: bytes, position: int, raw_vr: bytes) -> tuple[int, int]:
        """Start and length of a value whose length has 32 bits."""
        start = position + 8
        if self._explicit:
            if raw_vr not in LONG_VRS:
                raise _NotPlainError
            start += 4
        (length,) = _LENGTH(data, start - 4)
        if length > _MAX_LENGTH:
            raise _NotPlainError
        return start, length

    def _read_element(
        self, tag: int, raw_vr: bytes, written: bytes, start: int, encodings: tuple[str, ...], character_set: bytes
    ) -> Model:
        if tag == _CHARACTER_SET:
            return {"vr": "CS", "Value": ["ISO_IR 192"]}
        vr = self._find_vr(tag, raw_vr)
        if vr != "SQ":
            return read_value(vr, written[start:], encodings)
        if len(written) == start:
            return {"vr": "SQ"}
        model = read_data_set(self._write_character_set(character_set) + written, self._transfer_syntax, self._default)
        return dict(model[f"{tag:08X}"])

    def _find_vr(self, tag: int, raw_vr: bytes) -> str:
        """The VR, where no other element has a say in it."""
        if self._explicit:
            vr = SHORT_VRS.get(raw_vr) or LONG_VRS[raw_vr]
        else:
            vr = look_up_vr(tag, None)
        depends = not self._explicit and (tag & 0x10000 or len(vr) > 2 or tag == _PIXEL_REPRESENTATION)
        if vr == "UN" or depends:
            raise _NotPlainError
        return vr

    def _write_character_set(self, value: bytes) -> bytes:
        """(0008,0005), so that a sequence read by itself knows it, and its first bytes tell how it is written."""
        if self._explicit:
            return b"\x08\0\x05\0CS" + len(value).to_bytes(2, "little") + value
        return b"\x08\0\x05\0" + len(value).to_bytes(4, "little") + value
