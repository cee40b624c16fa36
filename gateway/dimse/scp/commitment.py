"""N-EVENT-REPORT of Storage Commitment on associations that the archive opens (PS3.4 §J.2.1, §J.3.3).

There the archive is SCP of the class although it opened the association, which it says by role selection. Whoever
keeps the transactions takes the events; this file knows none.
"""

from __future__ import annotations

from gateway.dimse.association import Association
from gateway.dimse.commands import CommandField
from gateway.dimse.event_reports import TakeEvent, answer_event_report
from gateway.dimse.messages import MessageStart
from gateway.dimse.scp.provider import NATIVE_PREFERENCE
from gateway.dimse.uids import STORAGE_COMMITMENT
from gateway.dimse.ul.events import ProposedContext

__all__ = ["CommitmentEventProvider"]


class CommitmentEventProvider:
    """Hands the results of storage commitment to `take`."""

    request = CommandField.N_EVENT_REPORT_RQ
    is_scu = True

    def __init__(self, take: TakeEvent) -> None:
        self._take = take

    def serves(self, abstract_syntax: str) -> bool:
        """Storage Commitment Push Model only."""
        return abstract_syntax == STORAGE_COMMITMENT

    def choose(self, context: ProposedContext, calling_ae_title: str) -> str | None:
        """Any native transfer syntax."""
        return next((uid for uid in NATIVE_PREFERENCE if uid in context.transfer_syntaxes), None)

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        """Take one event and answer it."""
        await answer_event_report(association, message, calling_ae_title, self._take)
