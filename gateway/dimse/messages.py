"""P-DATA fragments to DIMSE messages and back (PS3.7 §6.3, PS3.8 Annex E).

Pure. Only the command set is gathered, under a ceiling; the data set passes through piece by piece. Used by
``association.py`` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.dimse.commands import Command, decode_command
from gateway.dimse.ul.events import PDataFragment
from gateway.errors import RemoteProtocolError

__all__ = ["MessageReader", "MessageStart"]

MAX_COMMAND_BYTES = 65_536
"""A command set is a few hundred bytes; an attribute identifier list could make it some thousands."""


@dataclass(frozen=True, slots=True)
class MessageStart:
    """A command set is complete; `command.has_data_set` tells whether pieces follow."""

    context_id: int
    command: Command


class MessageReader:
    """Turns fragments into messages, one message after the other (PS3.8 §E.1: no interleaving)."""

    def __init__(self) -> None:
        self._command = bytearray()
        self._decoded: tuple[bytes, Command] | None = None
        self._context_id: int | None = None
        self._data_set_expected = False

    @property
    def is_between_messages(self) -> bool:
        """Whether no message is under way."""
        return self._context_id is None

    @property
    def data_context(self) -> int | None:
        """The presentation context of the data set that is due; None where a command set is."""
        return self._context_id if self._data_set_expected else None

    def end_data_set(self) -> None:
        """Note that the rest of the data set was read past this reader."""
        self._data_set_expected = False
        self._context_id = None

    def feed(self, fragment: PDataFragment) -> MessageStart | PDataFragment | None:
        """Give what `fragment` completes: a command set, or itself where it belongs to a data set.

        Raises
        ------
        RemoteProtocolError
            Command bytes where data is due or the other way round, another context in mid-message, a command
            set over 64 KiB or unreadable.
        """
        if self._context_id is not None and fragment.context_id != self._context_id:
            raise RemoteProtocolError("presentation context changes within a message")
        if fragment.is_command == self._data_set_expected:
            raise RemoteProtocolError("command and data set fragments out of order")
        self._context_id = fragment.context_id
        if not self._data_set_expected:
            return self._gather_command(fragment)
        if fragment.last:
            self.end_data_set()
        return fragment

    def _gather_command(self, fragment: PDataFragment) -> MessageStart | None:
        self._command += fragment.data
        if len(self._command) > MAX_COMMAND_BYTES:
            raise RemoteProtocolError("command set too long")
        if not fragment.last:
            return None
        command = self._decode(bytes(self._command))
        self._command.clear()
        self._data_set_expected = command.has_data_set
        if not command.has_data_set:
            self._context_id = None
        return MessageStart(fragment.context_id, command)

    def _decode(self, raw: bytes) -> Command:
        """The command set; the pending responses of one query all have the same, which is decoded once."""
        if self._decoded is None or self._decoded[0] != raw:
            self._decoded = (raw, decode_command(raw))
        return self._decoded[1]
