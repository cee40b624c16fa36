"""Entity tags and conditional requests (RFC 9110 §8.8.3, §13.1.2), for what the metadata cache vouches for.

A tag is made of the name of the retrieval that the cache keeps and of everything that decides what is sent for it. So
it changes when the archive says something else, and when the cache has lost what it kept; it never outlives what it
was made from. Tags are weak: the data are the same, while boundaries and compression differ from answer to answer. A
304 is sent only after the archive has said that what is kept still holds. Called by ``gateway/web/retrieve.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b

from aiohttp import hdrs, web

__all__ = ["ETAG", "METADATA_CACHING", "answer_unchanged", "is_unchanged", "make_entity_tag", "name_representation"]

METADATA_CACHING = "private, no-cache"
"""A browser may keep metadata, and asks each time whether it still holds."""

_DIGEST_BYTES = 16
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_LIST = re.compile(rf"{_TAG.pattern}(?:[ \t]*,(?:[ \t]*,)*[ \t]*{_TAG.pattern})*")
ETAG = "ETag"  # as it is spelt everywhere else
_KEPT_IN_304 = (ETAG, hdrs.CACHE_CONTROL)  # RFC 9110 §15.4.5; Vary is added to every response


def make_entity_tag(*parts: str) -> str:
    """A weak entity tag that differs when any of `parts` does."""
    digest = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        encoded = part.encode(errors="surrogateescape")
        digest.update(len(encoded).to_bytes(8) + encoded)
    return f'W/"{digest.hexdigest()}"'


def name_representation(request: web.Request, base_url: str) -> str:
    """What of `request` decides the form of the answer: the target, what is accepted, and the address in the URLs."""
    accepted = ", ".join(request.headers.getall(hdrs.ACCEPT, []))
    return "\n".join((base_url, request.path, request.query_string, accepted))


def is_unchanged(request: web.Request, entity_tag: str, *, exists: bool) -> bool:
    """Whether the client holds what `entity_tag` names, by its If-None-Match.

    A header that breaks its grammar is passed over, as if it named other tags. ``*`` names whatever there is: that is
    so where the resource is known to exist (`exists`), and is left to the archive where it is not.
    """
    if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
        return False
    text = ", ".join(request.headers.getall(hdrs.IF_NONE_MATCH, [])).strip(" \t,")
    if text == "*":
        return exists
    if _LIST.fullmatch(text) is None:
        return False
    return entity_tag.removeprefix("W/") in (match[1] for match in _TAG.finditer(text))


def answer_unchanged(headers: Mapping[str, str]) -> web.Response:
    """304 with those of `headers` that a 304 has."""
    response = web.Response(status=304)
    for name in _KEPT_IN_304:
        if name in headers:
            response.headers[name] = headers[name]
    return response
