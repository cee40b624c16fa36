"""Results as they come in: which are written, who is woken, what each is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.codecs.identifier import encode_identifier
from gateway.dimse.event_reports import EventReport
from gateway.services.commitment.modules import COMMITTED, Reference
from gateway.services.commitment.results import CommitmentResults
from gateway.services.commitment.transactions import TransactionState, TransactionStore

IMPLICIT = "1.2.840.10008.1.2"
ONE, TWO = Reference("1.1", "1.2.1"), Reference("1.1", "1.2.2")


@pytest_asyncio.fixture
async def store() -> AsyncIterator[TransactionStore]:
    store = TransactionStore()
    await store.add("1.9", "main", [ONE, TWO])
    await store.note_asked("1.9", "1.9")
    await store.set_state("1.9", TransactionState.WAITING)
    yield store
    await store.close()


@pytest.fixture
def results(store: TransactionStore) -> CommitmentResults:
    return CommitmentResults(store, {"main": "ARCHIVE", "other": "OTHER"})


def report(*committed: str, transaction: str = "1.9", **fields: Any) -> EventReport:
    items = [
        {"00081150": {"vr": "UI", "Value": ["1.1"]}, "00081155": {"vr": "UI", "Value": [uid]}} for uid in committed
    ]
    model = {"00081195": {"vr": "UI", "Value": [transaction]}, "00081199": {"vr": "SQ", "Value": items}}
    told: dict[str, Any] = {
        "ae_title": "ARCHIVE",
        "sop_class_uid": "1.2.840.10008.1.20.1",
        "sop_instance_uid": "1.2.840.10008.1.20.1.1",
        "event_type": 1,
        "data": encode_identifier(model, IMPLICIT),
        "transfer_syntax": IMPLICIT,
    }
    return EventReport(**told | fields)


async def list_reasons(store: TransactionStore) -> list[int | None]:
    return [one.reason for one in await store.list_outcomes("1.9")]


async def test_a_result_in_two_events(store: TransactionStore, results: CommitmentResults) -> None:
    first, second = results.watch("1.9"), results.watch("1.9")
    assert await results.take(report("1.2.1")) == 0
    assert not first.is_set() and await list_reasons(store) == [COMMITTED, None]
    results.unwatch("1.9", second)
    assert await results.take(report("1.2.2")) == 0
    assert first.is_set() and not second.is_set() and await list_reasons(store) == [COMMITTED, COMMITTED]
    results.unwatch("1.9", first)
    assert results._waiting == {}


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (report("1.2.1", event_type=3), 0x0113),
        (report("1.2.1", event_type=None), 0x0113),
        (report("1.2.1", data=b"\x08"), 0x0115),
        (report("1.2.1", data=b""), 0x0110),
        (report("1.2.1", transaction="1.8"), 0x0110),
        (report("1.2.1", ae_title="OTHER"), 0x0124),
        (report("1.2.1", ae_title="STRANGER"), 0x0124),
    ],
)
async def test_what_is_not_ours_changes_nothing(
    store: TransactionStore, results: CommitmentResults, told: EventReport, status: int
) -> None:
    assert await results.take(told) == status
    assert await list_reasons(store) == [None, None]


async def test_an_expired_transaction_takes_no_result(store: TransactionStore, results: CommitmentResults) -> None:
    await store.set_state("1.9", TransactionState.EXPIRED)
    assert await results.take(report("1.2.1")) == 0x0110
