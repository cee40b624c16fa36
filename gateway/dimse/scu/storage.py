"""C-STORE as SCU, its data set streamed (PS3.7 §9.1.1, PS3.4 Annex B)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.data_set_writer import DataSetWriter
from gateway.errors import NoAcceptedContext, UndecodableResponse

__all__ = ["InstanceToStore", "StoreOperation", "store"]


@dataclass(frozen=True, slots=True)
class InstanceToStore:
    """What the command set of a C-STORE says, and the transfer syntax of the data set to come."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


class StoreOperation:
    """A C-STORE under way: :meth:`write` its data set, then :meth:`end` and :meth:`finish`."""

    def __init__(self, association: Association, context_id: int, request: Command, timeout_s: float) -> None:
        self._association = association
        self._writer = DataSetWriter(association, context_id, association.frame_command(context_id, request))
        self._message_id = request.message_id
        self._timeout_s = timeout_s
        self._is_ended = False

    @property
    def is_answered(self) -> bool:
        """Whether the archive has answered already, before the end; it will hardly take the rest (PS3.7 §9.1.1)."""
        return self._association.has_answer

    async def write(self, piece: bytes | memoryview, *, more: bool = False) -> None:
        """Send more of the data set; waits while the archive is slow. Raises as ``Association.send``.

        With `more`, which says that the next piece or the end is at hand, it may leave together with that.
        """
        await self._writer.write(piece, more=more)

    async def end(self) -> None:
        """Send the last fragment; waits while the archive is slow. Raises as ``Association.send``."""
        await self._writer.finish()
        self._is_ended = True

    async def finish(self) -> Command:
        """Wait for C-STORE-RSP, whose status says how it went; before :meth:`end` the association stays unclean.

        Raises
        ------
        DimseTimeout, AssociationAborted, ConnectionLost, UndecodableResponse
            No answer: the archive may or may not hold the instance.
        """
        answer = await self._association.receive(self._timeout_s, waiting_for="C-STORE-RSP")
        command = answer.command
        if (
            command.command_field is not CommandField.C_STORE_RSP
            or command.message_id_being_responded_to != self._message_id
            or command.status is None
        ):
            raise UndecodableResponse(self._association.ae_title, "an answer to another request than C-STORE")
        await self._association.discard_data_set()
        if self._is_ended:
            self._association.end_operation()
        return command


@asynccontextmanager
async def store(association: Association, instance: InstanceToStore, timeout_s: float) -> AsyncIterator[StoreOperation]:
    """Begin C-STORE; C-STORE-RQ leaves together with the first fragments of the data set.

    Leaving the block before :meth:`StoreOperation.finish` leaves the association unclean.

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
    request = Command(
        command_field=CommandField.C_STORE_RQ,
        message_id=association.next_message_id(),
        affected_sop_class_uid=instance.sop_class_uid,
        affected_sop_instance_uid=instance.sop_instance_uid,
        priority=0,
        has_data_set=True,
    )
    association.begin_operation()
    yield StoreOperation(association, context.context_id, request, timeout_s)
