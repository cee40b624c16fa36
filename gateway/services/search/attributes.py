"""Attribute names of a search as PS3.18 §8.3.1 writes them: keywords, tags and dotted sequence paths.

Pure: text in, `AttributePath` out. Whether an attribute may be matched, and at which level, is decided
elsewhere. Used by the query parser and by the tables of keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from gateway.codecs.dictionary import (
    keyword_for_tag,
    private_dictionary_vr,
    public_dictionary_vr,
    tag_for_keyword,
)
from gateway.errors import BadParameter

__all__ = ["AttributePath", "attribute_vr", "is_attribute_like", "is_private_creator", "parse_attribute_path"]

_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_PRIVATE_CREATOR = re.compile(r"[0-9A-F]{3}[13579BDF]00(1[0-9A-F]|[2-9A-F][0-9A-F])")
_FIRST_INSTANCE_GROUP = 0x0008  # groups 0000 to 0006 are commands, file meta information and directories
_MAX_DEPTH = 16  # structured reports nest deepest; nothing is matched further down
_LAST_INSTANCE_GROUP = 0x7FE0  # 7FE1 and above are private; FFFA to FFFE are not attributes to search for


@dataclass(frozen=True, slots=True)
class AttributePath:
    """An attribute at the top of a data set or inside sequences.

    Parameters
    ----------
    tags : tuple of str
        8 upper-case hex digits each; all but the last are sequences.
    vr : str
        Value representation of the last one; ``UN`` where no dictionary knows it.
    """

    tags: tuple[str, ...]
    vr: str

    @property
    def tag(self) -> str:
        """The tag that stands at the top of the data set."""
        return self.tags[0]

    @property
    def name(self) -> str:
        """Keywords joined by dots, tags where there is no keyword."""
        return ".".join(keyword_for_tag(int(tag, 16)) or tag for tag in self.tags)


def is_attribute_like(name: str) -> bool:
    """Whether a query parameter means an attribute rather than some other parameter.

    Parameters of the standard and of servers begin in lower case (``limit``, ``orderby``); attributes are
    tags, dotted paths or CamelCase keywords. So a misspelt keyword is noticed and a foreign parameter is
    ignored.
    """
    head = name[:1]
    return "." in name or _number_of_keyword(name) is not None or head.isdigit() or head.isupper() or _is_tag(name)


def is_private_creator(tag: str) -> bool:
    """Whether `tag` (upper-case hex) is a Private Creator element, gggg,0010 to gggg,00FF (PS3.5 §7.8.1)."""
    return _PRIVATE_CREATOR.fullmatch(tag) is not None


def parse_attribute_path(text: str, private_creators: Mapping[str, str]) -> AttributePath:
    """Read ``attribute = attr-id *("." attr-id)``.

    Parameters
    ----------
    text : str
        Percent-decoded, for instance ``OtherPatientIDsSequence.00100020``.
    private_creators : mapping of str to str
        Private Creator tag → its value, as given by the same query.

    Raises
    ------
    BadParameter
        Unknown keyword, malformed tag, a private attribute without its creator, a path through something
        that is no sequence, or one deeper than any of the standard; named after `text`.

    Source: PS3.18 §8.3.1, §8.3.4.1
    """
    parts = text.split(".")
    if len(parts) > _MAX_DEPTH:
        raise BadParameter(text[:64], "a path of too many sequences")
    tags = tuple(_read_tag(part, text) for part in parts)
    representations = [attribute_vr(tag, _creator_of(tag, private_creators, text)) for tag in tags]
    if any(vr not in ("SQ", "UN") for vr in representations[:-1]):
        raise BadParameter(text, "a path leads through sequences only")
    return AttributePath(tags, representations[-1])


@lru_cache(maxsize=4096)
def attribute_vr(tag: str, private_creator: str | None = None) -> str:
    """VR of `tag` by the dictionaries; the first of several (``US or SS``), LO for creators, else UN."""
    if is_private_creator(tag):
        return "LO"
    try:
        if private_creator is not None:
            return private_dictionary_vr(int(tag, 16), private_creator)[:2]
        return public_dictionary_vr(int(tag, 16))[:2]
    except KeyError:
        return "UN"


def _read_tag(part: str, text: str) -> str:
    number = int(part, 16) if _is_tag(part) else _number_of_keyword(part)
    if number is None:
        raise BadParameter(text, "no such attribute")
    group = number >> 16
    if group % 2 == 0 and not _FIRST_INSTANCE_GROUP <= group <= _LAST_INSTANCE_GROUP:
        raise BadParameter(text, "not an attribute of composite instances")
    return f"{number:08X}"


def _number_of_keyword(text: str) -> int | None:
    return tag_for_keyword(text) if text else None  # the dictionary has retired entries without keyword


def _creator_of(tag: str, private_creators: Mapping[str, str], text: str) -> str | None:
    if int(tag[:4], 16) % 2 == 0 or is_private_creator(tag):
        return None
    creator = private_creators.get(f"{tag[:4]}00{tag[4:6]}")
    if creator is None:
        raise BadParameter(text, "a private attribute needs its Private Creator as another parameter")
    return creator


def _is_tag(text: str) -> bool:
    return _TAG.fullmatch(text) is not None
