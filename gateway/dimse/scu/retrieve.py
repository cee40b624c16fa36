"""C-GET and C-MOVE as SCU: one retrieval, its instances pulled one by one (PS3.7 §9.1.3–4, PS3.4 §C.4.2–3).

Both give the same thing, a :class:`Retrieval`: an asynchronous iterator over :class:`StoreSubOperation`, and an
:class:`Outcome` once it has ended. Going on to the next instance answers the one before with success; leaving
the block early refuses it, cancels, drains within limits, else aborts.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.contexts import AcceptedContext
from gateway.dimse.move_routing import MoveReception
from gateway.dimse.scu.cancel import cancel_and_drain, is_final_response
from gateway.dimse.status import (
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    SUCCESS,
    Category,
    describe_status,
    status_category,
)
from gateway.dimse.suboperation import StoreSubOperation
from gateway.dimse.uids import STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gateway.errors import (
    BackendError,
    DimseStatusError,
    DimseTimeout,
    NoAcceptedContext,
    UndecodableResponse,
)
from gateway.tasks import cancel_and_wait, start_task

__all__ = ["Outcome", "Retrieval", "RetrieveTimes", "get", "move"]


@dataclass(frozen=True, slots=True)
class RetrieveTimes:
    """Seconds: until the next sub-operation; from C-CANCEL to the end; for C-STOREs later than C-MOVE-RSP."""

    suboperation_s: float
    cancel_s: float
    move_grace_s: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a retrieval ended: the final status and the archive's own counts, None where it gave none."""

    status: int
    completed: int | None
    failed: int | None
    warning: int | None
    comment: str = ""
    offending_elements: tuple[int, ...] = ()

    @classmethod
    def from_command(cls, command: Command) -> Outcome:
        """Read a final C-GET-RSP or C-MOVE-RSP."""
        return cls(
            command.status if command.status is not None else PROCESSING_FAILURE,
            command.completed_suboperations,
            command.failed_suboperations,
            command.warning_suboperations,
            command.error_comment or "",
            command.offending_elements or (),
        )

    @property
    def is_failure(self) -> bool:
        """Whether nothing was retrieved, in the archive's words (failure or cancel status)."""
        return status_category(self.status) in (Category.FAILURE, Category.CANCEL)

    @property
    def delivered(self) -> int | None:
        """Instances the archive counts as sent: completed + warning."""
        return None if self.completed is None else self.completed + (self.warning or 0)

    def as_error(self, ae_title: str, operation: str) -> DimseStatusError:
        """The failure as an exception."""
        return DimseStatusError(
            ae_title,
            operation,
            self.status,
            describe_status(operation, self.status),
            comment=self.comment,
            offending_elements=self.offending_elements,
        )


class Retrieval(ABC):
    """Asynchronous iterator over the instances of one C-GET or C-MOVE.

    Raises, while iterating, what ``Association.receive`` raises. A failure status is no exception here: it is
    in `outcome`, because what to do about it depends on what arrived.
    """

    operation: str

    def __init__(self, ae_title: str) -> None:
        self.ae_title = ae_title
        self.outcome: Outcome | None = None
        self.received = 0
        self._current: StoreSubOperation | None = None
        self._peeked: StoreSubOperation | None = None

    async def peek(self) -> None:
        """Wait for the first instance or the outcome; iterating gives it again. Raises as iterating does."""
        self._peeked = self._current = await self._next()

    def __aiter__(self) -> Retrieval:
        return self

    async def __anext__(self) -> StoreSubOperation:
        if self._peeked is None:
            await self.answer_current(SUCCESS)
            self._current = await self._next()
        self._peeked = None
        if self._current is None:
            raise StopAsyncIteration
        self.received += 1
        return self._current

    async def answer_current(self, status: int) -> None:
        """Answer the instance handed out last, if that has not been done."""
        if self._current is not None:
            await self._current.respond(status)
            self._settle_current()

    def _settle_current(self) -> None:
        self._current = None

    @abstractmethod
    async def _next(self) -> StoreSubOperation | None:
        """The next instance; None when the retrieval is over and `outcome` is known."""


