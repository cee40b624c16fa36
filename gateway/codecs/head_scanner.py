"""What ``head`` looks for in a data set: four UIDs, and whether it may end where it ends (PS3.5 §7).

Values are looked at only where they are UIDs of the data set itself; everything else is passed over.
"""

from __future__ import annotations

from gateway.codecs import Buffer
from gateway.codecs.element_headers import EXPLICIT_HEADER
from gateway.codecs.inflate import Inflater
from gateway.codecs.levels import NOTED
from gateway.codecs.scanner import Scanner
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.codecs.value_representations import SHORT_VRS
from gateway.errors import DecodeError
from gateway.resources import is_valid_uid

__all__ = ["UID_NAMES", "HeadScanner"]

UID_NAMES = {
    0x00080016: "SOP Class UID",
    0x00080018: "SOP Instance UID",
    0x0020000D: "Study Instance UID",
    0x0020000E: "Series Instance UID",
}
"""The elements that an instance cannot do without, by tag."""

_LAST_UID = max(UID_NAMES)
_LAST_TAG = 0xFFFDFFFF  # what follows are items and delimiters
_LOOKED_AT = frozenset({*UID_NAMES, *NOTED})
# Short values are read in one step if they are gathered, which halves the time for a head.
_GATHERED_BYTES = 256


class HeadScanner(Scanner):
    """Scans one data set.

    Parameters
    ----------
    transfer_syntax_uid : str
        Of the data set; a deflated one is inflated here.
    max_inflated : int
        How far the UIDs may lie behind what was fed, in bytes: the limit of a deflate bomb.

    Attributes
    ----------
    uids : dict of int to str
        Those of `UID_NAMES` that have been found, by tag.
    """

    def __init__(self, transfer_syntax_uid: str, *, max_inflated: int) -> None:
        syntax = get_transfer_syntax(transfer_syntax_uid)
        self.uids: dict[int, str] = {}
        self._depth = 0
        self._fed = 0
        self._max_inflated = max_inflated
        self._inflater = Inflater() if syntax.deflated else None
        super().__init__(syntax)

    @property
    def is_complete(self) -> bool:
        """Whether all UIDs have been found."""
        return len(self.uids) == len(UID_NAMES)

    @property
    def offset(self) -> int:
        """Bytes of the (inflated) data set read so far, but for those of an incomplete header."""
        return self._offset

    def feed(self, data: Buffer) -> None:
        """Scan the next bytes.

        Raises
        ------
        DecodeError
            Structure that cannot be read, a UID missing or malformed, or UIDs too deep in a deflated data set. What
            was found before stays in `uids`; nothing more is to be fed.
        """
        self._fed += len(data)
        for step in [data] if self._inflater is None else self._inflater.feed(data):
            self._scan(step)
            if not self.is_complete and self._offset - self._fed > self._max_inflated:
                raise DecodeError("the UIDs come too late in the data set", offset=self._offset)

    def finish(self) -> None:
        """Take the end of the data.

        Raises
        ------
        DecodeError
            The data set ends inside an element, item or sequence.
        """
        for step in [] if self._inflater is None else self._inflater.finish():
            self._scan(step)
        self._check_end()

    def _take(self, tag: int, value: bytes) -> None:
        """Look at an element of the data set itself, as long as UIDs are missing."""
        if tag in UID_NAMES:
            uid = value.decode("latin-1").strip("\0 ")
            if not is_valid_uid(uid):
                raise DecodeError(f"{UID_NAMES[tag]} is empty or malformed")
            self.uids[tag] = uid
        elif tag > _LAST_UID:
            missing = ", ".join(name for tag, name in UID_NAMES.items() if tag not in self.uids)
            raise DecodeError(f"data set without {missing}")

    def _read_whole(self, data: Buffer, position: int, limit: int) -> int:
        """Pass over elements of the commonest kinds that are all there and say nothing to us, several in one call.

        Others are taken one at a time, as the scanner does it: those looked for, what lies behind them while they are
        missing, and what the VRs of later elements depend on.
        """
        level, begun = self._level, position
        if level.explicit:
            behind = _LAST_TAG if self.is_complete or self._depth else _LAST_UID
            read, last = EXPLICIT_HEADER[level.little], limit - 8
            while position <= last:
                group, number, raw_vr, length = read(data, position)
                tag, stop = group << 16 | number, position + 8 + length
                if stop > limit or group & 1 or tag in _LOOKED_AT or tag > behind or raw_vr not in SHORT_VRS:
                    break
                position = stop
        return position if position > begun else super()._read_whole(data, begun, limit)

    # --- what the scanner finds ---

    def _wants(self, tag: int, vr: str, length: int) -> bool:
        return length <= _GATHERED_BYTES

    def _add_element(self, tag: int, vr: str, value: bytes) -> None:
        if len(self.uids) < len(UID_NAMES) and not self._depth:
            self._take(tag, value)

    def _start_value(self, tag: int, vr: str, length: int) -> None:
        self._add_element(tag, vr, b"")

    def _add_chunk(self, data: Buffer) -> None:
        pass

    def _end_value(self) -> None:
        pass

    def _start_sequence(self, tag: int, vr: str) -> None:
        self._add_element(tag, vr, b"")
        self._depth += 1

    def _start_item(self) -> None:
        pass

    def _end_item(self) -> None:
        pass

    def _end_sequence(self) -> None:
        self._depth -= 1

    def _start_encapsulated(self, tag: int, vr: str) -> None:
        self._add_element(tag, vr, b"")

    def _start_fragment(self, index: int, length: int) -> None:
        pass

    def _add_fragment_chunk(self, data: Buffer) -> None:
        pass

    def _end_fragment(self) -> None:
        pass

    def _end_encapsulated(self) -> None:
        pass
