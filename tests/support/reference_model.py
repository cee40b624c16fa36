"""The plain way from a data set to DICOM JSON and Native XML: dictionaries, a tree of elements, no memory of others.

What ``data_set_encoder`` writes is compared with this, byte for byte. Both stand on ``scanner`` and ``json_values``,
which other tests compare with pydicom.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import orjson
from lxml import etree
from pydicom.datadict import keyword_for_tag

from gateway.codecs import Buffer
from gateway.codecs.charset import decode_text, find_encodings
from gateway.codecs.inflate import Inflater
from gateway.codecs.json_values import BULK_VRS, has_unwritable_number, read_value
from gateway.codecs.scanner import Scanner
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.codecs.value_representations import look_up_vr
from gateway.errors import DecodeError

__all__ = ["Model", "build_model", "build_xml", "read_reference"]

Model = dict[str, Any]

_CHARACTER_SET = 0x00080005
_PIXEL_DATA = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_NAMESPACE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


class _DataSet:
    def __init__(self, path: str, encodings: tuple[str, ...]) -> None:
        self.path = path
        self.encodings = encodings
        self.model: dict[int, dict[str, Any]] = {}
        self.sequences: list[tuple[int, list[Model]]] = []

    def sort(self) -> Model:
        return {f"{tag:08X}": self.model[tag] for tag in sorted(self.model)}


class _ModelReader(Scanner):
    def __init__(self, uid: str, uri: Callable[[str], str] | None, inline_limit: int, character_set: str) -> None:
        super().__init__(get_transfer_syntax(uid))
        self._uri = uri
        self._inline_limit = inline_limit
        self._default = character_set
        self._open = [_DataSet("", find_encodings("", character_set))]

    def read(self, data: bytes) -> None:
        self._scan(data)

    def end(self) -> None:
        self._check_end()

    def salvage(self) -> Model:
        while True:
            if self._open[-1].sequences:
                self._end_sequence()
            if len(self._open) == 1:
                return self._open[0].sort()
            self._end_item()

    def _wants(self, tag: int, vr: str, length: int) -> bool:
        if self._uri is None or vr not in BULK_VRS or not length:
            return True
        limit = 4 << 20 if vr in ("LT", "ST", "UC", "UT") else self._inline_limit
        return length <= limit and not (tag in _PIXEL_DATA and len(self._open) == 1)

    def _add_element(self, tag: int, vr: str, value: bytes) -> None:
        opened = self._open[-1]
        if _is_left_out(tag):
            return
        if tag == _CHARACTER_SET:
            opened.encodings = find_encodings(decode_text(value, "CS", opened.encodings), self._default)
            opened.model[tag] = {"vr": "CS", "Value": ["ISO_IR 192"]}
        elif self._uri is not None and has_unwritable_number(vr, value):
            self._refer(tag, vr)
        else:
            known = look_up_vr(tag, None)
            if vr == "UN" and len(known) == 2 and known != "SQ":
                vr = known
            opened.model[tag] = read_value(vr, value, opened.encodings)

    def _refer(self, tag: int, vr: str) -> None:
        opened = self._open[-1]
        opened.model[tag] = {"vr": vr}
        if self._uri is not None:
            opened.model[tag]["BulkDataURI"] = self._uri(f"{opened.path}{tag:08X}")

    def _start_value(self, tag: int, vr: str, length: int) -> None:
        if not _is_left_out(tag):
            self._refer(tag, vr)

    def _start_encapsulated(self, tag: int, vr: str) -> None:
        self._start_value(tag, vr, 0)

    def _start_sequence(self, tag: int, vr: str) -> None:
        self._open[-1].sequences.append((tag, []))

    def _start_item(self) -> None:
        outer = self._open[-1]
        tag, items = outer.sequences[-1]
        self._open.append(_DataSet(f"{outer.path}{tag:08X}/{len(items) + 1}/", outer.encodings))

    def _end_item(self) -> None:
        item = self._open.pop()
        self._open[-1].sequences[-1][1].append(item.sort())

    def _end_sequence(self) -> None:
        tag, items = self._open[-1].sequences.pop()
        if not _is_left_out(tag):
            self._open[-1].model[tag] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}

    def _add_chunk(self, data: Buffer) -> None:
        pass

    def _end_value(self) -> None:
        pass

    def _start_fragment(self, index: int, length: int) -> None:
        pass

    def _add_fragment_chunk(self, data: Buffer) -> None:
        pass

    def _end_fragment(self) -> None:
        pass

    def _end_encapsulated(self) -> None:
        pass


def _is_left_out(tag: int) -> bool:
    return not tag & 0xFFFF or tag >> 16 in (0, 2) or tag == 0xFFFCFFFC


def read_reference(
    data: bytes,
    transfer_syntax_uid: str,
    *,
    bulkdata_uri: Callable[[str], str] | None,
    inline_limit: int = 1024,
    default_character_set: str = "ISO_IR 6",
) -> tuple[Model, DecodeError | None]:
    """The model of a data set as far as it can be read, and the error that ended the reading."""
    reader = _ModelReader(transfer_syntax_uid, bulkdata_uri, inline_limit, default_character_set)
    try:
        if get_transfer_syntax(transfer_syntax_uid).deflated:
            inflater = Inflater()
            for step in chain(inflater.feed(data), inflater.finish()):
                reader.read(step)
        else:
            reader.read(data)
        reader.end()
    except DecodeError as error:
        return reader.salvage(), error
    return reader.salvage(), None


def build_model(
    data: bytes,
    transfer_syntax_uid: str,
    bulkdata_uri: Callable[[str], str] | None = None,
    inline_limit: int = 1024,
) -> Model:
    """The model of a data set that can be read to its end; DecodeError where it cannot."""
    model, error = read_reference(data, transfer_syntax_uid, bulkdata_uri=bulkdata_uri, inline_limit=inline_limit)
    if error is not None:
        raise error
    return orjson.loads(orjson.dumps(model))  # type: ignore[no-any-return]


# --- Native XML through a tree ---

_SPACE = "{http://www.w3.org/XML/1998/namespace}space"
_NAME_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
# what XML 1.0 §2.2 has no way to write, not even as a character reference
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# the lexical forms of xsd:double
_FLOATS = {"Infinity": "INF", "-Infinity": "-INF"}
_MAX_CREATOR = 64


def _name(tag: str) -> str:
    return _NAMESPACE + tag


_ATTRIBUTE, _VALUE, _ITEM = _name("DicomAttribute"), _name("Value"), _name("Item")
_PERSON_NAME, _INLINE_BINARY, _BULK_DATA = _name("PersonName"), _name("InlineBinary"), _name("BulkData")


def build_xml(model: Model) -> bytes:
    """The Native DICOM Model document of a model."""
    root = etree.Element(_name("NativeDicomModel"), {_SPACE: "preserve"}, nsmap={None: _NAMESPACE[1:-1]})
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
