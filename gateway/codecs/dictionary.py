"""The data dictionaries: VRs, keywords and names of attributes, names of UIDs (PS3.6, and private ones).

The tables are pydicom's. Its modules of tables are loaded by themselves: importing the package for them would bring
numpy, Pillow and an HTTP client with it, and take longer than all the rest of a start. Whoever has imported pydicom
already shares its tables.

Source: PS3.6 §6, §7, Annex A; PS3.5 §7.6 (repeating groups), §7.8.1
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

__all__ = [
    "UidEntry",
    "keyword_for_tag",
    "list_attribute_names",
    "list_uids",
    "private_dictionary_vr",
    "public_dictionary_vr",
    "tag_for_keyword",
]


class UidEntry(NamedTuple):
    """A UID of PS3.6 Annex A: its name and its kind, for instance ``SOP Class``."""

    uid: str
    name: str
    kind: str


def public_dictionary_vr(tag: int) -> str:
    """VR of a public attribute as PS3.6 has it, perhaps ambiguous (``US or SS``), repeating groups included.

    Raises
    ------
    KeyError
        No such attribute.
    """
    return _find_entry(tag)[0]


def private_dictionary_vr(tag: int, creator: str) -> str:
    """VR of a private attribute in the block of `creator`, whichever block that is.

    Raises
    ------
    KeyError
        No dictionary knows the creator or the attribute.
    """
    known: dict[str, tuple[str, str, str, str]] = _load("_private_dict").private_dictionaries[creator]
    digits = f"{tag:08X}"
    patterns = (digits, f"{digits[:4]}xx{digits[6:]}", f"{digits[:2]}xxxx{digits[6:]}")
    for pattern in patterns:
        if pattern in known:
            return known[pattern][0]
    raise KeyError(tag)


def keyword_for_tag(tag: int) -> str:
    """The keyword of a public attribute, empty where there is none."""
    try:
        return _find_entry(tag)[4]
    except KeyError:
        return ""


def tag_for_keyword(keyword: str) -> int | None:
    """The tag of an attribute by its keyword; repeating groups have none."""
    return _tags_by_keyword().get(keyword)


def list_attribute_names() -> dict[str, str]:
    """Names by 8 upper-case hex digits; those of repeating groups have ``x`` for the digits that vary."""
    tables = _load("_dicom_dict")
    repeating = {pattern: entry[2] for pattern, entry in tables.RepeatersDictionary.items()}
    return repeating | {f"{tag:08X}": entry[2] for tag, entry in tables.DicomDictionary.items()}


def list_uids() -> list[UidEntry]:
    """Every UID of PS3.6 Annex A."""
    return [UidEntry(uid, entry[0], entry[1]) for uid, entry in _load("_uid_dict").UID_dictionary.items()]


def _find_entry(tag: int) -> tuple[str, str, str, str, str]:
    tables = _load("_dicom_dict")
    entry: tuple[str, str, str, str, str] | None = tables.DicomDictionary.get(tag)
    if entry is None and not tag & 0x10000:
        pattern = next((pattern for pattern, (value, mask) in _masks() if (tag ^ value) & mask == 0), "")
        entry = tables.RepeatersDictionary.get(pattern)
    if entry is None:
        raise KeyError(tag)
    return entry


@cache
def _masks() -> tuple[tuple[str, tuple[int, int]], ...]:
    """Patterns of repeating groups with the digits they fix and where those are."""
    patterns = _load("_dicom_dict").RepeatersDictionary
    return tuple(
        (pattern, (int(pattern.replace("x", "0"), 16), int("".join("0" if c == "x" else "F" for c in pattern), 16)))
        for pattern in patterns
    )


@cache
def _tags_by_keyword() -> dict[str, int]:
    return {entry[4]: tag for tag, entry in _load("_dicom_dict").DicomDictionary.items()}


@cache
def _load(name: str) -> ModuleType:
    """A module of tables of pydicom, without the package around it."""
    loaded = sys.modules.get(f"pydicom.{name}")
    if loaded is not None:
        return loaded
    package = find_spec("pydicom")
    assert package is not None and package.submodule_search_locations
    spec = spec_from_file_location(name, Path(package.submodule_search_locations[0]) / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
