"""File Meta Information, against pydicom and as files in the field have it."""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest

from gateway import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.codecs.part10 import FileMeta, FileMetaReader, encode_file_meta
from gateway.codecs.tokens import Element
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_LE
from gateway.errors import DecodeError
from tests.support.samples import sample_files
from tests.support.tokens import explicit, implicit, pieces_of, tokenize

CT, INSTANCE = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.44"
META = FileMeta(CT, INSTANCE, EXPLICIT_VR_LE)
WHOLE = encode_file_meta(CT, INSTANCE, EXPLICIT_VR_LE)
DATA_SET = explicit(0x00080018, "UI", b"1.2.3.44")


def read(data: bytes, size: int = 1 << 20, max_bytes: int = 4096) -> tuple[FileMeta | None, bytes]:
    reader = FileMetaReader(max_bytes)
    fed = 0
    for piece in pieces_of(data, size):
        fed += len(piece)
        if (meta := reader.feed(piece)) is not None:
            return meta, reader.rest + data[fed:]
    return None, b""


@pytest.mark.parametrize("ae_title", ["", "ARCHIVE", "SIXTEEN_LETTERS_"])
def test_pydicom_reads_what_is_written(ae_title: str) -> None:
    head = encode_file_meta(CT, INSTANCE, EXPLICIT_VR_LE, source_ae_title=ae_title)
    meta = pydicom.dcmread(BytesIO(head + DATA_SET)).file_meta
    assert head[:132] == bytes(128) + b"DICM"
    assert meta.FileMetaInformationGroupLength == len(head) - 144
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert meta.MediaStorageSOPClassUID == CT
    assert meta.MediaStorageSOPInstanceUID == INSTANCE
    assert meta.TransferSyntaxUID == EXPLICIT_VR_LE
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.get("SourceApplicationEntityTitle", "") == ae_title
    tokens = tokenize(EXPLICIT_VR_LE, [head[132:]])
    assert all(isinstance(token, Element) and len(token.value) % 2 == 0 for token in tokens)


GROUP = WHOLE[144:]
IMPLICIT_GROUP = implicit(0x00020002, CT.encode() + b"\0") + implicit(0x00020010, EXPLICIT_VR_LE.encode() + b"\0")
HEADS = {
    "as written": (WHOLE, META),
    "no preamble": (WHOLE[132:], META),
    "prefix only": (WHOLE[128:], META),
    "no group length": (bytes(128) + b"DICM" + GROUP, META),
    "wrong group length": (bytes(128) + b"DICM" + explicit(0x00020000, "UL", b"\x0e\0\0\0") + GROUP, META),
    "implicit": (bytes(128) + b"DICM" + IMPLICIT_GROUP, FileMeta(CT, "", EXPLICIT_VR_LE)),
    "nothing in it": (bytes(128) + b"DICM", FileMeta("", "", "")),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_are_read_however_they_are_fed(name: str) -> None:
    head, expected = HEADS[name]
    data_set = DATA_SET * 12
    for size in (1, 7, 131, 132, 133, 1 << 20):
        assert read(head + data_set, size) == (expected, data_set)


def test_before_deflated_data_the_group_length_says_where_the_group_ends() -> None:
    head = encode_file_meta(CT, INSTANCE, DEFLATED)
    misleading = b"\x02\0\x01\0UI\x02\0" + bytes(20)
    assert read(head + misleading) == (FileMeta(CT, INSTANCE, DEFLATED), misleading)


@pytest.mark.parametrize("data", [b"%PDF-1.4" + bytes(200), DATA_SET * 20, bytes(200), b"DICM" + DATA_SET * 20])
def test_what_has_no_file_meta_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="no File Meta Information"):
        read(data)


def test_long_heads_are_refused() -> None:
    long = bytes(128) + b"DICM" + explicit(0x00020102, "OB", bytes(5000))
    with pytest.raises(DecodeError, match="element of File Meta Information is too long") as raised:
        read(long[:200])
    assert raised.value.offset == 132
    with pytest.raises(DecodeError, match="Information is too long"):
        read(bytes(128) + b"DICM" + explicit(0x00020102, "OB", bytes(3000)) * 2, 100)


def test_cut_heads_are_incomplete() -> None:
    for length in range(len(WHOLE)):
        assert read(WHOLE[:length]) == (None, b"")


def test_samples_agree_with_pydicom() -> None:
    read_files = 0
    for path in sample_files():
        try:
            expected = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
        except (pydicom.errors.InvalidDicomError, OSError):
            continue
        meta, _ = read(path.read_bytes())
        if meta is None:
            assert path.name == "truncated_meta.dcm"
            continue
        read_files += 1
        assert meta == FileMeta(
            expected.get("MediaStorageSOPClassUID", ""),
            expected.get("MediaStorageSOPInstanceUID", ""),
            expected.get("TransferSyntaxUID", ""),
        )
    assert read_files > 50
