"""C-FIND as SCU (PS3.7 §9.1.2, PS3.4 §C.4.1): one query, its matches pulled one by one or as they arrived together.

Leaving early cancels the query and drains the association, so that what is pooled is clean.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.scu.cancel import cancel_and_drain
from gateway.dimse.status import PENDING, Category, describe_status, status_category
from gateway.dimse.uids import STUDY_ROOT_FIND
from gateway.errors import BackendError, DimseStatusError, NoAcceptedContext, UndecodableResponse

__all__ = ["FindMatch", "FindResponses", "QueryTimes", "find"]


@dataclass(frozen=True, slots=True)
class FindMatch:
    """One pending response: its identifier as received and whether all optional keys are supported (FF00)."""

    data: bytes
    transfer_syntax: str
    all_keys_supported: bool


@dataclass(frozen=True, slots=True)
class QueryTimes:
    """Seconds: until the next response; from C-CANCEL to the end."""

    response_s: float
    cancel_s: float


class FindResponses:
    """Asynchronous iterator over the matches of one query; ends with the final response.

    Raises, while iterating
    -----------------------
    DimseStatusError
        Failure status, or cancelled by the archive.
    DimseTimeout, AssociationAborted, ConnectionLost, UndecodableResponse
        As ``Association.receive``.
    """

    def __init__(self, association: Association, message_id: int, transfer_syntax: str, times: QueryTimes) -> None:
        self._association = association
        self._message_id = message_id
        self._transfer_syntax = transfer_syntax
        self._times = times
        self._peeked: FindMatch | None = None
        self._failure: BackendError | None = None
        self.is_finished = False
        self.match_count = 0

    @property
    def is_over(self) -> bool:
        """Whether it is known already that neither a match nor a failure follows."""
        return self.is_finished and self._failure is None

    def __aiter__(self) -> FindResponses:
        return self

    async def peek(self) -> None:
        """Wait for the first response; iterating gives it again. Raises as iterating does."""
        self._peeked = await self._pull()

    async def __anext__(self) -> FindMatch:
        match, self._peeked = self._peeked, None
        match = match or await self._pull()
        if match is None:
            raise StopAsyncIteration
        return match

    async def read_batch(self) -> list[FindMatch]:
        """Wait for the next match and give it with all that has arrived behind it; empty at the end.

        What reading on raises comes with the next call, after the matches before it. Raises as iterating does.
        """
        batch = [] if (match := await anext(self, None)) is None else [match]
        while batch and self._association.has_message and not self.is_finished:
            try:
                match = await self._pull()
            except BackendError as error:
                self._failure = error
                break
            if match is not None:
                batch.append(match)
        return batch

    async def _pull(self) -> FindMatch | None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self.is_finished:
            return None
        command = await self._receive()
        status = command.status if command.status is not None else -1
        if status_category(status) is Category.PENDING:
            self.match_count += 1
            data = await self._association.read_data_set()
            return FindMatch(data, self._transfer_syntax, status == PENDING)
        await self._association.discard_data_set()
        self.is_finished = True
        self._association.end_operation()
        if status_category(status) in (Category.SUCCESS, Category.WARNING):
            return None
        raise _failure(self._association.ae_title, command)

    async def _receive(self) -> Command:
        message = await self._association.receive(self._times.response_s, waiting_for="C-FIND-RSP")
        command = message.command
        if (
            command.command_field is not CommandField.C_FIND_RSP
            or command.message_id_being_responded_to != self._message_id
        ):
            self._association.abort()  # a peer that mixes up requests is not asked again on this association
            raise UndecodableResponse(self._association.ae_title, "an answer to another request than C-FIND")
        return command


@asynccontextmanager
async def find(
    association: Association,
    encode: Callable[[str], bytes],
    times: QueryTimes,
    *,
    sop_class: str = STUDY_ROOT_FIND,
) -> AsyncIterator[FindResponses]:
    """Send C-FIND-RQ and give its matches; on leaving before the end, cancel and drain.

    Parameters
    ----------
    encode
        Called with the accepted transfer syntax; gives the identifier.

    Raises
    ------
    NoAcceptedContext
        The archive does not offer `sop_class`.
    """
    context = association.contexts.find(sop_class)
    if context is None:
        raise NoAcceptedContext(association.ae_title, sop_class, association.contexts.worst_result(sop_class))
    identifier = encode(context.transfer_syntax)
    message_id = association.next_message_id()
    request = Command(
        command_field=CommandField.C_FIND_RQ,
        message_id=message_id,
        affected_sop_class_uid=sop_class,
        priority=0,
        has_data_set=True,
    )
    association.begin_operation()
    responses = FindResponses(association, message_id, context.transfer_syntax, times)
    try:
        await association.send(context.context_id, request, identifier)
        yield responses
    finally:
        if not responses.is_finished and association.is_usable:
            await cancel_and_drain(
                association,
                context.context_id,
                message_id,
                CommandField.C_FIND_RSP,
                timeout=times.cancel_s,
            )


def _failure(ae_title: str, command: Command) -> DimseStatusError:
    status = command.status if command.status is not None else 0x0110
    return DimseStatusError(
        ae_title,
        "C-FIND",
        status,
        describe_status("C-FIND", status),
        comment=command.error_comment or "",
        offending_elements=command.offending_elements or (),
    )
