"""The Native DICOM Model: one XML document from one DICOM JSON Model object (PS3.19 §A.1, PS3.18 §F.3.1).

Metadata and search results leave as XML this way. It is no reader, and knows no transfer syntaxes: ``dicom_json`` made
the model. What XML has and JSON has not is added here: keywords, private creators instead of private blocks, the
components of names, numbers of values.

Documents are valid against the RELAX NG schema of PS3.19 §A.1.6 but for ``xml:space="preserve"`` on the root, which
Table A.1.5-1 demands and that schema forgot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from lxml import etree
from pydicom.datadict import keyword_for_tag

__all__ = ["NAMESPACE", "encode_native_xml"]

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"

_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
# what XML 1.0 §2.2 has no way to write, not even as a character reference
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# the lexical forms of xsd:double
_FLOATS = {"Infinity": "INF", "-Infinity": "-INF"}
_MAX_CREATOR = 64


def _name(tag: str) -> str:
    return f"{{{NAMESPACE}}}{tag}"


_ATTRIBUTE, _VALUE, _ITEM = _name("DicomAttribute"), _name("Value"), _name("Item")
_PERSON_NAME, _INLINE_BINARY, _BULK_DATA = _name("PersonName"), _name("InlineBinary"), _name("BulkData")

Model = Mapping[str, Mapping[str, Any]]


def encode_native_xml(model: Model) -> bytes:
    """Write a model as an XML document.

    Parameters
    ----------
    model : mapping
        A DICOM JSON Model object as ``JsonModelBuilder`` makes it: upper-case tags, ascending.

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
    root = etree.Element(_name("NativeDicomModel"), {_SPACE: "preserve"}, nsmap={None: NAMESPACE})
    _add_data_set(root, model)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _add_data_set(parent: etree._Element, model: Model) -> None:
    creators = _find_creators(model)
    for tag, attribute in model.items():
        if tag[4:] == "0000" or tag in creators:
            continue
        element = etree.SubElement(parent, _ATTRIBUTE, _identify(tag, attribute["vr"], creators))
        _add_content(element, attribute)


def _identify(tag: str, vr: str, creators: Mapping[str, str]) -> dict[str, str]:
    """Return tag, vr and keyword or private creator (PS3.19 Table A.1.5-2)."""
    if not _is_private(tag):
        keyword = _find_keyword(tag)
        return {"tag": tag, "vr": vr, "keyword": keyword} if keyword else {"tag": tag, "vr": vr}
    if _is_creator(tag):
        # one without a usable name
        return {"tag": tag, "vr": vr}
    creator = creators.get(f"{tag[:4]}00{tag[4:6]}", f"UNKNOWN {tag[4:6]}")
    return {"tag": f"{tag[:4]}00{tag[6:]}", "vr": vr, "privateCreator": creator}


def _is_private(tag: str) -> bool:
    return tag[3] in "13579BDF"


def _is_creator(tag: str) -> bool:
    return _is_private(tag) and tag[4:6] == "00" and tag[6] != "0"


def _find_creators(model: Model) -> dict[str, str]:
    """Return the names by the tags of the private creators of a data set (PS3.5 §7.8.1)."""
    creators: dict[str, str] = {}
    for tag, attribute in model.items():
        if _is_creator(tag) and attribute["vr"] == "LO":
            values = attribute.get("Value") or [None]
            name = _text_of(values[0]).strip()
            if 0 < len(name) <= _MAX_CREATOR:
                creators[tag] = name
    return creators


@lru_cache(maxsize=8192)
def _find_keyword(tag: str) -> str:
    return keyword_for_tag(int(tag, 16))


# --- content ---


def _add_content(element: etree._Element, attribute: Mapping[str, Any]) -> None:
    if "InlineBinary" in attribute:
        etree.SubElement(element, _INLINE_BINARY).text = attribute["InlineBinary"]
    elif "BulkDataURI" in attribute:
        etree.SubElement(element, _BULK_DATA, {"uri": _text_of(attribute["BulkDataURI"])})
    else:
        add = _WRITERS.get(attribute["vr"], _add_values)
        add(element, attribute.get("Value", ()))


def _add_values(element: etree._Element, values: Sequence[Any]) -> None:
    for number, value in enumerate(values, start=1):
        etree.SubElement(element, _VALUE, {"number": str(number)}).text = _text_of(value)


def _add_floats(element: etree._Element, values: Sequence[Any]) -> None:
    _add_values(element, [_FLOATS.get(value, value) for value in values])


def _add_items(element: etree._Element, values: Sequence[Any]) -> None:
    for number, item in enumerate(values, start=1):
        _add_data_set(etree.SubElement(element, _ITEM, {"number": str(number)}), item or {})


def _add_names(element: etree._Element, values: Sequence[Any]) -> None:
    for number, name in enumerate(values, start=1):
        person = etree.SubElement(element, _PERSON_NAME, {"number": str(number)})
        for group in _NAME_GROUPS:
            if name and name.get(group):
                _add_components(etree.SubElement(person, _name(group)), name[group])


def _add_components(group: etree._Element, text: str) -> None:
    """Split at the carets; what would be a sixth component stays with the fifth, since there is none in XML."""
    for component, part in zip(_COMPONENTS, text.split("^", 4), strict=False):
        if part:
            etree.SubElement(group, _name(component)).text = _text_of(part)


def _text_of(value: Any) -> str:
    return "" if value is None else _FORBIDDEN.sub("�", str(value))


_WRITERS: dict[str, Callable[[etree._Element, Sequence[Any]], None]] = {
    "FD": _add_floats,
    "FL": _add_floats,
    "PN": _add_names,
    "SQ": _add_items,
}
