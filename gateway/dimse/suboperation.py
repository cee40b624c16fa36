"""An instance on its way to us: one C-STORE-RQ received as the sub-operation of a C-GET or C-MOVE.

The same value whether the store came on the requesting association (C-GET) or on one the archive opened
(C-MOVE). Whoever takes it reads the pieces and says how it went: success only after the HTTP side has the bytes
(invariant 5 of the architecture).
"""

from __future__ import annotations

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, encode_store_response
from gateway.dimse.contexts import AcceptedContext

__all__ = ["StoreSubOperation"]


class StoreSubOperation:
    """One C-STORE-RQ whose data set has not been read yet.

    Attributes
    ----------
    sop_class_uid, sop_instance_uid : str
        From the command set; "" where the archive left them out.
    transfer_syntax_uid : str
        Of the presentation context it came on.
    """

    def __init__(self, association: Association, context: AcceptedContext, command: Command) -> None:
        self._association = association
        self._context = context
        self._command = command
        self.sop_class_uid = command.affected_sop_class_uid or ""
        self.sop_instance_uid = command.affected_sop_instance_uid or ""
        self.transfer_syntax_uid = context.transfer_syntax
        self.is_answered = False

    @property
    def originator(self) -> tuple[str, int | None]:
        """Move Originator AE Title and Message ID (0000,1030), (0000,1031); ("", None) where absent."""
        return self._command.move_originator_ae_title or "", self._command.move_originator_message_id

    def limit_silence(self, seconds: float) -> None:
        """Have the association it came on wait no longer than this for each next byte."""
        self._association.silence_timeout_s = seconds

    async def read_piece(self) -> bytes | memoryview | None:
        """Wait for more of the data set; None at its end. Raises as ``Association.read_piece``."""
        return await self._association.read_piece()

    async def respond(self, status: int) -> None:
        """Pass over what is left of the data set and send C-STORE-RSP; a second call does nothing."""
        if not self.is_answered:
            await self._association.discard_data_set()
            self.is_answered = True  # not before: cancelled while it reads on, it is still to be answered
            await self._answer(status)

    async def refuse_early(self, status: int) -> None:
        """Send C-STORE-RSP before the data set was read, so that a large unwanted one can be cut short.

        PS3.7 §9.3.1.2 lets an SCP answer early; an SCU may go on sending all the same, so the rest is still
        read by the next ``Association.receive``.
        """
        if not self.is_answered:
            self.is_answered = True
            await self._answer(status)

    def abort(self) -> None:
        """Cut the association it came on."""
        self._association.abort()

    async def _answer(self, status: int) -> None:
        await self._association.send_encoded(self._context.context_id, encode_store_response(self._command, status))
