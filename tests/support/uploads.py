"""Bodies of store requests made by hand: small instances as DICOM files, and multiparts around them."""

from __future__ import annotations

from collections.abc import Iterable

from tests.support.elements import element

__all__ = [
    "BOUNDARY",
    "CT",
    "EXPLICIT_VR_LE",
    "JPEG_LS",
    "MR",
    "STUDY",
    "make_data_set",
    "make_file",
    "multipart",
    "multipart_type",
    "sop_uid",
]

EXPLICIT_VR_LE = "1.2.840.10008.1.2.1"
JPEG_LS = "1.2.840.10008.1.2.4.80"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
STUDY = "1.2.826.0.1.3680043.8.498.7"
BOUNDARY = "----=_Part_7.b"


def sop_uid(number: int) -> str:
    """SOP Instance UID of instance `number`."""
    return f"{STUDY}.1.{number}"


def _uid(tag: int, uid: str) -> bytes:
    return element(tag, "UI", uid.encode() + b"\0" * (len(uid) % 2))


def make_data_set(number: int, *, study: str = STUDY, sop_class: str = CT, pixels: bytes = bytes(64)) -> bytes:
    """Return a data set in Explicit VR Little Endian that ends with `pixels`."""
    return b"".join(
        [
            _uid(0x00080016, sop_class),
            _uid(0x00080018, sop_uid(number)),
            element(0x00100020, "LO", b"P1"),
            _uid(0x0020000D, study),
            _uid(0x0020000E, f"{study}.1"),
            element(0x00280100, "US", b"\x10\0"),
            element(0x7FE00010, "OW", pixels),
        ]
    )


def make_file(data_set: bytes, transfer_syntax: str | None = EXPLICIT_VR_LE) -> bytes:
    """Return `data_set` after a preamble and File Meta Information, which names no transfer syntax if None."""
    group = element(0x00020001, "OB", b"\0\1")
    if transfer_syntax is not None:
        group += _uid(0x00020010, transfer_syntax)
    length = element(0x00020000, "UL", len(group).to_bytes(4, "little"))
    return bytes(128) + b"DICM" + length + group + data_set


def multipart(parts: Iterable[bytes], *, content_type: str = "application/dicom", closed: bool = True) -> bytes:
    """Return a multipart body; without its closing boundary unless `closed`."""
    head = f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + (f"--{BOUNDARY}--\r\n".encode() if closed else b"")


def multipart_type(part_type: str = "application/dicom") -> str:
    """The Content-Type of such a body."""
    return f'multipart/related; type="{part_type}"; boundary="{BOUNDARY}"'
