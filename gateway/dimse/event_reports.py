"""N-EVENT-REPORT as it reaches us: read it, have it taken, answer it (PS3.7 §10.1.1).

The same on an association we opened and on one that the archive opened; ``scu/commitment.py`` and
``scp/commitment.py`` both use it. What an event means is not known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.messages import MessageStart
from gateway.errors import UndecodableResponse

__all__ = ["EventReport", "TakeEvent", "answer_event_report"]


@dataclass(frozen=True, slots=True)
class EventReport:
    """One event.

    Parameters
    ----------
    ae_title
        Of the archive that reports.
    sop_class_uid, sop_instance_uid
        What the event is about.
    event_type
        Event Type ID (0000,1002); None where it was left out.
    data
        The event information as received, encoded in `transfer_syntax`; empty without any.
    """

    ae_title: str
    sop_class_uid: str
    sop_instance_uid: str
    event_type: int | None
    data: bytes
    transfer_syntax: str


TakeEvent: TypeAlias = Callable[[EventReport], Awaitable[int]]
"""Deals with an event and says the status of its response."""


async def answer_event_report(
    association: Association, message: MessageStart, ae_title: str, take: TakeEvent
) -> EventReport:
    """Read the event information of `message`, have `take` deal with it and send N-EVENT-REPORT-RSP.

    Raises
    ------
    UndecodableResponse
        It came on a context never accepted, or is over 16 MiB.
    BackendError
        The association broke.
    """
    context = association.contexts.by_id(message.context_id)
    if context is None:
        raise UndecodableResponse(ae_title, "an event on a context never accepted")
    command = message.command
    report = EventReport(
        ae_title,
        command.affected_sop_class_uid or "",
        command.affected_sop_instance_uid or "",
        command.event_type_id,
        await association.read_data_set(),
        context.transfer_syntax,
    )
    answer = Command(
        command_field=CommandField.N_EVENT_REPORT_RSP,
        message_id_being_responded_to=command.message_id,
        affected_sop_class_uid=command.affected_sop_class_uid,
        affected_sop_instance_uid=command.affected_sop_instance_uid,
        event_type_id=command.event_type_id,
        status=await take(report),
    )
    await association.send(message.context_id, answer)
    return report
