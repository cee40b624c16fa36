"""The head of an instance that comes in as a DICOM file: enough of it to know what it is and where it goes.

Nothing but the UIDs is read, nothing is changed, and only the head is held: what follows is forwarded without
looking. ``services`` calls it for each application/dicom part of a store request (PS3.18 §10.5.1.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.codecs import Buffer
from gateway.codecs.part10 import FileMetaReader
from gateway.codecs.tokens import (
    Element,
    EncapsulatedStart,
    SequenceEnd,
    SequenceStart,
    Token,
    Tokenizer,
    ValueStart,
)
from gateway.errors import DecodeError
from gateway.resources import is_valid_uid

__all__ = ["HeadReader", "InstanceHead"]

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_NAMES = {
    _SOP_CLASS: "SOP Class UID",
    _SOP_INSTANCE: "SOP Instance UID",
    _STUDY: "Study Instance UID",
    _SERIES: "Series Instance UID",
}
# 64 characters are allowed (PS3.5 §9.1); some are padded to more.
_MAX_UID_LENGTH = 128
# What follows the UIDs is no concern of this reader, damage included: it looks little further than it must.
_STEP_BYTES = 256


@dataclass(frozen=True, slots=True)
class InstanceHead:
    """What an instance says of itself.

    `data_set` holds the bytes after File Meta Information fed so far, as they came (deflated if it is): they are
    forwarded first, then what else comes.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    data_set: list[Buffer]


class HeadReader:
    """Reads one file up to the last of its four UIDs.

    Parameters
    ----------
    max_head_bytes : int
        About the most that is held, File Meta Information included: a piece that ends beyond it is still looked at. A
        deflated data set is inflated no further than this beyond its deflated length.
    default_transfer_syntax_uid : str
        Taken where File Meta Information names none: that of the part's media type. PS3.18 §8.7.9: the file wins.
    """

    def __init__(self, max_head_bytes: int, *, default_transfer_syntax_uid: str = "") -> None:
        self._max_head_bytes = max_head_bytes
        self._transfer_syntax_uid = default_transfer_syntax_uid
        self._file_meta = FileMetaReader(max_head_bytes)
        self._tokenizer: Tokenizer | None = None
        self._data_set: list[Buffer] = []
        self._held = 0
        self._depth = 0
        self._uids: dict[int, str] = {}

    def feed(self, data: Buffer) -> InstanceHead | None:
        """Read the next bytes.

        Parameters
        ----------
        data : bytes or memoryview
            Any number of bytes, immutable.

        Returns
        -------
        InstanceHead or None
            None while UIDs are missing. Once it is returned, nothing more is to be fed.

        Raises
        ------
        DecodeError
            Not a DICOM file, a UID missing or malformed, no transfer syntax, or a head over the limit.
        """
        if self._tokenizer is None:
            file_meta = self._file_meta.feed(data)
            if file_meta is None:
                return None
            self._transfer_syntax_uid = file_meta.transfer_syntax_uid or self._transfer_syntax_uid
            if not self._transfer_syntax_uid:
                raise DecodeError("File Meta Information names no transfer syntax")
            self._tokenizer = Tokenizer(self._transfer_syntax_uid, gather_limit=_is_wanted)
            data = self._file_meta.rest
        self._data_set.append(data)
        self._held += len(data)
        for start in range(0, len(data), _STEP_BYTES):
            if self._find_uids(self._tokenizer, self._tokenizer.feed(data[start : start + _STEP_BYTES])):
                return self._describe()
        if self._held > self._max_head_bytes:
            raise DecodeError("the UIDs come too late in the data set", offset=self._tokenizer.offset)
        return None

    def finish(self) -> None:
        """Take the end of the file before the head was complete.

        Raises
        ------
        DecodeError
            Unless all UIDs are known.
        """
        if len(self._uids) < len(_NAMES):
            raise DecodeError("file ends before its UIDs", offset=self._held)

    def _find_uids(self, tokenizer: Tokenizer, tokens: Iterable[Token]) -> bool:
        """Look through tokens; whether all UIDs are known."""
        for token in tokens:
            if isinstance(token, SequenceEnd):
                self._depth -= 1
            elif isinstance(token, (Element, ValueStart, EncapsulatedStart, SequenceStart)):
                if not self._depth:
                    self._take(token)
                if isinstance(token, SequenceStart):
                    self._depth += 1
            if len(self._uids) == len(_NAMES):
                return True
            if tokenizer.offset - self._held > self._max_head_bytes:
                raise DecodeError("the UIDs come too late in the data set", offset=tokenizer.offset)
        return False

    def _take(self, token: Element | ValueStart | EncapsulatedStart | SequenceStart) -> None:
        """Take an element of the data set itself."""
        tag = token.tag
        if tag in _NAMES:
            uid = token.value.decode("latin-1").strip("\0 ") if isinstance(token, Element) else ""
            if not is_valid_uid(uid):
                raise DecodeError(f"{_NAMES[tag]} is empty or malformed")
            self._uids[tag] = uid
        elif tag > _SERIES:
            missing = ", ".join(name for tag, name in _NAMES.items() if tag not in self._uids)
            raise DecodeError(f"data set without {missing}")

    def _describe(self) -> InstanceHead:
        return InstanceHead(
            sop_class_uid=self._uids[_SOP_CLASS],
            sop_instance_uid=self._uids[_SOP_INSTANCE],
            study_uid=self._uids[_STUDY],
            series_uid=self._uids[_SERIES],
            transfer_syntax_uid=self._transfer_syntax_uid,
            data_set=self._data_set,
        )


def _is_wanted(tag: int, vr: str, length: int) -> bool:
    return tag in _NAMES and length <= _MAX_UID_LENGTH
