"""The tokenizer on every sample file, against pydicom's reading of the same file.

pydicom reads on where data is cut or lengths disagree; there, the tokenizer must refuse or agree.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from gateway.codecs.tokens import (
    Element,
    EncapsulatedEnd,
    EncapsulatedStart,
    FragmentChunk,
    FragmentStart,
    ItemEnd,
    ItemStart,
    SequenceEnd,
    SequenceStart,
    Token,
    ValueChunk,
)
from gateway.codecs.value_representations import WORD_SIZES, swap_words
from gateway.errors import DecodeError
from tests.support.samples import sample_files
from tests.support.tokens import pieces_of, read_sample, tokenize

# what pydicom says otherwise on purpose: group lengths of private groups are UL, not UN (PS3.5 §7.2); a sequence by
# the dictionary that does not hold items is UN, where pydicom makes items of what is not; of an element that
# comes twice pydicom keeps one
_DIFFERENT = frozenset({"Tag-0040-A170-VR-CS.dcm", "winter.dcm"})
_REFUSED = frozenset(
    {
        "DICOMDIR-nooffset",
        "GH179A.dcm",
        "GH179B.dcm",
        "MR_truncated.dcm",
        "emri_small_jpeg_2k_lossless_too_short.dcm",
        "rtplan_truncated.dcm",
        "truncated_pixeldata.dcm",
    }
)


def read_with_pydicom(path: Path) -> list[object]:
    found: list[object] = []
    _walk(pydicom.dcmread(path, force=True), found)
    return found


def _walk(data_set: Dataset, found: list[object]) -> None:
    for tag in list(data_set.keys()):
        raw = data_set.get_item(tag)
        vr = raw.VR or data_set[tag].VR
        if vr == "SQ":
            found.append(("SQ", int(tag)))
            for item in data_set[tag].value:
                _walk(item, found)
                found.append("end of item")
            found.append("end of sequence")
        elif isinstance(raw, RawDataElement) and raw.length == 0xFFFFFFFF:
            found.append((int(tag), "fragments", raw.value))
        elif isinstance(raw, RawDataElement):
            value = raw.value or b""
            if vr in WORD_SIZES and not raw.is_little_endian:
                value = swap_words(value, WORD_SIZES[vr])
            found.append((int(tag), "UL" if not tag.element else str(vr), value))
        else:
            # read already, for the sake of others: Specific Character Set, Pixel Representation
            found.append(int(tag))


def describe(tokens: list[Token], converted: set[int]) -> list[object]:
    """The same description made of tokens; `converted` holds the tags whose raw value pydicom no longer has."""
    found: list[object] = []
    fragments = b""
    tag, vr = 0, ""
    for token in tokens:
        match token:
            case Element():
                found.append((token.tag, token.vr, token.value))
            case SequenceStart():
                found.append(("SQ", token.tag))
            case ItemEnd():
                found.append("end of item")
            case SequenceEnd():
                found.append("end of sequence")
            case EncapsulatedStart():
                tag, fragments = token.tag, b""
            case FragmentStart():
                fragments += b"\xfe\xff\x00\xe0" + token.length.to_bytes(4, "little")
            case FragmentChunk():
                fragments += token.data
            case EncapsulatedEnd():
                found.append((tag, "fragments", fragments))
            case ValueChunk():
                found.append((tag, vr, bytes(token.data)))
            case _:
                assert isinstance(token, ItemStart) or token.__class__.__name__ in ("FragmentEnd",)
    return [entry[0] if isinstance(entry, tuple) and entry[0] in converted else entry for entry in found]


@pytest.mark.parametrize("path", sample_files(), ids=lambda path: path.name)
def test_tokens_agree_with_pydicom(path: Path) -> None:
    sample = read_sample(path)
    if sample is None:
        return
    uid, data = sample
    try:
        tokens = tokenize(uid, [data], lambda tag, vr, length: True)
    except DecodeError as error:
        assert path.name in _REFUSED
        assert error.offset > 0
        return
    assert path.name not in _REFUSED
    assert tokenize(uid, pieces_of(data, 509), lambda tag, vr, length: True) == tokens
    expected = read_with_pydicom(path)
    if path.name not in _DIFFERENT:
        converted = {entry for entry in expected if isinstance(entry, int)}
        assert describe(tokens, converted) == [
            entry[0] if isinstance(entry, tuple) and entry[0] in converted else entry for entry in expected
        ]


def test_a_data_set_without_transfer_syntax_is_read_as_pydicom_does() -> None:
    path = next(path for path in sample_files() if path.name == "ExplVR_BigEndNoMeta.dcm")
    data = path.read_bytes()
    expected = pydicom.dcmread(BytesIO(data), force=True)
    tags = [token.tag for token in tokenize("1.2.840.10008.1.2.2", [data]) if isinstance(token, Element)]
    assert tags == [int(tag) for tag in expected.keys()]
