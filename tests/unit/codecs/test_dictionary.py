"""The dictionaries: the same answers as pydicom's, for everything that is in them and much that is not."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import datadict
from pydicom._dicom_dict import DicomDictionary
from pydicom._private_dict import private_dictionaries
from pydicom._uid_dict import UID_dictionary

from gateway.codecs import dictionary


def outcome(function: object, *arguments: object) -> object:
    try:
        return function(*arguments)  # type: ignore[operator]
    except KeyError:
        return KeyError


def assert_same(tag: int) -> None:
    assert outcome(dictionary.public_dictionary_vr, tag) == outcome(datadict.dictionary_VR, tag)
    assert dictionary.keyword_for_tag(tag) == datadict.keyword_for_tag(tag)


def test_every_public_attribute() -> None:
    for tag in DicomDictionary:
        assert_same(tag)
        keyword = dictionary.keyword_for_tag(tag)
        assert dictionary.tag_for_keyword(keyword) == datadict.tag_for_keyword(keyword)
    assert dictionary.tag_for_keyword("Nothing") is None


@given(
    st.one_of(
        st.integers(0, 0xFFFFFFFF),
        st.sampled_from([0x50000005, 0x60000010, 0x00203100, 0x00280400, 0x00280410, 0x10000000, 0x10100000]).flatmap(
            lambda tag: st.integers(0, 0xFFFF).map(lambda low: (tag & 0xFF00FF00) | low & 0xFF | (low & 0xFF00) << 8)
        ),
    )
)
def test_any_tag_and_those_of_repeating_groups(tag: int) -> None:
    assert_same(tag)


def test_every_private_attribute_in_any_block() -> None:
    for creator, known in private_dictionaries.items():
        for pattern in known:
            tag = int(pattern.replace("x", "1"), 16)
            ours, expected = dictionary.private_dictionary_vr, datadict.private_dictionary_VR
            assert outcome(ours, tag, creator) == outcome(expected, tag, creator)
    for tag, creator in ((0x00091001, "nobody"), (0x0029FF77, "1.2.840.113663.1")):
        assert outcome(dictionary.private_dictionary_vr, tag, creator) is KeyError


def test_names_of_attributes_and_uids() -> None:
    names = dictionary.list_attribute_names()
    assert names["00100010"] == "Patient's Name" and names["60xx0010"] == "Overlay Rows"
    assert len(names) > len(DicomDictionary)
    assert [(entry.uid, entry.name, entry.kind) for entry in dictionary.list_uids()] == [
        (uid, entry[0], entry[1]) for uid, entry in UID_dictionary.items()
    ]


@pytest.mark.parametrize(("before", "imported"), [("", False), ("import pydicom; ", True)])
def test_the_tables_come_without_the_package_unless_it_is_there(before: str, imported: bool) -> None:
    code = (
        f"{before}import sys; from gateway.codecs import dictionary as d;"
        "assert d.public_dictionary_vr(0x00100010) == 'PN';"
        "print('pydicom' in sys.modules, d._load('_dicom_dict') is sys.modules.get('pydicom._dicom_dict'))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split() == [str(imported)] * 2