def _identify(association: Association, sop_class: str) -> AcceptedContext:
    context = association.contexts.find(sop_class)
    if context is None:
        raise NoAcceptedContext(association.ae_title, sop_class, association.contexts.worst_result(sop_class))
    return context


# --- C-GET -----------------------------------------------------------------------------------------------------


class _GetRetrieval(Retrieval):
    operation = "C-GET"

    def __init__(self, association: Association, message_id: int, times: RetrieveTimes) -> None:
        super().__init__(association.ae_title)
        self._association = association
        self._message_id = message_id
        self._times = times

    async def _next(self) -> StoreSubOperation | None:
        while self.outcome is None:
            message = await self._association.receive(self._times.suboperation_s, waiting_for="C-STORE-RQ or C-GET-RSP")
            command = message.command
            if command.command_field is CommandField.C_STORE_RQ:
                context = self._association.contexts.by_id(message.context_id)
                if context is None:
                    raise UndecodableResponse(self.ae_title, "a C-STORE on a context never accepted")
                return StoreSubOperation(self._association, context, command)
            self._take_response(command)
            await self._association.discard_data_set()
        return None

    def _take_response(self, command: Command) -> None:
        if (
            command.command_field is not CommandField.C_GET_RSP
            or command.message_id_being_responded_to != self._message_id
        ):
            raise UndecodableResponse(self.ae_title, "an answer to another request than C-GET")
        if is_final_response(command, CommandField.C_GET_RSP, self._message_id):
            self.outcome = Outcome.from_command(command)
            self._association.end_operation()


@asynccontextmanager
async def get(
    association: Association,
    encode: Callable[[str], bytes],
    times: RetrieveTimes,
    *,
    sop_class: str = STUDY_ROOT_GET,
) -> AsyncIterator[Retrieval]:
    """Send C-GET-RQ; instances arrive on the same association.

    Parameters
    ----------
    encode
        Called with the accepted transfer syntax; gives the identifier.

    Raises
    ------
    NoAcceptedContext
        The archive does not offer `sop_class`.
    """
    context = _identify(association, sop_class)
    identifier = encode(context.transfer_syntax)
    message_id = association.next_message_id()
    request = Command(
        command_field=CommandField.C_GET_RQ,
        message_id=message_id,
        affected_sop_class_uid=sop_class,
        priority=0,
        has_data_set=True,
    )
    retrieval = _GetRetrieval(association, message_id, times)
    association.begin_operation()
    try:
        await association.send(context.context_id, request, identifier)
        yield retrieval
    finally:
        if retrieval.outcome is None and association.is_usable:
            await _cancel_get(association, context.context_id, message_id, retrieval, times)


async def _cancel_get(
    association: Association, context_id: int, message_id: int, retrieval: _GetRetrieval, times: RetrieveTimes
) -> None:
    current = retrieval._current
    if current is not None and not current.is_answered:
        try:
            await current.refuse_early(OUT_OF_RESOURCES)
        except BackendError:
            association.abort()
            return
    await cancel_and_drain(association, context_id, message_id, CommandField.C_GET_RSP, timeout=times.cancel_s)


# --- C-MOVE ----------------------------------------------------------------------------------------------------


