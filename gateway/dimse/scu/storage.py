"""C-STORE as SCU, its data set streamed (PS3.7 §9.1.1, PS3.4 Annex B).

One operation may follow another on its association: what is written to it waits until the answer to the one before
has been read, and leaves in that moment. An archive that takes instances one at a time so waits for a turn of our
own code, and for nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField, encode_command
from gateway.dimse.data_set_writer import MAX_BATCH_BYTES, DataSetWriter
from gateway.errors import BackendError, NoAcceptedContext, UndecodableResponse

__all__ = ["InstanceToStore", "NotSent", "StoreOperation", "store"]


@dataclass(frozen=True, slots=True)
class InstanceToStore:
    """What the command set of a C-STORE says, and the transfer syntax of the data set to come."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


class NotSent(Exception):
    """The operation before this one was not answered: nothing was sent, and on this association nothing can be.

    What was written, the piece of the call that raised included, is had by :meth:`StoreOperation.take_back`.
    """


class StoreOperation:
    """A C-STORE under way: :meth:`write` its data set, then :meth:`end` and :meth:`finish`.

    Made by :func:`store` and :meth:`follow`.
    """

    def __init__(
        self,
        association: Association,
        context_id: int,
        instance: InstanceToStore,
        timeout_s: float,
        *,
        turn: asyncio.Future[bool] | None = None,
    ) -> None:
        self._association = association
        self._context_id = context_id
        self._message_id = association.next_message_id()
        self._command_set = _encode_request(self._message_id, instance)
        self._timeout_s = timeout_s
        self._writer = DataSetWriter(association, context_id)
        self._turn = turn
        self._next: StoreOperation | None = None
        self._is_whole = False
        self._is_ended = False
        self._is_over = False
        """Whether it was answered, or never will be."""
        if turn is None:
            self._begin()

    def _begin(self) -> None:
        """Note the operation, and make C-STORE-RQ ready, which leaves together with the first fragments."""
        self._association.begin_operation()
        self._writer.precede(self._association.frame_command(self._context_id, self._command_set))

    @property
    def is_answered(self) -> bool:
        """Whether the archive has answered already, before the end; it will hardly take the rest (PS3.7 §9.1.1)."""
        return self._turn is None and self._association.has_answer

    async def write(self, piece: bytes | memoryview, *, more: bool = False) -> None:
        """Send more of the data set; waits while the archive is slow. Raises as ``Association.send``.

        With `more`, which says that the next piece or the end is at hand, it may leave together with that. Where
        another operation comes first, some of the data set is held, a mebibyte at most, before this waits for that.

        Raises
        ------
        NotSent
            The operation before this one was not answered.
        """
        if self._turn is None:
            await self._writer.write(piece, more=more)
            return
        self._writer.add(piece)
        if self._turn.done() or self._writer.held_bytes > MAX_BATCH_BYTES:
            await self._wait_for_turn(self._turn)

    async def end(self) -> None:
        """Send the last fragment; waits while the archive is slow, or for its answer to the operation before.

        Raises as :meth:`write`.
        """
        self._is_whole = True
        if self._turn is None:
            await self._writer.finish()
        else:
            await self._wait_for_turn(self._turn)
        self._is_ended = True

    async def finish(self) -> Command:
        """Wait for C-STORE-RSP, whose status says how it went; before :meth:`end` the association stays unclean.

        Raises
        ------
        DimseTimeout, AssociationAborted, ConnectionLost, UndecodableResponse
            No answer: the archive may or may not hold the instance.
        """
        is_answered = False
        try:
            command = await self._read_answer()
            if self._is_ended:
                self._association.end_operation()
                is_answered = True
        finally:
            self._is_over = True
            following, self._next = self._next, None  # or the first would hold all those after it
            if following is not None:
                following._take_turn(is_answered)
        return command

    async def _read_answer(self) -> Command:
        answer = await self._association.receive(self._timeout_s, waiting_for="C-STORE-RSP")
        command = answer.command
        if (
            command.command_field is not CommandField.C_STORE_RSP
            or command.message_id_being_responded_to != self._message_id
            or command.status is None
        ):
            raise UndecodableResponse(self._association.ae_title, "an answer to another request than C-STORE")
        await self._association.discard_data_set()
        return command

    # --- one after the other ---

    def follow(self, instance: InstanceToStore) -> StoreOperation | None:
        """Begin another C-STORE on the same association, to be sent when this one has been answered.

        Returns
        -------
        StoreOperation or None
            None unless this one is sent whole and unanswered, another does not follow it yet, and the association
            is fit for the instance.
        """
        association = self._association
        if not self._is_ended or self._is_over or (self._next is not None and not self._next.is_withdrawn):
            return None
        context = association.contexts.find(instance.sop_class_uid, instance.transfer_syntax_uid)
        if context is None or association.is_retired or not association.is_usable:
            return None
        turn = asyncio.get_running_loop().create_future()
        self._next = StoreOperation(association, context.context_id, instance, self._timeout_s, turn=turn)
        return self._next

    @property
    def is_withdrawn(self) -> bool:
        """Whether it was given up before its turn came."""
        return self._turn is not None and self._turn.cancelled()

    def withdraw(self) -> None:
        """Give up an operation whose turn has not come: nothing of it will be sent. Without effect on any other."""
        if self._turn is not None:
            self._turn.cancel()

    def take_back(self) -> list[memoryview]:
        """What was written to an operation that raised `NotSent`, in order."""
        return self._writer.take_back()

    def _take_turn(self, may_send: bool) -> None:
        """The operation before is over: send what is there, unless its association is of no more use."""
        turn = self._turn
        if turn is None or turn.done():
            return
        if may_send:
            self._association.look()  # some archives close after each answer, and what is sent then is lost
        if may_send and self._association.is_clean:
            self._turn = None
            with suppress(BackendError):  # told by the next write, or by the wait for the answer
                self._begin()
                self._send_held()
        turn.set_result(self._turn is None)

    def _send_held(self) -> None:
        if self._is_whole:
            self._writer.send_last()
        else:
            self._writer.send_fragments()

    async def _wait_for_turn(self, turn: asyncio.Future[bool]) -> None:
        """Wait until the operation before is answered, which its own time limit bounds; cancelled, it withdraws."""
        if not await turn:
            raise NotSent
        await self._association.drain()


