"""The Native DICOM Model: one XML document a data set (PS3.19 §A.1, PS3.18 §F.3.1).

Metadata and search results leave as XML this way. It is no reader, and knows no transfer syntaxes: `XML` is the form
that ``data_set_encoder`` writes in, and `encode_native_xml` writes what is a model already. What XML has and JSON has
not is added here: keywords, private creators instead of private blocks, the components of names, numbers of values.

Documents are valid against the RELAX NG schema of PS3.19 §A.1.6 but for ``xml:space="preserve"`` on the root, which
Table A.1.5-1 demands and that schema forgot. They are written as libxml2 would, without building a tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from gateway.codecs.dictionary import keyword_for_tag
from gateway.codecs.fragment_memo import Form

__all__ = ["NAMESPACE", "XML", "encode_native_xml"]

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

_DECLARATION = b"<?xml version='1.0' encoding='UTF-8'?>\n"
_ROOT = b'<NativeDicomModel xmlns="' + NAMESPACE.encode() + b'" xml:space="preserve"'
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
# what XML 1.0 §2.2 has no way to write, not even as a character reference
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# what stands for itself in content and, but for white space, in attributes
_PLAIN = re.compile("[\x20\x21\x23-\x25\x27-\x3b\x3d\x3f-\x7e]*")
_IN_CONTENT = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_IN_ATTRIBUTE = _IN_CONTENT | str.maketrans({'"': "&quot;", "\n": "&#10;", "\t": "&#9;"})
# the lexical forms of xsd:double
_FLOATS = {"Infinity": "INF", "-Infinity": "-INF"}
_MAX_CREATOR = 64
_CREATOR_ATTRIBUTE = b' privateCreator="'

Attribute = Mapping[str, Any]
Model = Mapping[str, Attribute]


def encode_native_xml(model: Model) -> bytes:
    """Write a model as an XML document.

    Parameters
    ----------
    model : mapping
        A DICOM JSON Model object: upper-case tags, ascending.

    Returns
    -------
    bytes
        UTF-8 with XML declaration, no white space added.

    Notes
    -----
    Private data elements lose their block number and name their creator (``00091002`` → ``00090002``); the creators'
    own elements are left out, since the attribute says the same (PS3.19 Table A.1.5-2). Where no creator reserves the
    block, or its name is empty or longer than 64 characters, the attribute must not be empty either: it reads
    ``UNKNOWN 10``, with the number of the block, which keeps elements of different blocks apart.
    Characters that XML cannot express become U+FFFD; CR is written ``&#13;``.
    """
    return XML.enclose(_encode_model(model))


def _encode_model(model: Model) -> bytes:
    attributes = [(int(tag, 16), attribute) for tag, attribute in model.items()]
    creators = {tag: XML.name_creator(attribute) for tag, attribute in attributes if _is_creator(tag)}
    return b"".join([_encode_attribute(tag, attribute, creators) for tag, attribute in attributes])


def _encode_attribute(tag: int, attribute: Attribute, creators: Mapping[int, str]) -> bytes:
    if not tag & 0xFFFF:
        return b""
    if attribute["vr"] != "SQ":
        return XML.encode(tag, attribute, creators)
    items = [_encode_model(item or {}) for item in attribute.get("Value", ())]
    return XML.encode_sequence(tag, items, creators)


class _NativeXml:
    """The Native DICOM Model as the form of a data set."""

    separator = b""

    def encode(self, tag: int, attribute: Attribute, creators: Mapping[int, str]) -> bytes:
        if creators.get(tag):
            return b""
        start = _start_tag(tag, attribute["vr"], creators)
        content = _encode_content(attribute)
        return f"{start}>{content}</DicomAttribute>".encode() if content else f"{start}/>".encode()

    def encode_sequence(self, tag: int, items: Sequence[bytes], creators: Mapping[int, str]) -> bytes:
        start = _start_tag(tag, "SQ", creators).encode()
        if not items:
            return start + b"/>"
        parts = [
            b'<Item number="%d">%b</Item>' % (number, item) if item else b'<Item number="%d"/>' % number
            for number, item in enumerate(items, start=1)
        ]
        return b"%b>%b</DicomAttribute>" % (start, b"".join(parts))

    def enclose(self, content: bytes) -> bytes:
        if not content:
            return _DECLARATION + _ROOT + b"/>"
        return b"%b%b>%b</NativeDicomModel>" % (_DECLARATION, _ROOT, content)

    def name_creator(self, attribute: Attribute) -> str:
        if attribute["vr"] != "LO":
            return ""
        values = attribute.get("Value") or [None]
        name = _text_of(values[0]).strip()
        return name if len(name) <= _MAX_CREATOR else ""

    def restate(self, tag: int, text: bytes, creators: Mapping[int, str]) -> bytes:
        if not _is_private(tag) or _is_creator(tag):
            return text
        start = text.index(_CREATOR_ATTRIBUTE) + len(_CREATOR_ATTRIBUTE)
        end = text.index(b'"', start)
        return text[:start] + _quote(_find_creator(tag, creators)).encode() + text[end:]


XML: Form = _NativeXml()


def _start_tag(tag: int, vr: str, creators: Mapping[int, str]) -> str:
    """Return tag, vr and keyword or private creator (PS3.19 Table A.1.5-2), without the closing bracket."""
    if not _is_private(tag):
        return f'<DicomAttribute tag="{tag:08X}" vr="{vr}"{_find_keyword(tag)}'
    if _is_creator(tag):
        # one without a usable name
        return f'<DicomAttribute tag="{tag:08X}" vr="{vr}"'
    creator = _quote(_find_creator(tag, creators))
    return f'<DicomAttribute tag="{tag & 0xFFFF00FF:08X}" vr="{vr}" privateCreator="{creator}"'


def _is_private(tag: int) -> bool:
    return bool(tag & 0x10000)


def _is_creator(tag: int) -> bool:
    return _is_private(tag) and 0x10 <= tag & 0xFFFF <= 0xFF


def _find_creator(tag: int, creators: Mapping[int, str]) -> str:
    return creators.get(tag & 0xFFFF0000 | tag >> 8 & 0xFF) or f"UNKNOWN {tag >> 8 & 0xFF:02X}"


@lru_cache(maxsize=8192)
def _find_keyword(tag: int) -> str:
    keyword = keyword_for_tag(tag)
    return f' keyword="{keyword}"' if keyword else ""


# --- content ---


def _encode_content(attribute: Attribute) -> str:
    if "InlineBinary" in attribute:
        return f"<InlineBinary>{attribute['InlineBinary']}</InlineBinary>"
    if "BulkDataURI" in attribute:
        return f'<BulkData uri="{_quote(_text_of(attribute["BulkDataURI"]))}"/>'
    encode = _ENCODERS.get(attribute["vr"], _encode_values)
    return encode(attribute.get("Value", ()))


def _encode_values(values: Sequence[Any]) -> str:
    return "".join(
        [f'<Value number="{number}">{_escape(_text_of(value))}</Value>' for number, value in enumerate(values, start=1)]
    )


def _encode_floats(values: Sequence[Any]) -> str:
    return _encode_values([_FLOATS.get(value, value) for value in values])


def _encode_names(values: Sequence[Any]) -> str:
    return "".join([_encode_name(number, name or {}) for number, name in enumerate(values, start=1)])


def _encode_name(number: int, name: Mapping[str, str]) -> str:
    groups = [(group, _encode_components(name[group])) for group in _NAME_GROUPS if name.get(group)]
    content = "".join([f"<{group}>{parts}</{group}>" if parts else f"<{group}/>" for group, parts in groups])
    return f'<PersonName number="{number}">{content}</PersonName>' if content else f'<PersonName number="{number}"/>'


def _encode_components(text: str) -> str:
    """Split at the carets; what would be a sixth component stays with the fifth, since there is none in XML."""
    parts = zip(_COMPONENTS, text.split("^", 4), strict=False)
    return "".join([f"<{name}>{_escape(_text_of(part))}</{name}>" for name, part in parts if part])


def _text_of(value: Any) -> str:
    return "" if value is None else _FORBIDDEN.sub("\ufffd", str(value))


def _escape(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else text.translate(_IN_CONTENT)


def _quote(text: str) -> str:
    return text if _PLAIN.fullmatch(text) else text.translate(_IN_ATTRIBUTE)


_ENCODERS: dict[str, Callable[[Sequence[Any]], str]] = {
    "FD": _encode_floats,
    "FL": _encode_floats,
    "PN": _encode_names,
}
