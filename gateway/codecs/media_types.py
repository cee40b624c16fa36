"""Media types, Accept lists and their precedence (PS3.18 §8.7; RFC 9110 §8.3, §12.5.1).

Text in, frozen values out. What a resource can produce, and which status a mismatch gets, is decided in
``gateway/web/negotiation``; here is only what the words mean. Reading is liberal, because clients are not
consistent: ``type`` of a multipart quoted or bare, ``transfer-syntax`` beside it or inside its quotes, legacy
names of media types. Writing follows the standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.errors import DecodeError

__all__ = [
    "MULTIPART_RELATED",
    "MediaRange",
    "MediaType",
    "format_media_type",
    "is_valid_boundary",
    "parse_accept",
    "parse_media_type",
    "parse_parameters",
    "split_list",
]

MULTIPART_RELATED = "multipart/related"

_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_QUOTED_PAIR = re.compile(r"\\(.)")
_ALIASES = {  # names that clients still send, PS3.18 §8.7.3.3.2
    "image/x-dicom-rle": "image/dicom-rle",
    "image/x-jls": "image/jls",
}


@dataclass(frozen=True, slots=True)
class MediaType:
    """``type/subtype; name=value``, all but the values in lower case.

    A multipart carries the type of its parts in `part_type`, not in a ``type`` parameter; its transfer syntax
    is in `parameters` wherever the sender wrote it.
    """

    essence: str
    parameters: tuple[tuple[str, str], ...] = ()
    part_type: str | None = None

    @property
    def is_multipart(self) -> bool:
        """Whether this is a multipart, ``multipart/*`` included."""
        return self.essence.startswith("multipart/")

    @property
    def representation_type(self) -> str:
        """Type of one representation: of a part where this is a multipart, ``*/*`` if it names none."""
        return (self.part_type or "*/*") if self.is_multipart else self.essence

    @property
    def transfer_syntax(self) -> str | None:
        """The ``transfer-syntax`` parameter: a UID, ``*`` or None (PS3.18 §8.7.3.5.2)."""
        return self.parameter("transfer-syntax")

    @property
    def has_wildcard(self) -> bool:
        """Whether type or subtype, of the whole or of the parts, is ``*``."""
        return "*" in self.essence or "*" in self.representation_type

    def parameter(self, name: str) -> str | None:
        """The value of the first parameter called `name` (lower case), None without one."""
        return next((value for key, value in self.parameters if key == name), None)


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One member of an Accept list: a media type, perhaps with wildcards, and its weight 0 to 1."""

    media_type: MediaType
    q: float = 1.0

    @property
    def specificity(self) -> tuple[int, int, int]:
        """Sort key of RFC 9110 §12.5.1: outer type, type of the parts, number of parameters that select."""
        media_type = self.media_type
        return (
            _essence_specificity(media_type.essence),
            _essence_specificity(media_type.representation_type),
            0 if media_type.transfer_syntax in (None, "*") else 1,
        )

    def covers(self, essence: str, *, multipart: bool) -> bool:
        """Whether parts (`multipart`) or a whole body of type `essence` fall under this range.

        Parameters are not looked at: whether a transfer syntax is acceptable depends on the resource.
        """
        media_type = self.media_type
        if media_type.is_multipart:
            named = _essence_covers(media_type.essence, MULTIPART_RELATED)
            return multipart and named and _essence_covers(media_type.representation_type, essence)
        if media_type.essence == "*/*":
            return True
        return not multipart and _essence_covers(media_type.essence, essence)


def parse_media_type(text: str) -> MediaType:
    """Read one media type, as in Content-Type (RFC 9110 §8.3.1, PS3.18 §8.7.1).

    Raises
    ------
    DecodeError
        Not ``type/subtype``, or a parameter without name or with an open quote. `text` is not repeated.
    """
    essence, _, parameters = text.partition(";")
    return _normalised(_parse_essence(essence.strip()), parse_parameters(parameters))