class _MoveRetrieval(Retrieval):
    """Instances come by `reception` from associations the archive opens; responses come on `association`."""

    operation = "C-MOVE"

    def __init__(
        self, association: Association, message_id: int, reception: MoveReception, times: RetrieveTimes
    ) -> None:
        super().__init__(association.ae_title)
        self._association = association
        self._message_id = message_id
        self._reception = reception
        self._times = times
        self._final: Outcome | None = None
        self.listener: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Read C-MOVE-RSPs until the final one; its arrival, or a failure, wakes whoever waits for instances.

        No limit here: whoever waits for instances has one, and counts pending responses as progress.
        """
        try:
            while self._final is None:
                message = await self._association.receive(None, waiting_for="C-MOVE-RSP")
                command = message.command
                if (
                    command.command_field is not CommandField.C_MOVE_RSP
                    or command.message_id_being_responded_to != self._message_id
                ):
                    raise UndecodableResponse(self.ae_title, "an answer to another request than C-MOVE")
                await self._association.discard_data_set()
                self._reception.note_progress()
                if is_final_response(command, CommandField.C_MOVE_RSP, self._message_id):
                    self._final = Outcome.from_command(command)
                    self._association.end_operation()
        except BackendError as error:
            self._reception.fail(error)
        finally:
            self._reception.wake()

    async def _next(self) -> StoreSubOperation | None:
        if self.outcome is not None:
            return None
        try:
            arrived = await self._reception.take(self._limit, self._is_over)
        except TimeoutError:
            if self._final is None:
                text = f"no sub-operation for {self._times.suboperation_s:g} s"
                raise DimseTimeout(self.ae_title, text) from None
            arrived = None
        if arrived is None:
            self.outcome = self._final
        else:
            arrived.limit_silence(self._association.silence_timeout_s)  # the archive's, wherever it calls from
        return arrived

    def _limit(self) -> float:
        return self._times.suboperation_s if self._final is None else self._times.move_grace_s

    def _is_over(self) -> bool:
        """Whether nothing more can come: what the archive counts as sent has arrived (invariant 6)."""
        if self._final is None:
            return False
        if self._final.delivered is None:
            return self._final.is_failure and self.received == 0
        return self.received >= self._final.delivered

    def _settle_current(self) -> None:
        if self._current is not None:
            self._reception.finish(self._current)
        self._current = None


@asynccontextmanager
async def move(
    association: Association,
    encode: Callable[[str], bytes],
    reception: MoveReception,
    times: RetrieveTimes,
    *,
    sop_class: str = STUDY_ROOT_MOVE,
) -> AsyncIterator[Retrieval]:
    """Send C-MOVE-RQ for our own AE; instances arrive through `reception`, registered before and closed here.

    Raises
    ------
    NoAcceptedContext
        The archive does not offer `sop_class`.
    """
    with closing(reception):
        context = _identify(association, sop_class)
        identifier = encode(context.transfer_syntax)
        async with _ask_to_move(association, context, identifier, reception, times, sop_class) as retrieval:
            yield retrieval


@asynccontextmanager
async def _ask_to_move(
    association: Association,
    context: AcceptedContext,
    identifier: bytes,
    reception: MoveReception,
    times: RetrieveTimes,
    sop_class: str,
) -> AsyncIterator[_MoveRetrieval]:
    request = Command(
        command_field=CommandField.C_MOVE_RQ,
        message_id=reception.message_id,
        affected_sop_class_uid=sop_class,
        priority=0,
        move_destination=reception.destination,
        has_data_set=True,
    )
    retrieval = _MoveRetrieval(association, reception.message_id, reception, times)
    association.begin_operation()
    try:
        await association.send(context.context_id, request, identifier)
        retrieval.listener = start_task(retrieval.listen(), name=f"C-MOVE responses {association.ae_title}")
        yield retrieval
    finally:
        await _end_move(association, context.context_id, retrieval, reception, times)


async def _end_move(
    association: Association,
    context_id: int,
    retrieval: _MoveRetrieval,
    reception: MoveReception,
    times: RetrieveTimes,
) -> None:
    reception.close()
    try:
        if retrieval.listener is not None:
            await cancel_and_wait(retrieval.listener)
        if retrieval._final is None and association.is_usable:
            await cancel_and_drain(
                association, context_id, reception.message_id, CommandField.C_MOVE_RSP, timeout=times.cancel_s
            )
    except asyncio.CancelledError:
        association.abort()
        raise