def _encode_request(message_id: int, instance: InstanceToStore) -> bytes:
    request = Command(
        command_field=CommandField.C_STORE_RQ,
        message_id=message_id,
        affected_sop_class_uid=instance.sop_class_uid,
        affected_sop_instance_uid=instance.sop_instance_uid,
        priority=0,
        has_data_set=True,
    )
    return encode_command(request)


@asynccontextmanager
async def store(association: Association, instance: InstanceToStore, timeout_s: float) -> AsyncIterator[StoreOperation]:
    """Begin C-STORE; C-STORE-RQ leaves together with the first fragments of the data set.

    Leaving the block before :meth:`StoreOperation.finish` leaves the association unclean; so does leaving it before
    the operations that follow have finished or were withdrawn.

    Parameters
    ----------
    timeout_s
        Longest wait for C-STORE-RSP after the last byte.

    Raises
    ------
    NoAcceptedContext
        Neither class nor transfer syntax, or only the class, was accepted.
    """
    context = association.contexts.find(instance.sop_class_uid, instance.transfer_syntax_uid)
    if context is None:
        known = association.contexts.find(instance.sop_class_uid) is not None
        worst = 4 if known else association.contexts.worst_result(instance.sop_class_uid)
        raise NoAcceptedContext(association.ae_title, instance.sop_class_uid, worst)
    yield StoreOperation(association, context.context_id, instance, timeout_s)
