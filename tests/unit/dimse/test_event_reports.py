"""One N-EVENT-REPORT: what is handed on and what is answered."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.dimse.commands import Command, CommandField
from gateway.dimse.contexts import AcceptedContext
from gateway.dimse.event_reports import EventReport, answer_event_report
from gateway.dimse.messages import MessageStart
from gateway.errors import UndecodableResponse

EVENT = Command(
    command_field=CommandField.N_EVENT_REPORT_RQ,
    message_id=9,
    affected_sop_class_uid="1.2.840.10008.1.20.1",
    affected_sop_instance_uid="1.2.840.10008.1.20.1.1",
    event_type_id=2,
    has_data_set=True,
)


class FakeAssociation:
    """An association with one context, number 1."""

    def __init__(self) -> None:
        self.contexts = self
        self.sent: list[tuple[int, Command]] = []

    def by_id(self, context_id: int) -> AcceptedContext | None:
        return AcceptedContext(1, "1.2.840.10008.1.20.1", "1.2.840.10008.1.2") if context_id == 1 else None

    async def read_data_set(self) -> bytes:
        return b"event"

    async def send(self, context_id: int, command: Command) -> None:
        self.sent.append((context_id, command))


async def answer(context_id: int, status: int) -> tuple[list[EventReport], list[tuple[int, Command]]]:
    taken: list[EventReport] = []

    async def take(report: EventReport) -> int:
        taken.append(report)
        return status

    association: Any = FakeAssociation()
    await answer_event_report(association, MessageStart(context_id, EVENT), "ARCHIVE", take)
    return taken, association.sent


async def test_taken_then_answered() -> None:
    taken, sent = await answer(1, 0x0110)
    assert taken == [
        EventReport("ARCHIVE", "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1", 2, b"event", "1.2.840.10008.1.2")
    ]
    ((context_id, response),) = sent
    assert (context_id, response.command_field) == (1, CommandField.N_EVENT_REPORT_RSP)
    assert (response.status, response.message_id_being_responded_to, response.event_type_id) == (0x0110, 9, 2)


async def test_a_context_never_accepted() -> None:
    with pytest.raises(UndecodableResponse):
        await answer(3, 0)
