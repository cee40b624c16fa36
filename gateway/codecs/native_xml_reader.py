"""The Native DICOM Model read: one XML document to one DICOM JSON Model object (PS3.19 §A.1, PS3.18 §F.3).

The other direction of ``dicom_xml``. For request bodies: no entity is resolved, no DTD is taken, nothing is fetched,
and what is no Native DICOM Model is refused whole. What XML says by a private creator's name becomes a private block
again (PS3.5 §7.8.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from lxml import etree

from gateway.codecs.dicom_xml import NAMESPACE
from gateway.errors import DecodeError

__all__ = ["read_native_xml"]

Model = dict[str, Any]

_MAX_DEPTH = 32
_MAX_TAGS = 750_000  # in ordinary documents there is one in 30 bytes; empty elements cost a hundred times their length
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_ODD = "13579BDF"
_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0xFF
_INTEGERS = frozenset({"SL", "SS", "SV", "UL", "US", "UV"})
_FLOATS = frozenset({"FD", "FL"})
_FLOAT_NAMES = {"INF": "Infinity", "-INF": "-Infinity", "NaN": "NaN"}
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_OLD_GROUPS = {"SingleByte": "Alphabetic"}
"""What the schema of 2011 called them."""

_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_VRS = frozenset(
    "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)


def read_native_xml(document: bytes) -> Model:
    """Read a document.

    Parameters
    ----------
    document : bytes
        Whole; the encoding as its XML declaration says, UTF-8 without one.

    Returns
    -------
    dict
        A DICOM JSON Model object, tags upper-case and ascending. IS and DS values stay text, as they were written.

    Raises
    ------
    DecodeError
        Not well-formed, with a document type declaration, with 750,000 tags and more, or not a Native DICOM Model;
        `path` names the tag.
    """
    if document.count(b"<") > _MAX_TAGS:
        raise DecodeError(f"more than {_MAX_TAGS} tags")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(document, parser)
    except etree.XMLSyntaxError as error:
        raise DecodeError(f"not well-formed XML, line {error.lineno}") from None
    if root.getroottree().docinfo.doctype:
        raise DecodeError("a document type declaration is not taken")
    if _name(root) != "NativeDicomModel":
        raise DecodeError("not a NativeDicomModel document")
    return _read_data_set(root, "", 0)


def _name(element: etree._Element) -> str:
    """The local name of an element of the namespace; of none too, since senders forget it."""
    tag = element.tag
    if not isinstance(tag, str):
        return ""
    namespace, _, local = tag.rpartition("}")
    return local if namespace in ("", "{" + NAMESPACE) else ""


def _read_data_set(parent: etree._Element, path: str, depth: int) -> Model:
    if depth > _MAX_DEPTH:
        raise DecodeError(f"sequences nested more than {_MAX_DEPTH} deep", path=path)
    model: Model = {}
    blocks = _PrivateBlocks(parent)
    for element in parent:
        if _name(element) != "DicomAttribute":
            raise DecodeError("an element that is no DicomAttribute", path=path)
        tag = _read_tag(element, blocks, path)
        if tag in model:
            raise DecodeError("an attribute given twice", path=path + tag)
        model[tag] = _read_attribute(element, path + tag, depth)
    return dict(sorted((blocks.creators | model).items()))


def _read_tag(element: etree._Element, blocks: _PrivateBlocks, path: str) -> str:
    tag = element.get("tag", "").upper()
    if not _TAG.fullmatch(tag):
        raise DecodeError("a DicomAttribute without a tag of eight hexadecimal digits", path=path)
    creator = element.get("privateCreator")
    if creator is None or tag[3] not in _ODD:
        return tag
    return blocks.place(tag, creator.strip(), path)


class _PrivateBlocks:
    """Gives each private creator of a data set a block of its own, in the order of their coming.

    Blocks that the data set numbers itself, in creators or other elements, stay what they are: creators that have one
    keep it, and no other is given it.
    """

    def __init__(self, parent: etree._Element) -> None:
        self.creators: Model = {}
        self._blocks: dict[tuple[str, str], int] = {}
        self._taken: set[tuple[str, int]] = set()
        self._next: dict[str, int] = {}
        for element in parent:
            tag = element.get("tag", "").upper()
            if _TAG.fullmatch(tag) and tag[3] in _ODD and element.get("privateCreator") is None:
                self._keep(element, tag[:4], int(tag[4:], 16))

    def _keep(self, element: etree._Element, group: str, number: int) -> None:
        if number > _LAST_BLOCK:
            self._taken.add((group, number >> 8))
        elif number >= _FIRST_BLOCK:
            self._taken.add((group, number))
            name = next((value.text or "" for value in element if _name(value) == "Value"), "")
            self._blocks.setdefault((group, name.strip()), number)

    def place(self, tag: str, creator: str, path: str) -> str:
        """The tag within the block of `creator`."""
        group = tag[:4]
        block = self._blocks.get((group, creator))
        if block is None:
            block = self._next.get(group, _FIRST_BLOCK)
            while (group, block) in self._taken:
                block += 1
            if block > _LAST_BLOCK:
                raise DecodeError("more private creators than blocks", path=path + tag)
            self._next[group] = block + 1
            self._blocks[group, creator] = block
            self.creators[f"{group}00{block:02X}"] = {"vr": "LO", "Value": [creator]}
        return f"{group}{block:02X}{tag[6:]}"


# --- content ---


def _read_attribute(element: etree._Element, path: str, depth: int) -> dict[str, Any]:
    vr = element.get("vr", "")
    if vr not in _VRS:
        raise DecodeError("a DicomAttribute without a known VR", path=path)
    children = list(element)
    attribute: dict[str, Any] = {"vr": vr}
    if not children:
        return attribute
    kind = _name(children[0])
    if any(_name(child) != kind for child in children):
        raise DecodeError("a DicomAttribute with content of several kinds", path=path)
    if kind in ("InlineBinary", "BulkData") and len(children) > 1:
        raise DecodeError(f"more than one {kind}", path=path)
    if kind == "InlineBinary":
        attribute["InlineBinary"] = "".join(_read_inline(children[0], path).split())
    elif kind == "BulkData":
        attribute["BulkDataURI"] = _read_uri(children[0], path)
    else:
        attribute["Value"] = _read_values(children, kind, vr, path, depth)
    return attribute


def _read_inline(element: etree._Element, path: str) -> str:
    try:
        return _take_text(element)
    except ValueError as error:
        raise DecodeError(str(error), path=path) from None


def _read_uri(element: etree._Element, path: str) -> str:
    uri = element.get("uri") or element.get("uuid")
    if not uri:
        raise DecodeError("BulkData without uri", path=path)
    return uri


def _read_values(children: list[etree._Element], kind: str, vr: str, path: str, depth: int) -> list[Any]:
    expected = {"SQ": "Item", "PN": "PersonName"}.get(vr, "Value")
    if kind != expected:
        raise DecodeError(f"{kind or 'a foreign element'} where {expected} is due", path=path)
    ordered = sorted(enumerate(children, start=1), key=lambda pair: _read_number(pair[1], pair[0], path))
    if vr == "SQ":
        return [
            _read_data_set(child, f"{path}/{number}/", depth + 1) for number, (_, child) in enumerate(ordered, start=1)
        ]
    read = _READERS.get(vr, _read_text)
    try:
        return [read(child) for _, child in ordered]
    except ValueError:
        raise DecodeError(f"not a value of VR {vr}", path=path) from None


def _read_number(element: etree._Element, position: int, path: str) -> int:
    text = element.get("number", str(position))
    if not text.isascii() or not text.isdigit():
        raise DecodeError("a number that is none", path=path)
    return int(text[:9])


def _take_text(element: etree._Element) -> str:
    """All text of an element, which has nothing else: what stands behind a child would be lost."""
    if len(element):
        raise ValueError("elements within text")
    return element.text or ""


def _read_text(element: etree._Element) -> str | None:
    return _take_text(element) or None


def _read_integer(element: etree._Element) -> int | None:
    text = _take_text(element).strip()
    return int(text) if text else None


def _read_float(element: etree._Element) -> float | str | None:
    text = _take_text(element).strip()
    return _FLOAT_NAMES.get(text) or (float(text) if text else None)


def _read_name(element: etree._Element) -> dict[str, str] | None:
    name = {}
    for kind, group in _take_children(element, (*_NAME_GROUPS, *_OLD_GROUPS)).items():
        kind = _OLD_GROUPS.get(kind, kind)
        if kind in name:
            raise ValueError("a name group given twice")
        parts = {part: _take_text(found) for part, found in _take_children(group, _COMPONENTS).items()}
        if any("=" in text or ("^" in text and part != _COMPONENTS[-1]) for part, text in parts.items()):
            raise ValueError("a delimiter within a name component")  # but what was a sixth component is in the fifth
        if text := "^".join(parts.get(component, "") for component in _COMPONENTS).rstrip("^"):
            name[kind] = text
    return name or None


def _take_children(element: etree._Element, allowed: tuple[str, ...]) -> dict[str, etree._Element]:
    """The children of an element by their names, each once and one of `allowed`, with no text beside them."""
    children = {_name(child): child for child in element}
    texts = [element.text, *(child.tail for child in element)]
    if len(children) != len(element) or not children.keys() <= set(allowed) or any(it and it.strip() for it in texts):
        raise ValueError("not a name")
    return children


_READERS: dict[str, Callable[[etree._Element], Any]] = {
    "PN": _read_name,
    **dict.fromkeys(_INTEGERS, _read_integer),
    **dict.fromkeys(_FLOATS, _read_float),
}
