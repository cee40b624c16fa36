"""An instance that comes in as a DICOM file: what it is and where it goes, and whether it came whole.

Nothing but the UIDs is read, nothing is changed, and only the head is held. Of what follows only the structure is
followed, in order to know at the end whether it may end there. ``services`` calls it for each application/dicom part
of a store request (PS3.18 §10.5.1.4).
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.codecs import Buffer
from gateway.codecs.head_scanner import HeadScanner
from gateway.codecs.part10 import FileMetaReader
from gateway.errors import DecodeError

__all__ = ["HeadReader", "InstanceHead"]

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E

# File Meta Information is copied while it is read; the data set after it is not.
_FILE_META_STEP = 4_096


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
    """Reads one file up to the last of its four UIDs with `feed`, and follows the rest with `follow`.

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
        self._scanner: HeadScanner | None = None
        self._is_damaged = False
        self._data_set: list[Buffer] = []
        self._held = 0

    def feed(self, data: Buffer) -> InstanceHead | None:
        """Read the next bytes of the head.

        Parameters
        ----------
        data : bytes or memoryview
            Any number of bytes, immutable.

        Returns
        -------
        InstanceHead or None
            None while UIDs are missing. Once it is returned, what else comes goes to `follow`.

        Raises
        ------
        DecodeError
            Not a DICOM file, a UID missing or malformed, no transfer syntax, or a head over the limit.
        """
        pieces = self._skip_file_meta(data) if self._scanner is None else [data]
        if self._scanner is None:
            return None
        for piece in pieces:
            self._data_set.append(piece)
            self._held += len(piece)
            self._scan(self._scanner, piece)
        if self._scanner.is_complete:
            return self._describe(self._scanner.uids)
        if self._held > self._max_head_bytes:
            raise DecodeError("the UIDs come too late in the data set", offset=self._scanner.offset)
        return None

    def finish(self) -> None:
        """Take the end of the file before the head was complete.

        Raises
        ------
        DecodeError
            Unless all UIDs are known.
        """
        if self._scanner is None or not self._scanner.is_complete:
            raise DecodeError("file ends before its UIDs", offset=self._held)

    def follow(self, data: Buffer) -> None:
        """Follow the structure of what comes after the head.

        What is merely odd passes; from where the structure cannot be read, nothing can be told of its end.
        """
        if self._scanner is not None:
            self._scan(self._scanner, data)

    def check_complete(self) -> None:
        """Look whether the data set may end here.

        Raises
        ------
        DecodeError
            It ends inside an element, item or sequence.
        """
        if self._scanner is not None and not self._is_damaged:
            self._scanner.finish()

    def _skip_file_meta(self, data: Buffer) -> list[Buffer]:
        """Read File Meta Information; return what `data` holds after its end."""
        for stop in range(_FILE_META_STEP, len(data) + _FILE_META_STEP, _FILE_META_STEP):
            file_meta = self._file_meta.feed(data[stop - _FILE_META_STEP : stop])
            if file_meta is not None:
                break
        else:
            return []
        self._transfer_syntax_uid = file_meta.transfer_syntax_uid or self._transfer_syntax_uid
        if not self._transfer_syntax_uid:
            raise DecodeError("File Meta Information names no transfer syntax")
        self._scanner = HeadScanner(self._transfer_syntax_uid, max_inflated=self._max_head_bytes)
        return [piece for piece in (self._file_meta.rest, memoryview(data)[stop:]) if len(piece)]

    def _scan(self, scanner: HeadScanner, data: Buffer) -> None:
        """Scan what came; damage after the last UID is no concern of this reader."""
        if self._is_damaged:
            return
        try:
            scanner.feed(data)
        except DecodeError:
            self._is_damaged = True
            if not scanner.is_complete:
                raise

    def _describe(self, uids: dict[int, str]) -> InstanceHead:
        return InstanceHead(
            sop_class_uid=uids[_SOP_CLASS],
            sop_instance_uid=uids[_SOP_INSTANCE],
            study_uid=uids[_STUDY],
            series_uid=uids[_SERIES],
            transfer_syntax_uid=self._transfer_syntax_uid,
            data_set=self._data_set,
        )
