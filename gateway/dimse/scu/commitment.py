"""Storage Commitment as SCU: ask with N-ACTION, and take results on the same association (PS3.4 §J.3, PS3.7 §10.1.4).

Results more often come on an association that the archive opens, see ``scp/commitment.py``; an archive may also
report on this one, even before it has answered the request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.contexts import AcceptedContext, Proposal, ProposedSyntax
from gateway.dimse.event_reports import TakeEvent, answer_event_report
from gateway.dimse.pool import Pool
from gateway.dimse.status import PROCESSING_FAILURE, SUCCESS, describe_status
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from gateway.errors import BackendError, DimseStatusError, NoAcceptedContext, UndecodableResponse

__all__ = ["CommitmentExchange", "open_commitment"]

REQUEST_STORAGE_COMMITMENT = 1
"""Action Type ID (PS3.4 Table J.3-1)."""

_PROPOSAL = Proposal((ProposedSyntax(STORAGE_COMMITMENT, QR_TRANSFER_SYNTAXES),))


@asynccontextmanager
async def open_commitment(pool: Pool, take: TakeEvent, *, timeout: float) -> AsyncIterator[CommitmentExchange]:
    """Open an association for Storage Commitment; it is released in the end.

    It does not go back to the pool: an archive may report on it for as long as it stands, and nobody would listen.

    Parameters
    ----------
    take
        Deals with results that come on this association.
    timeout
        Longest wait for an answer, in seconds.

    Raises
    ------
    NoAcceptedContext
        The archive does not offer the service.
    BackendError
        No association.
    """
    async with pool.lease(_PROPOSAL, fresh=True) as lease:
        association = lease.association
        context = association.contexts.find(STORAGE_COMMITMENT)
        try:
            if context is None:
                worst = association.contexts.worst_result(STORAGE_COMMITMENT)
                raise NoAcceptedContext(association.ae_title, STORAGE_COMMITMENT, worst)
            yield CommitmentExchange(association, context, take, timeout)
        finally:
            await association.release()


class CommitmentExchange:
    """Requests and results on one association; made by `open_commitment`.

    Attributes
    ----------
    has_asked : bool
        Whether a request has been sent whole: the archive may act on it, even if its answer never comes.
    """

    def __init__(self, association: Association, context: AcceptedContext, take: TakeEvent, timeout: float) -> None:
        self._association = association
        self._context = context
        self._take = take
        self._timeout = timeout
        self.has_asked = False

    async def request(self, encode: Callable[[str], bytes]) -> None:
        """Send N-ACTION-RQ and wait for its answer; success means that the archive will look, no more.

        Parameters
        ----------
        encode
            Called with the accepted transfer syntax; gives the action information.

        Raises
        ------
        DimseStatusError
            The archive will not process the request.
        BackendError
            The association broke, or nothing came in time.
        """
        association = self._association
        message_id = association.next_message_id()
        request = Command(
            command_field=CommandField.N_ACTION_RQ,
            message_id=message_id,
            requested_sop_class_uid=STORAGE_COMMITMENT,
            requested_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
            action_type_id=REQUEST_STORAGE_COMMITMENT,
            has_data_set=True,
        )
        association.begin_operation()
        await association.send(self._context.context_id, request, encode(self._context.transfer_syntax))
        self.has_asked = True
        answer = await self._await_answer(message_id)
        association.end_operation()
        if answer.status != SUCCESS:
            status = PROCESSING_FAILURE if answer.status is None else answer.status
            meaning, comment = describe_status("N-ACTION", status), answer.error_comment or ""
            raise DimseStatusError(association.ae_title, "N-ACTION", status, meaning, comment=comment)

    async def await_results(self, is_done: Callable[[], bool], *, timeout: float) -> None:
        """Take events until `is_done`, or none has come for `timeout` seconds, or the association ends."""
        association = self._association
        with suppress(BackendError):
            while not is_done():
                message = await association.receive(timeout, waiting_for="N-EVENT-REPORT-RQ")
                if message.command.command_field is not CommandField.N_EVENT_REPORT_RQ:
                    association.abort()
                    return
                await answer_event_report(association, message, association.ae_title, self._take)

    async def _await_answer(self, message_id: int) -> Command:
        association = self._association
        while True:
            message = await association.receive(self._timeout, waiting_for="N-ACTION-RSP")
            command = message.command
            if command.command_field is CommandField.N_EVENT_REPORT_RQ:
                await answer_event_report(association, message, association.ae_title, self._take)
                continue
            await association.discard_data_set()
            if (
                command.command_field is not CommandField.N_ACTION_RSP
                or command.message_id_being_responded_to != message_id
            ):
                association.abort()
                raise UndecodableResponse(association.ae_title, "an answer to another request than N-ACTION")
            return command
