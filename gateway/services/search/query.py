"""The query string of a search, read into values (PS3.18 §8.3.1, §8.3.4, §10.6.1.2).

Pure: text in, `SearchQuery` out. It knows the grammar and the VRs; which attributes may be matched at which
resource is the plan's business. Values are percent-decoded once and ``+`` is a plus sign: this is the grammar
of RFC 3986, not that of HTML forms.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.errors import BadParameter
from gateway.services.search.attributes import (
    AttributePath,
    is_attribute_like,
    is_private_creator,
    parse_attribute_path,
)
from gateway.services.search.values import read_match_values

__all__ = ["MatchKey", "SearchQuery", "parse_search_query"]

_OPTIONS = frozenset({"includefield", "fuzzymatching", "emptyvaluematching", "multiplevaluematching"})
_PAGING = frozenset({"limit", "offset"})
_BOOLEAN = {"true": True, "false": False}
_EMPTY_VALUE = '""'
_MAX_DIGITS = 9  # a limit of a billion matches is as good as none
_LIST_SEPARATOR = "\\"


@dataclass(frozen=True, slots=True)
class MatchKey:
    """One attribute to match; `values` is empty for universal matching, several mean any of them."""

    path: AttributePath
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """What a search asks for.

    Parameters
    ----------
    matches : tuple of MatchKey
        With at least one value each, in the order given.
    include : tuple of AttributePath
        From ``includefield`` and from universal matching.
    include_all : bool
        ``includefield=all``.
    fuzzy, empty_value, multiple_value : bool
        The matching options asked for.
    limit : int or None
        None without limit.
    offset : int
        Results to skip.
    """

    matches: tuple[MatchKey, ...] = ()
    include: tuple[AttributePath, ...] = ()
    include_all: bool = False
    fuzzy: bool = False
    empty_value: bool = False
    multiple_value: bool = False
    limit: int | None = None
    offset: int = 0


def parse_search_query(raw: str) -> SearchQuery:
    """Read the query string as it stood in the request target, without its question mark.

    Raises
    ------
    BadParameter
        Named after the offending parameter: not UTF-8, an attribute given twice (also once as tag and once as
        keyword), unknown attribute, value that does not fit, option that is not true or false, limit or
        offset that is no number, ``includefield=all`` beside other fields.
    """
    parameters = list(_iter_parameters(raw))
    attributes = [(name, value) for name, value in parameters if _is_match(name)]
    creators = _private_creators(attributes)
    options = _single_parameters(parameters)
    fields = [field for name, value in parameters if name == "includefield" for field in value.split(",")]
    matches, returned = _read_matches(attributes, creators, options)
    include, include_all = _read_include_fields(fields, creators)
    return SearchQuery(
        matches=matches,
        include=tuple(dict.fromkeys((*include, *returned))),
        include_all=include_all,
        fuzzy=_read_boolean(options, "fuzzymatching"),
        empty_value=_read_boolean(options, "emptyvaluematching"),
        multiple_value=_read_boolean(options, "multiplevaluematching"),
        limit=_read_count(options, "limit"),
        offset=_read_count(options, "offset") or 0,
    )


def _iter_parameters(raw: str) -> Iterator[tuple[str, str]]:
    for parameter in filter(None, raw.split("&")):
        name, _, value = parameter.partition("=")
        yield _decode(name, "query"), _decode(value, name)


def _decode(text: str, name: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise BadParameter(name, "broken percent-encoding")
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeError as error:  # also octets beyond ASCII that were not percent-encoded
        raise BadParameter(name, "not UTF-8") from error


def _is_match(name: str) -> bool:
    return name not in _OPTIONS and name not in _PAGING and is_attribute_like(name)


def _private_creators(attributes: list[tuple[str, str]]) -> dict[str, str]:
    named = ((name.upper(), value) for name, value in attributes)
    return {tag: value for tag, value in named if is_private_creator(tag) and value}


def _single_parameters(parameters: list[tuple[str, str]]) -> dict[str, str]:
    """Options other than includefield, each at most once."""
    found: dict[str, str] = {}
    for name, value in parameters:
        if name == "includefield" or name not in (_OPTIONS | _PAGING):
            continue
        if name in found:
            raise BadParameter(name, "given more than once")
        found[name] = value
    return found


def _read_matches(
    attributes: list[tuple[str, str]], creators: dict[str, str], options: dict[str, str]
) -> tuple[tuple[MatchKey, ...], list[AttributePath]]:
    """Keys with values, and the paths that are only to be returned."""
    matches: dict[tuple[str, ...], MatchKey] = {}
    returned: list[AttributePath] = []
    seen: set[tuple[str, ...]] = set()
    for name, text in attributes:
        path = parse_attribute_path(name, creators)
        if path.tags in seen:
            raise BadParameter(name, "given more than once")
        seen.add(path.tags)
        values = read_match_values(name, path, _without_unsupported(path, text, options))
        if values:
            matches[path.tags] = MatchKey(path, values)
        else:
            returned.append(path)
    return tuple(matches.values()), returned


def _without_unsupported(path: AttributePath, text: str, options: dict[str, str]) -> str:
    """The value as it is matched while empty-value and multiple-value matching are not performed.

    A client that asked for them is told by a Warning that they were not (PS3.18 §8.3.4.2); its two quotation
    marks or its list then constrain nothing, which is the wider answer.
    """
    if text == _EMPTY_VALUE and options.get("emptyvaluematching") == "true":
        return ""
    if options.get("multiplevaluematching") == "true" and path.vr != "UI" and _LIST_SEPARATOR in text:
        return ""
    return text


def _read_include_fields(fields: list[str], creators: dict[str, str]) -> tuple[list[AttributePath], bool]:
    names = [field for field in fields if field]
    if "all" not in names:
        return [parse_attribute_path(name, creators) for name in names], False
    if len(names) > 1:
        raise BadParameter("includefield", "all stands alone")
    return [], True


def _read_boolean(options: dict[str, str], name: str) -> bool:
    text = options.get(name, "false")
    if text not in _BOOLEAN:
        raise BadParameter(name, "must be true or false")
    return _BOOLEAN[text]


def _read_count(options: dict[str, str], name: str) -> int | None:
    text = options.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdigit():
        raise BadParameter(name, "must be a number, zero or more")
    return int(text) if len(text.lstrip("0")) <= _MAX_DIGITS else 10**_MAX_DIGITS
