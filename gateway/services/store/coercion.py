"""Attributes that are given other values on their way to the archive, where configured (PS3.18 §10.5.2).

What was there before stands in Original Attributes Sequence (0400,0561) of what is stored, and in the response. Only
text before the Study Instance UID can be set: all of it has passed, and what it was is known, when the sequence is due.
The data set flows on as ever. ``outgoing_instance.py`` writes with it; where nothing is configured it is not used.

Source: PS3.3 §C.12.1.1.9, PS3.18 Table I.1-1
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from gateway.codecs import Buffer
from gateway.codecs.dicom_json import read_data_set
from gateway.codecs.dictionary import public_dictionary_vr, tag_for_keyword
from gateway.codecs.reencode import encode_tokens
from gateway.codecs.tokens import (
    Element,
    EncapsulatedStart,
    ItemEnd,
    ItemStart,
    SequenceEnd,
    SequenceStart,
    Token,
    Tokenizer,
    ValueStart,
)
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import ConfigurationError, DecodeError

__all__ = ["Coercion", "CoercingEncoder"]

_CHARACTER_SET, _STUDY = 0x00080005, 0x0020000D
_ORIGINAL_ATTRIBUTES = 0x04000561
_MODIFIED_ATTRIBUTES, _DATE_TIME, _SYSTEM, _SOURCE, _REASON = 0x04000550, 0x04000562, 0x04000563, 0x04000564, 0x04000565
_LENGTHS = {"AE": 16, "CS": 16, "LO": 64, "LT": 10_240, "PN": 64, "SH": 16, "ST": 1_024}
"""Value representations that can be set, and their longest value (PS3.5 Table 6.2-1)."""

# Longer values are passed on as they come, but for those that are to be replaced.
_GATHER_LIMIT = 4_096


@dataclass(frozen=True, slots=True)
class Coercion:
    """What every instance is given.

    Attributes
    ----------
    values : mapping of int to (str, bytes)
        VR and padded value by tag, tags ascending; an empty value empties the attribute.
    modifying_system : str
        For Modifying System (0400,0563).
    """

    values: Mapping[int, tuple[str, bytes]]
    modifying_system: str

    @classmethod
    def from_settings(cls, settings: Iterable[str], modifying_system: str) -> Self | None:
        """Read ``Keyword=value`` entries; None if there are none.

        Raises
        ------
        ConfigurationError
            Not such an entry, no attribute that can be set, or a value that it cannot have.
        """
        values = dict(sorted(_read_entry(entry) for entry in settings))
        return cls(values, modifying_system) if values else None

    @staticmethod
    def choose_transfer_syntax(transfer_syntax_uid: str) -> str:
        """What an instance is sent in: its own if encapsulated, else Explicit VR Little Endian."""
        return transfer_syntax_uid if get_transfer_syntax(transfer_syntax_uid).encapsulated else EXPLICIT_VR_LE


def _read_entry(entry: str) -> tuple[int, tuple[str, bytes]]:
    keyword, equals, value = entry.partition("=")
    tag = tag_for_keyword(keyword.strip())
    if not equals or tag is None:
        raise ConfigurationError("store.coerce", f"{entry!r} is not KEYWORD=VALUE with a keyword of PS3.6")
    vr = public_dictionary_vr(tag)
    if vr not in _LENGTHS or not _CHARACTER_SET < tag < _STUDY:
        raise ConfigurationError("store.coerce", f"{keyword} cannot be set: text before Study Instance UID can")
    value = value.strip(" ")
    if not (value.isascii() and value.isprintable()) or len(value) > _LENGTHS[vr]:
        raise ConfigurationError("store.coerce", f"{keyword} takes {_LENGTHS[vr]} printable ASCII characters at most")
    return tag, (vr, value.encode("ascii") + b" " * (len(value) % 2))


class CoercingEncoder:
    """Rewrites one data set with the values of a `Coercion`; in Explicit VR Little Endian, as `encode_tokens` writes.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of what is fed.
    """

    def __init__(self, coercion: Coercion, transfer_syntax_uid: str) -> None:
        self._coercion = coercion
        self._tokenizer = Tokenizer(transfer_syntax_uid, gather_limit=self._gathers)
        self._pending = dict(coercion.values)
        self._depth = 0
        self._last_tag = 0
        self._character_set: list[Token] = []
        self._previous: list[Token] = []
        self._in_originals = False
        self._is_noted = False
        self._item: list[Token] = []

    def feed(self, data: Buffer) -> Iterable[Buffer]:
        """Rewrite the next bytes; what can be written now, long values as views of `data`.

        Raises
        ------
        DecodeError
            The data set cannot be read, or its elements are not in ascending order.
        """
        return encode_tokens(self._coerce(self._tokenizer.feed(data)))

    def finish(self) -> Iterable[Buffer]:
        """Take the end of the data set and return what is left to write.

        Raises
        ------
        DecodeError
            The data set ends too early.
        """
        return encode_tokens(self._finish())

    def describe_originals(self) -> dict[str, Any] | None:
        """The item of Original Attributes Sequence in the DICOM JSON Model, None while nothing was changed."""
        if not self._item:
            return None
        content = b"".join(bytes(piece) for piece in encode_tokens([*self._character_set, *self._item]))
        model = read_data_set(content, EXPLICIT_VR_LE)
        model.pop(f"{_CHARACTER_SET:08X}", None)
        return model

    def _gathers(self, tag: int, vr: str, length: int) -> bool:
        return length <= _GATHER_LIMIT or tag in self._coercion.values

    # --- tokens ---

    def _coerce(self, tokens: Iterable[Token]) -> Iterator[Token]:
        for token in tokens:
            match token:
                case Element() | ValueStart() | EncapsulatedStart() if not self._depth:
                    yield from self._reach(token.tag)
                    if isinstance(token, Element):
                        token = self._replace(token)
                    elif token.tag in self._coercion.values:
                        raise DecodeError("an attribute that is to be set is no text")
                case SequenceStart():
                    yield from self._open_sequence(token)
                case SequenceEnd():
                    self._depth -= 1
                    if not self._depth and self._in_originals:
                        yield from self._note_originals()
            yield token

    def _open_sequence(self, token: SequenceStart) -> Iterator[Token]:
        if not self._depth:
            yield from self._reach(token.tag)
            if token.tag in self._coercion.values:
                raise DecodeError("an attribute that is to be set is a sequence")
            self._in_originals = token.tag == _ORIGINAL_ATTRIBUTES
        self._depth += 1

    def _reach(self, tag: int) -> Iterator[Token]:
        """Come to the element `tag` of the data set: write what belongs before it."""
        if tag < self._last_tag and (tag in self._coercion.values or tag == _ORIGINAL_ATTRIBUTES):
            raise DecodeError("elements are not in ascending order")
        self._last_tag = max(tag, self._last_tag)
        for missing in [it for it in self._pending if it < tag]:
            vr, value = self._pending.pop(missing)
            if value:
                self._previous.append(Element(missing, vr, b""))
                yield Element(missing, vr, value)
        if tag > _ORIGINAL_ATTRIBUTES and not self._is_noted:
            yield from self._write_originals()

    def _replace(self, element: Element) -> Element:
        if element.tag == _CHARACTER_SET:
            self._character_set = [element]
        self._pending.pop(element.tag, None)
        wanted = self._coercion.values.get(element.tag)
        if wanted is None or element.value.rstrip(b" \0") == wanted[1].rstrip(b" "):
            return element
        if not any(isinstance(it, Element) and it.tag == element.tag for it in self._previous):
            self._previous.append(element)  # of an element that stands there twice, which none may, the first is kept
        return Element(element.tag, *wanted)

    def _finish(self) -> Iterator[Token]:
        yield from self._coerce(self._tokenizer.finish())
        yield from self._reach(_ORIGINAL_ATTRIBUTES + 1)

    # --- Original Attributes Sequence ---

    def _write_originals(self) -> Iterator[Token]:
        if self._previous:
            yield SequenceStart(_ORIGINAL_ATTRIBUTES, "SQ")
            yield from self._note_originals()
            yield SequenceEnd()
        self._is_noted = True

    def _note_originals(self) -> Iterator[Token]:
        """The item that says what was changed, if anything was."""
        self._is_noted, self._in_originals = True, False
        if not self._previous:
            return
        moment = datetime.now(UTC).strftime("%Y%m%d%H%M%S+0000")
        self._item = [
            SequenceStart(_MODIFIED_ATTRIBUTES, "SQ"),
            ItemStart(),
            *self._previous,
            ItemEnd(),
            SequenceEnd(),
            Element(_DATE_TIME, "DT", _pad(moment)),
            Element(_SYSTEM, "LO", _pad(self._coercion.modifying_system)),
            Element(_SOURCE, "LO", b""),
            Element(_REASON, "CS", b"COERCE"),
        ]
        yield ItemStart()
        yield from self._item
        yield ItemEnd()


def _pad(text: str) -> bytes:
    return text.encode("ascii") + b" " * (len(text) % 2)
