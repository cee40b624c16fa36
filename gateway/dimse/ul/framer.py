"""Cuts the byte stream of an association into PDUs, and P-DATA-TF into pieces of payload as they arrive.

Payload is never gathered: a PDU may be 16 MiB long, and the pieces handed out are views of the chunks that
were fed. What is gathered is at most one header of six bytes, or one PDU other than P-DATA-TF under the ceiling
of `_GATHER_LIMITS`. Whether a PDU may come now is not known here: `connection.py`, the only caller, asks the
transition table when it gets the header and says `discard_pdu` if it may not.

Each step of reading is a method; `_step` is the one that reads what comes next. Nearly all of a stream of instances
are P-DATA-TF with one PDV of the data set under way: `take_data` walks over these in one loop, and leaves whatever
else it meets, in whatever state, to the steps.

Source: PS3.8 §9.3.1, §9.3.5, Annex E
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.dimse.ul.events import PDataFragment
from gateway.dimse.ul.pdu import PDU_HEADER_LENGTH, PDV_OVERHEAD, AbortReason, PduType
from gateway.errors import RemoteProtocolError

__all__ = ["Framer", "ReceivedPdu"]

_PDU_HEADER: Final = struct.Struct(">BxI")
_PDV_HEADER: Final = struct.Struct(">IBB")
_BOTH_HEADERS: Final = struct.Struct(">BxIIBB")
_P_DATA_CODE: Final = PduType.P_DATA_TF.value
_PDU_TYPES: Final = {pdu_type.value: pdu_type for pdu_type in PduType}

_ASSOCIATE_LIMIT: Final = 1 << 20
"""Bytes. 128 contexts of 40 transfer syntaxes with UIDs of 64 characters, and 64 KiB of user information, are
less than half of it; no association needs more."""

_GATHER_LIMITS: Final[dict[PduType, tuple[int, int]]] = {
    PduType.ASSOCIATE_RQ: (68, _ASSOCIATE_LIMIT),
    PduType.ASSOCIATE_AC: (68, _ASSOCIATE_LIMIT),
    PduType.ASSOCIATE_RJ: (4, 4),
    PduType.RELEASE_RQ: (4, 4),
    PduType.RELEASE_RP: (4, 4),
    PduType.ABORT: (4, 4),
}
"""Shortest and longest variable field in bytes (PS3.8 §9.3.2-§9.3.8)."""


class ReceivedPdu(NamedTuple):
    """A PDU from the peer: whole, or for P-DATA-TF its header only, with an empty body."""

    pdu_type: PduType
    body: bytes


class Framer:
    """Incremental reader of PDUs.

    Parameters
    ----------
    max_length : int
        Longest P-DATA-TF variable field this side announced, in bytes; 0 = no limit.
    accept_longer_pdus : bool
        Take longer ones all the same.
    """

    __slots__ = (
        "_accept_longer_pdus",
        "_body_length",
        "_chunks",
        "_context_id",
        "_end",
        "_header_step",
        "_is_command",
        "_last",
        "_max_length",
        "_partial",
        "_payload_step",
        "_pdu_left",
        "_pdu_type",
        "_pdv_left",
        "_position",
        "_step",
        "_view",
    )

    def __init__(self, *, max_length: int, accept_longer_pdus: bool = False) -> None:
        self._max_length = max_length
        self._accept_longer_pdus = accept_longer_pdus
        self._chunks: deque[bytes | memoryview] = deque()
        self._view = memoryview(b"")
        self._position = 0
        self._end = 0
        self._partial = bytearray()
        self._pdu_type = PduType.P_DATA_TF
        self._body_length = 0
        self._pdu_left = 0  # bytes of the P-DATA-TF at hand after the PDV at hand
        self._pdv_left = 0  # bytes of payload of the PDV at hand
        self._context_id = 0
        self._is_command = False
        self._last = False
        self._header_step: Callable[[], ReceivedPdu | None] = self._read_pdu_header
        self._payload_step: Callable[[], PDataFragment] = self._read_payload
        self._step: Callable[[], ReceivedPdu | PDataFragment | None] = self._header_step

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next chunk of the stream, 1 byte or more; it must not change afterwards."""
        self._chunks.append(data)

    def next_unit(self) -> ReceivedPdu | PDataFragment | None:
        """The next PDU, P-DATA-TF header or piece of payload in wire order; None when more bytes are needed.

        Raises
        ------
        RemoteProtocolError
            The stream is not made of PDUs. All that follows is ignored, since the place where the next PDU
            starts is not known any more.
        """
        try:
            while self._position < self._end or self._take_chunk():
                if (unit := self._step()) is not None:
                    return unit
        except RemoteProtocolError:
            self.abandon()
            raise
        return None

    def take_data(self, context_id: int, fragments: list[PDataFragment]) -> bool:
        """Append the fragments of a data set to `fragments`, as far as nothing else comes between.

        The same fragments as `next_unit` would give, without the headers. Only while P-DATA-TF may come.

        Returns
        -------
        bool
            Whether the last fragment of the data set is among them. If not, `next_unit` knows what comes next.
        """
        while self._position < self._end or self._take_chunk():
            if self._step is self._payload_step:
                if self._is_command or self._context_id != context_id:
                    return False
            elif not self._enter_data(context_id):
                return False
            fragment = self._read_payload()
            fragments.append(fragment)
            if fragment.last:
                return True
        return False

    def _enter_data(self, context_id: int) -> bool:
        """Pass over the headers of a P-DATA-TF with one PDV of that data set and some payload; else touch nothing."""
        start = self._position
        if self._step is not self._header_step or self._partial or self._end - start <= _BOTH_HEADERS.size:
            return False
        code, length, pdv_length, context, control = _BOTH_HEADERS.unpack_from(self._view, start)
        if code != _P_DATA_CODE or pdv_length != length - 4 or pdv_length <= 2 or context != context_id or control & 1:
            return False
        if length > self._max_length > 0 and not self._accept_longer_pdus:
            return False
        self._position = start + _BOTH_HEADERS.size
        self._context_id = context_id
        self._is_command = False
        self._last = control & 2 == 2
        self._pdu_left = 0
        self._pdv_left = pdv_length - 2
        self._step = self._payload_step
        return True

    def discard_pdu(self) -> None:
        """Drop the payload of the P-DATA-TF whose header was the last unit."""
        self._step = self._skip_pdu

    def abandon(self) -> None:
        """Ignore everything from here on."""
        self._chunks.clear()
        self._partial.clear()
        self._position = self._end
        self._step = self._skip_chunk

    # --- input ---

    def _take_chunk(self) -> bool:
        if not self._chunks:
            return False
        self._view = memoryview(self._chunks.popleft())
        self._position = 0
        self._end = len(self._view)
        return True

    def _take(self, length: int) -> memoryview | bytes | None:
        """`length` bytes, across chunks if need be; None, and what there is set aside, until they are there."""
        start = self._position
        missing = length - len(self._partial)
        self._position = stop = min(start + missing, self._end)
        if not self._partial and stop - start == length:
            return self._view[start:stop]
        self._partial += self._view[start:stop]
        if stop - start < missing:
            return None
        taken = bytes(self._partial)
        self._partial.clear()
        return taken

    # --- steps ---

    def _read_pdu_header(self) -> ReceivedPdu | None:
        header = self._take(PDU_HEADER_LENGTH)
        if header is None:
            return None
        code, length = _PDU_HEADER.unpack(header)
        pdu_type = _PDU_TYPES.get(code)
        if pdu_type is None:
            raise RemoteProtocolError("unrecognized PDU", reason=AbortReason.UNRECOGNIZED_PDU)
        if pdu_type is PduType.P_DATA_TF:
            return self._begin_p_data(length)
        shortest, longest = _GATHER_LIMITS[pdu_type]
        if not shortest <= length <= longest:
            raise _invalid(f"{pdu_type.name} of {length} bytes")
        self._pdu_type = pdu_type
        self._body_length = length
        self._step = self._read_body
        return None

    def _begin_p_data(self, length: int) -> ReceivedPdu:
        if length > self._max_length > 0 and not self._accept_longer_pdus:
            raise _invalid(f"P-DATA-TF of {length} bytes, {self._max_length} announced")
        if length < PDV_OVERHEAD:
            raise _invalid("P-DATA-TF without PDV")
        self._pdu_left = length
        self._step = self._read_pdv_header
        return _P_DATA_RECEIVED

    def _read_body(self) -> ReceivedPdu | None:
        body = self._take(self._body_length)
        if body is None:
            return None
        self._step = self._header_step
        return ReceivedPdu(self._pdu_type, bytes(body))

    def _read_pdv_header(self) -> PDataFragment | None:
        header = self._take(PDV_OVERHEAD)
        if header is None:
            return None
        length, self._context_id, control = _PDV_HEADER.unpack(header)
        # The PDV length counts the context ID and the message control header (PS3.8 §9.3.5.1).
        left = self._pdu_left - 4 - length
        if length < 2 or left < 0 or 0 < left < PDV_OVERHEAD:
            raise _invalid(f"PDV of {length} bytes with {self._pdu_left} left in its PDU")
        self._pdu_left = left
        self._pdv_left = length - 2
        # Bits 2 to 7 are not to be checked by the receiver (PS3.8 §E.2).
        self._is_command = control & 1 == 1
        self._last = control & 2 == 2
        if self._pdv_left:
            self._step = self._payload_step
            return None
        self._end_pdv()
        return PDataFragment(self._context_id, self._is_command, b"", True) if self._last else None

    def _read_payload(self) -> PDataFragment:
        start = self._position
        stop = start + self._pdv_left
        if stop > self._end:
            self._pdv_left = stop - self._end
            self._position = self._end
            return PDataFragment(self._context_id, self._is_command, self._view[start:], False)
        self._position = stop
        self._end_pdv()
        return PDataFragment(self._context_id, self._is_command, self._view[start:stop], self._last)

    def _end_pdv(self) -> None:
        self._step = self._read_pdv_header if self._pdu_left else self._header_step

    def _skip_pdu(self) -> None:
        stop = min(self._position + self._pdu_left, self._end)
        self._pdu_left -= stop - self._position
        self._position = stop
        if not self._pdu_left:
            self._step = self._header_step

    def _skip_chunk(self) -> None:
        self._position = self._end


_P_DATA_RECEIVED: Final = ReceivedPdu(PduType.P_DATA_TF, b"")


def _invalid(text: str) -> RemoteProtocolError:
    return RemoteProtocolError(text, reason=AbortReason.INVALID_PARAMETER_VALUE)
