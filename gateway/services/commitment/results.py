"""Results of Storage Commitment as they come in, from whichever association (PS3.4 §J.3.3).

One for the whole gateway, since an archive reports to our one acceptor; ``app.py`` hands `CommitmentResults.take`
to it. Results are written before they are acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from gateway.codecs.dicom_json import read_data_set
from gateway.dimse.event_reports import EventReport
from gateway.errors import DecodeError
from gateway.services.commitment.modules import read_outcomes
from gateway.services.commitment.transactions import TransactionState, TransactionStore

__all__ = ["CommitmentResults"]

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_EVENT_TYPE = 0x0113
INVALID_ARGUMENT = 0x0115
NOT_AUTHORIZED = 0x0124
_EVENT_TYPES = (1, 2)

_log = structlog.get_logger(__name__)


class CommitmentResults:
    """Takes results and wakes who waits for them.

    Parameters
    ----------
    transactions
        Where they are written.
    ae_titles
        The archive's AE title by backend name: only the archive that was asked may answer.
    """

    def __init__(self, transactions: TransactionStore, ae_titles: Mapping[str, str]) -> None:
        self._transactions = transactions
        self._ae_titles = ae_titles
        self._waiting: dict[str, list[asyncio.Event]] = {}

    async def take(self, report: EventReport) -> int:
        """Write what an event says and give the status to answer it with; what is not ours changes nothing."""
        if report.event_type not in _EVENT_TYPES:
            return NO_SUCH_EVENT_TYPE
        try:
            asked_as, outcomes = read_outcomes(read_data_set(report.data, report.transfer_syntax))
        except DecodeError:
            _log.warning("commitment_result_unreadable", ae_title=report.ae_title)
            return INVALID_ARGUMENT
        transaction = await self._transactions.find_by_request(asked_as)
        if transaction is None or transaction.state is TransactionState.EXPIRED:
            _log.warning("commitment_result_unknown", ae_title=report.ae_title)
            return PROCESSING_FAILURE
        if self._ae_titles.get(transaction.backend) != report.ae_title:
            _log.warning("commitment_result_refused", ae_title=report.ae_title)
            return NOT_AUTHORIZED
        if await self._transactions.record(transaction.uid, outcomes):
            _log.info("commitment_done", backend=transaction.backend)
            self.wake(transaction.uid)
        return SUCCESS

    def watch(self, uid: str) -> asyncio.Event:
        """An event that is set when the transaction is done; give it back with `unwatch`."""
        event = asyncio.Event()
        self._waiting.setdefault(uid, []).append(event)
        return event

    def unwatch(self, uid: str, event: asyncio.Event) -> None:
        """Wait no longer."""
        events = self._waiting.get(uid, [])
        events.remove(event)
        if not events:
            del self._waiting[uid]

    def wake(self, uid: str) -> None:
        """Tell everybody who waits for this transaction."""
        for event in self._waiting.get(uid, []):
            event.set()
