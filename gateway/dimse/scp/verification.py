"""C-ECHO as SCP: whoever may associate with us may verify that we answer (PS3.4 Annex A)."""

from __future__ import annotations

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.messages import MessageStart
from gateway.dimse.scp.provider import NATIVE_PREFERENCE
from gateway.dimse.status import SUCCESS
from gateway.dimse.uids import VERIFICATION
from gateway.dimse.ul.events import ProposedContext

__all__ = ["VerificationProvider"]


class VerificationProvider:
    """Answers C-ECHO-RQ with success."""

    request = CommandField.C_ECHO_RQ
    is_scu = False

    def serves(self, abstract_syntax: str) -> bool:
        """Verification only."""
        return abstract_syntax == VERIFICATION

    def choose(self, context: ProposedContext, calling_ae_title: str) -> str | None:
        """Any native transfer syntax: there is no data set."""
        return next((uid for uid in NATIVE_PREFERENCE if uid in context.transfer_syntaxes), None)

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        """Send C-ECHO-RSP."""
        answer = Command(
            command_field=CommandField.C_ECHO_RSP,
            message_id_being_responded_to=message.command.message_id,
            affected_sop_class_uid=VERIFICATION,
            status=SUCCESS,
        )
        await association.send(message.context_id, answer)
