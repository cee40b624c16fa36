"""The head of a DICOM file: preamble, prefix and File Meta Information, written and read (PS3.10 §7.1).

The data set behind it is none of its business (``tokens``). ``services`` writes it before each instance that leaves as
application/dicom; ``head`` reads it from each one that comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from gateway import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gateway.codecs import Buffer
from gateway.codecs.levels import is_letters
from gateway.codecs.reencode import encode_element_header
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.codecs.value_representations import LONG_VRS
from gateway.errors import DecodeError

__all__ = ["FileMeta", "FileMetaReader", "encode_file_meta"]

_PREFIX = b"DICM"
_PREAMBLE_LENGTH = 128
_GROUP_LENGTH, _VERSION, _SOP_CLASS, _SOP_INSTANCE = 0x00020000, 0x00020001, 0x00020002, 0x00020003
_TRANSFER_SYNTAX, _CLASS_UID, _VERSION_NAME, _SOURCE_AE = 0x00020010, 0x00020012, 0x00020013, 0x00020016

_HEAD = bytes(_PREAMBLE_LENGTH) + _PREFIX + encode_element_header(_GROUP_LENGTH, "UL", 4)


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the gateway needs of File Meta Information; "" where it is absent."""

    media_storage_sop_class_uid: str
    media_storage_sop_instance_uid: str
    transfer_syntax_uid: str


def encode_file_meta(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, *, source_ae_title: str = ""
) -> bytes:
    """Return the bytes that make a data set a DICOM file when they precede it.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid : str
        Of the instance.
    transfer_syntax_uid : str
        Of the data set that follows.
    source_ae_title : str
        AE title the instance came from, (0002,0016); left out if empty.

    Returns
    -------
    bytes
        128 zeros, ``DICM`` and group 2 in Explicit VR Little Endian, group length included.

    Source: PS3.10 §7.1
    """
    before, after = _encode_around_instance(sop_class_uid, transfer_syntax_uid, source_ae_title)
    group = before + _encode_element(_SOP_INSTANCE, "UI", _encode_text(sop_instance_uid, b"\0")) + after
    return _HEAD + len(group).to_bytes(4, "little") + group


@lru_cache(maxsize=256)
def _encode_around_instance(sop_class_uid: str, transfer_syntax_uid: str, source_ae_title: str) -> tuple[bytes, bytes]:
    """What comes before and after the one element that is another in each file of a series."""
    before = (
        (_VERSION, "OB", b"\0\1"),
        (_SOP_CLASS, "UI", _encode_text(sop_class_uid, b"\0")),
    )
    after = [
        (_TRANSFER_SYNTAX, "UI", _encode_text(transfer_syntax_uid, b"\0")),
        (_CLASS_UID, "UI", _encode_text(IMPLEMENTATION_CLASS_UID, b"\0")),
        (_VERSION_NAME, "SH", _encode_text(IMPLEMENTATION_VERSION_NAME, b" ")),
    ]
    if source_ae_title:
        after.append((_SOURCE_AE, "AE", _encode_text(source_ae_title, b" ")))
    return b"".join(_encode_element(*element) for element in before), b"".join(
        _encode_element(*element) for element in after
    )


def _encode_element(tag: int, vr: str, value: bytes) -> bytes:
    return encode_element_header(tag, vr, len(value)) + value


def _encode_text(text: str, pad: bytes) -> bytes:
    raw = text.encode("ascii", "replace")
    return raw + pad if len(raw) % 2 else raw


class FileMetaReader:
    """Reads the head of one file, in pieces.

    Lenient where files in the field are odd: the preamble may be missing, the group length missing or wrong, the
    elements in Implicit VR. The group is taken to end at the first element of another group; before deflated data,
    whose first bytes may look like anything, where the group length says.

    Parameters
    ----------
    max_bytes : int
        The longest head that is read, preamble included.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._data = bytearray()
        self._position = -1
        self._stated_end = -1
        self._uids: dict[int, str] = {}

    def feed(self, data: Buffer) -> FileMeta | None:
        """Read the next bytes.

        Parameters
        ----------
        data : bytes or memoryview
            Any number of bytes.

        Returns
        -------
        FileMeta or None
            None while it is not complete. Once it is, `rest` holds the bytes after it, and nothing more is fed.

        Raises
        ------
        DecodeError
            Neither ``DICM`` after a preamble nor File Meta Information at the start, or over the limit.
        """
        self._data += data
        if self._position < 0:
            if len(self._data) < _PREAMBLE_LENGTH + len(_PREFIX):
                return None
            self._position = _find_group(self._data)
        while (is_complete := self._read_element()) is None:
            pass
        if is_complete:
            uids = (self._uids.get(tag, "") for tag in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX))
            return FileMeta(*uids)
        if len(self._data) > self._max_bytes:
            raise DecodeError("File Meta Information is too long", offset=self._position)
        return None

    @property
    def rest(self) -> bytes:
        """The bytes fed that follow File Meta Information, which is complete."""
        return bytes(self._data[self._position :])

    def _read_element(self) -> bool | None:
        """Read one element; None if there may be more, True at the end of the group, False if bytes are missing."""
        data, position = self._data, self._position
        if position == self._stated_end and self._is_deflated():
            return True
        if len(data) < position + 2:
            return False
        if data[position : position + 2] != b"\x02\x00":
            return True
        if len(data) < position + 12:
            return False
        start, length = _parse_header(data, position)
        if length > self._max_bytes:
            raise DecodeError("element of File Meta Information is too long", offset=position)
        if len(data) < start + length:
            return False
        self._position = start + length
        self._take(0x00020000 | int.from_bytes(data[position + 2 : position + 4], "little"), start)
        return None

    def _take(self, tag: int, start: int) -> None:
        value = bytes(self._data[start : self._position])
        if tag == _GROUP_LENGTH:
            self._stated_end = self._position + int.from_bytes(value, "little")
        elif tag in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX):
            self._uids[tag] = value.decode("ascii", "replace").strip("\0 ")

    def _is_deflated(self) -> bool:
        return get_transfer_syntax(self._uids.get(_TRANSFER_SYNTAX, "")).deflated


def _find_group(data: bytearray) -> int:
    """Return where the first element starts."""
    if data[_PREAMBLE_LENGTH : _PREAMBLE_LENGTH + 4] == _PREFIX:
        return _PREAMBLE_LENGTH + 4
    start = 4 if data.startswith(_PREFIX) else 0
    if data[start : start + 2] == b"\x02\x00":
        return start
    raise DecodeError("no File Meta Information", offset=0)


def _parse_header(data: bytearray, position: int) -> tuple[int, int]:
    """Return start and length of the value of the element at `position`, of which 12 bytes are there."""
    raw_vr = bytes(data[position + 4 : position + 6])
    if raw_vr in LONG_VRS:
        return position + 12, int.from_bytes(data[position + 8 : position + 12], "little")
    if is_letters(raw_vr):
        return position + 8, int.from_bytes(data[position + 6 : position + 8], "little")
    return position + 8, int.from_bytes(data[position + 4 : position + 8], "little")