def parse_accept(text: str) -> tuple[MediaRange, ...]:
    """Read an Accept list in the order it was sent; members that break the grammar are left out (§8.7.7).

    A weight that is no number from 0 to 1 counts as absent. Parameters after ``q`` are dropped (RFC 9110
    keeps none of them).
    """
    ranges = []
    for member in split_list(text):
        if member.strip():
            try:
                ranges.append(_parse_range(member))
            except DecodeError:
                continue
    return tuple(ranges)


def parse_parameters(text: str) -> list[tuple[str, str]]:
    """Read ``name=value; name="value"``, names in lower case, as in media types and Forwarded (RFC 7239 §4).

    Raises
    ------
    DecodeError
        A parameter without name, or with an open quote.
    """
    return [_parse_parameter(piece) for piece in _split_outside_quotes(text, ";") if piece.strip()]


def split_list(text: str) -> list[str]:
    """Split a header at its commas, those in quoted strings excepted (RFC 9110 §5.6.1); may give empty members."""
    return _split_outside_quotes(text, ",")


def format_media_type(essence: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """Write a media type; values that are no tokens are quoted, so ``type`` of a multipart always is."""
    return "; ".join([essence, *(f"{name}={_quote(value)}" for name, value in parameters)])


def is_valid_boundary(text: str) -> bool:
    """Whether `text` is a boundary of 1 to 70 characters (RFC 2046 §5.1.1)."""
    return _BOUNDARY.fullmatch(text) is not None


def _parse_range(member: str) -> MediaRange:
    media_type = parse_media_type(member)
    names = [name for name, _ in media_type.parameters]
    if "q" not in names:
        return MediaRange(media_type)
    place = names.index("q")
    kept = MediaType(media_type.essence, media_type.parameters[:place], media_type.part_type)
    return MediaRange(kept, _parse_weight(media_type.parameters[place][1]))


def _parse_weight(text: str) -> float:
    if re.fullmatch(r"(0(\.\d*)?|1(\.0*)?|\.\d+)", text) is None:
        return 1.0
    return float(text)


def _parse_essence(text: str) -> str:
    main, slash, subtype = text.lower().partition("/")
    if not slash or not _TOKEN.fullmatch(main) or not _TOKEN.fullmatch(subtype):
        raise DecodeError("not a media type")
    if main == "*" and subtype != "*":
        raise DecodeError("not a media range")
    return _ALIASES.get(f"{main}/{subtype}", f"{main}/{subtype}")


def _parse_parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    name, value = name.strip().lower(), value.strip()
    if not equals or not _TOKEN.fullmatch(name):
        raise DecodeError("not a media type parameter")
    if value.startswith('"'):
        if len(value) < 2 or not value.endswith('"'):
            raise DecodeError("open quote in a media type parameter")
        value = _QUOTED_PAIR.sub(r"\1", value[1:-1])
    return name, value


def _normalised(essence: str, pairs: list[tuple[str, str]]) -> MediaType:
    """Lift what stands inside the quoted ``type`` of a multipart to where the standard wants it."""
    inner_text = dict(pairs).get("type") if essence.startswith("multipart/") else None
    if inner_text is None:
        return MediaType(essence, tuple(pairs))
    inner = parse_media_type(inner_text)
    outer = tuple(pair for pair in pairs if pair[0] != "type")
    names = {name for name, _ in outer}
    lifted = tuple(pair for pair in inner.parameters if pair[0] not in names)
    return MediaType(essence, lifted + outer, inner.essence)


def _split_outside_quotes(text: str, separator: str) -> list[str]:
    pieces, start, quoted, escaped = [], 0, False, False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            pieces.append(text[start:place])
            start = place + 1
    return [*pieces, text[start:]]


def _quote(value: str) -> str:
    if _TOKEN.fullmatch(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _essence_specificity(essence: str) -> int:
    if essence == "*/*":
        return 0
    return 1 if essence.endswith("/*") else 2


def _essence_covers(wanted: str, essence: str) -> bool:
    if wanted == "*/*" or wanted == essence:
        return True
    return wanted.endswith("/*") and essence.startswith(wanted[:-1])
