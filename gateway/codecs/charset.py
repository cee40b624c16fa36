"""Text of a data set to Unicode: Specific Character Set (0008,0005) and code extensions.

Not an encoder, and no knowledge of elements: `json_values` calls it with raw values. The tables (defined
terms to Python codecs, escape sequences) are ``character_sets``'; the decoding is ours because a gateway must never
fail or warn over one bad value.

Source: PS3.5 §6.1.2, PS3.3 §C.12.1.1.2
"""

from __future__ import annotations

import re
from functools import lru_cache

from gateway.codecs.character_sets import DEFAULT_CODEC, ESCAPES, STAND_ALONE, TERMS

__all__ = ["CUSTOMIZABLE_VRS", "decode_text", "find_encodings"]

#: VRs whose repertoire (0008,0005) extends or replaces (PS3.5 §6.1.2.2); all others are ISO 646.
CUSTOMIZABLE_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})

_ESC = b"\x1b"
_DEFAULT = DEFAULT_CODEC
# the initial set applies again after these (PS3.5 §6.1.2.5.3): line and page ends, values, parts of a name
_TEXT_RESET = re.compile(rb"[\t\n\f\r\\]")
_NAME_RESET = re.compile(rb"[\t\n\f\r\\^=]")
_PART = re.compile(rb"^[^\x1b]+|\x1b[^\x1b]*")
# Python's codecs of these take and drop the escape sequence themselves
_STATEFUL = frozenset({"iso2022_jp", "iso2022_jp_2"})
_MISSPELT = re.compile(r"ISO[ _-]?(?P<extended>2022[ _-])?IR[ _-]?(?P<number>[0-9]+)")


def find_encodings(character_set: str, default_character_set: str = "ISO_IR 6") -> tuple[str, ...]:
    r"""Find the Python codecs of a value of (0008,0005).

    Parameters
    ----------
    character_set : str
        The whole value, terms separated by backslash, padding allowed: ``"\ISO 2022 IR 87"``.
    default_character_set : str
        What an empty first term means. ISO_IR 6 by the standard; archives that leave the attribute out while
        they store Latin-1 or UTF-8 are common, so it is a setting of the backend.

    Returns
    -------
    tuple of str
        At least one codec, the initial one first. An unknown term counts as ISO_IR 6; a term that cannot be
        extended (ISO_IR 192, GB18030, GBK) stands alone.
    """
    return _find_encodings(character_set[:1024], default_character_set)


@lru_cache(maxsize=256)
def _find_encodings(character_set: str, default_character_set: str) -> tuple[str, ...]:
    terms = [term.strip(" \0") for term in character_set.split("\\")]
    terms[0] = terms[0] or default_character_set
    first, *extensions = map(_correct_term, terms)
    if first in STAND_ALONE:
        extensions = []
    usable = [term for term in extensions if term not in STAND_ALONE]
    return tuple(TERMS.get(term, _DEFAULT) for term in (first, *usable))


def _correct_term(term: str) -> str:
    """Repair the misspellings seen in the field: ``ISO-IR 100``, ``ISO 2022-IR-87``, ``iso_ir 192``."""
    upper = term.upper()
    if upper in TERMS:
        return upper
    match = _MISSPELT.fullmatch(upper)
    if match is None:
        return upper
    return ("ISO 2022 IR " if match["extended"] else "ISO_IR ") + match["number"]


def decode_text(raw: bytes, vr: str, encodings: tuple[str, ...]) -> str:
    """Decode a value, all its values at once.

    The byte 5CH is a delimiter between values only where it is not the second half of a character (GB18030,
    GBK, JIS X 0208), so a value is decoded first and split at U+005C afterwards.

    Parameters
    ----------
    raw : bytes
        The value field, padding included.
    vr : str
        Decides the repertoire and, for PN, where code extensions are reset.
    encodings : tuple of str
        From `find_encodings`.

    Returns
    -------
    str
        Never fails: bytes without meaning become U+FFFD, an unknown escape sequence leaves the text to the
        initial character set.

    Source: PS3.5 §6.1.2.5
    """
    if raw.isascii() and _ESC not in raw:
        return raw.decode("ascii")
    if vr not in CUSTOMIZABLE_VRS:
        return raw.decode(_DEFAULT)
    if _ESC not in raw:
        return raw.decode(encodings[0], errors="replace")
    reset = _NAME_RESET if vr == "PN" else _TEXT_RESET
    return "".join(_decode_part(part, encodings, reset) for part in _PART.findall(raw))


def _decode_part(part: bytes, encodings: tuple[str, ...], reset: re.Pattern[bytes]) -> str:
    """Decode the text from one escape sequence to the next."""
    initial = encodings[0]
    if not part.startswith(_ESC):
        return part.decode(initial, errors="replace")
    escape = part[: 4 if part.startswith((b"\x1b$(", b"\x1b$)")) else 3]
    encoding = ESCAPES.get(escape, "")
    if encoding not in encodings and encoding != _DEFAULT:
        return part.decode(initial, errors="replace")
    if encoding in _STATEFUL:
        return part.decode(encoding, errors="replace")
    text = part[len(escape) :]
    end = _find_reset(text, initial, reset)
    return text[:end].decode(encoding, errors="replace") + text[end:].decode(initial, errors="replace")


def _find_reset(text: bytes, initial: str, reset: re.Pattern[bytes]) -> int:
    """Where the initial set applies again.

    Bytes above 7FH have no meaning in ISO 646. Where that is the initial set, they can only belong to the set
    designated last: writers that do not designate it again after a delimiter are read all the same.
    """
    match = reset.search(text) if initial != _DEFAULT else None
    return match.start() if match else len(text)
