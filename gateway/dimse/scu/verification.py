"""C-ECHO as SCU (PS3.7 §9.1.5, PS3.4 Annex A)."""

from __future__ import annotations

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.status import SUCCESS, describe_status
from gateway.dimse.uids import VERIFICATION
from gateway.errors import DimseStatusError, NoAcceptedContext, UndecodableResponse

__all__ = ["echo"]


async def echo(association: Association, *, timeout: float) -> None:
    """Send C-ECHO-RQ and wait at most `timeout` seconds for success.

    Raises
    ------
    NoAcceptedContext
        Verification was not negotiated; a peer may abort when it is used all the same.
    DimseStatusError
        The peer answered with another status than success.
    """
    context = association.contexts.find(VERIFICATION)
    if context is None:
        raise NoAcceptedContext(association.ae_title, VERIFICATION, association.contexts.worst_result(VERIFICATION))
    message_id = association.next_message_id()
    request = Command(command_field=CommandField.C_ECHO_RQ, message_id=message_id, affected_sop_class_uid=VERIFICATION)
    association.begin_operation()
    await association.send(context.context_id, request)
    answer = (await association.receive(timeout, waiting_for="C-ECHO-RSP")).command
    if (
        answer.command_field is not CommandField.C_ECHO_RSP
        or answer.message_id_being_responded_to != message_id
        or answer.status is None
    ):
        raise UndecodableResponse(association.ae_title, "an answer to another request than C-ECHO")
    await association.discard_data_set()
    association.end_operation()
    if answer.status != SUCCESS:
        meaning = describe_status("C-ECHO", answer.status)
        raise DimseStatusError(
            association.ae_title, "C-ECHO", answer.status, meaning, comment=answer.error_comment or ""
        )
