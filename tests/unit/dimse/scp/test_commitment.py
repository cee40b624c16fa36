"""Results of Storage Commitment on an association that the archive opens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role

from gateway.config import DimseSettings
from gateway.dimse.acceptor import Acceptor
from gateway.dimse.event_reports import EventReport
from gateway.dimse.scp.commitment import CommitmentEventProvider
from gateway.dimse.scp.verification import VerificationProvider
from gateway.dimse.uids import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, VERIFICATION
from gateway.dimse.ul.events import ProposedContext
from gateway.tasks import running_tasks
from tests.support.cancellation import settle


class Listener:
    """Our acceptor with the events it took; `status` is what each is answered."""

    def __init__(self) -> None:
        self.events: list[EventReport] = []
        self.status = 0
        self.acceptor = Acceptor(
            DimseSettings(listen="127.0.0.1:0"),
            lambda: frozenset({"GATEWAY"}),
            (CommitmentEventProvider(self._take), VerificationProvider()),
        )

    async def _take(self, report: EventReport) -> int:
        self.events.append(report)
        return self.status


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    await listener.acceptor.start()
    try:
        yield listener
    finally:
        await listener.acceptor.close()
        await settle(lambda: running_tasks() == [])


def test_its_contexts() -> None:
    provider = Listener().acceptor._providers[0]
    assert provider.is_scu
    assert provider.serves(STORAGE_COMMITMENT) and not provider.serves(VERIFICATION)
    chosen = [
        provider.choose(ProposedContext(1, STORAGE_COMMITMENT, syntaxes), "ARCHIVE")
        for syntaxes in (("1.2.840.10008.1.2",), ("1.2.840.10008.1.2.4.50",))
    ]
    assert chosen == ["1.2.840.10008.1.2", None]


@pytest.mark.parametrize("by_role_selection", [True, False])
async def test_pynetdicom_reports(by_role_selection: bool) -> None:
    """An independent implementation as the archive: with the role as the standard wants it, and without."""
    import asyncio

    def report(port: int) -> list[int]:
        ae = AE("ARCHIVE")
        ae.add_requested_context(STORAGE_COMMITMENT)
        roles = [build_role(STORAGE_COMMITMENT, scp_role=True)] if by_role_selection else []
        association = ae.associate("127.0.0.1", port, ae_title="GATEWAY", ext_neg=roles)
        assert association.is_established
        context = association.accepted_contexts[0]
        if by_role_selection:
            assert (context.as_scu, context.as_scp) == (False, True)
        event = Dataset()
        event.TransactionUID = "1.2.3"
        statuses = []
        for number in (1, 2):
            status, _ = association.send_n_event_report(event, number, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE)
            statuses.append(status.Status)
        association.release()
        return statuses

    async with listening() as listener:
        assert await asyncio.to_thread(report, listener.acceptor.port) == [0, 0]
    assert [(event.ae_title, event.event_type) for event in listener.events] == [("ARCHIVE", 1), ("ARCHIVE", 2)]
    assert all(b"1.2.3" in event.data for event in listener.events)
