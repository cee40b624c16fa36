"""Which move a store belongs to, and the hand-off between acceptor and retrieval."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gateway.dimse.contexts import AcceptedContext
from gateway.dimse.move_routing import MoveReception, MoveRegistry
from gateway.dimse.suboperation import StoreSubOperation
from gateway.errors import ConnectionLost
from tests.support.dimse_operations import LONG_S, SHORT_S
from tests.support.scripted_peer import CT_IMAGE_STORAGE, store_request
from tests.support.scripted_transport import Pair

CONTEXT = AcceptedContext(1, CT_IMAGE_STORAGE, "1.2.840.10008.1.2.1")


def make_store(uid: str = "1.2.3", message_id: int | None = None, originator: str | None = None) -> StoreSubOperation:
    fields: dict[str, Any] = {"move_originator_message_id": message_id, "move_originator_ae_title": originator}
    return StoreSubOperation(Pair().association, CONTEXT, store_request(uid, **fields))


def register(registry: MoveRegistry, *instances: str, archive: str = "ARCHIVE") -> MoveReception:
    return registry.register(
        archive_ae_title=archive,
        calling_ae_title="GATEWAY",
        destination="GATEWAY",
        instances=instances,
    )


class TestMatching:
    async def test_by_message_id_whoever_stores(self) -> None:
        registry = MoveRegistry()
        first, second = register(registry, "1.2.3"), register(registry)
        assert first.message_id != second.message_id
        assert registry.match("ARCHIVE", make_store(message_id=second.message_id)) is second
        assert registry.match("NODE7", make_store(message_id=first.message_id, originator="GATEWAY")) is first

    async def test_whether_an_archive_names_moves(self) -> None:
        registry = MoveRegistry()
        reception = register(registry, "1.2.3")
        registry.match("ARCHIVE", make_store("1.2.3"))
        registry.match("ARCHIVE", make_store(message_id=reception.message_id + 1))
        assert not registry.is_named_by("ARCHIVE")
        registry.match("NODE7", make_store(message_id=reception.message_id))
        assert registry.is_named_by("ARCHIVE") and not registry.is_named_by("NODE7")

    async def test_an_unknown_message_id_or_another_originator(self) -> None:
        registry = MoveRegistry()
        reception = register(registry)
        assert registry.match("ARCHIVE", make_store(message_id=reception.message_id + 1)) is None
        assert registry.match("ARCHIVE", make_store(message_id=reception.message_id, originator="OTHER")) is None

    async def test_without_originator_by_archive_and_instance(self) -> None:
        registry = MoveRegistry()
        first, second = register(registry, "1.2.3", "1.2.4"), register(registry, "1.2.5")
        elsewhere = register(registry, "1.2.3", archive="OTHER")
        assert registry.match("ARCHIVE", make_store("1.2.3")) is first
        assert registry.match("ARCHIVE", make_store("1.2.5")) is second
        assert registry.match("OTHER", make_store("1.2.3")) is elsewhere
        assert registry.match("ARCHIVE", make_store("1.2.6")) is None

    async def test_a_move_that_names_the_instance_comes_before_one_that_names_none(self) -> None:
        registry = MoveRegistry()
        anything, named = register(registry), register(registry, "1.2.3")
        assert registry.match("ARCHIVE", make_store("1.2.3")) is named
        assert registry.match("ARCHIVE", make_store("1.2.4")) is anything

    async def test_an_archive_that_stores_under_another_title_must_bring_a_named_instance(self) -> None:
        registry = MoveRegistry()
        register(registry)
        named = register(registry, "1.2.3")
        assert registry.match("STORAGE_NODE", make_store("1.2.3")) is named
        assert registry.match("STRANGER", make_store("1.2.99")) is None

    async def test_an_instance_is_expected_once(self) -> None:
        registry = MoveRegistry()
        first, second = register(registry, "1.2.3"), register(registry, "1.2.3")
        for expected in (first, second, None):
            store = make_store("1.2.3")
            reception = registry.match("ARCHIVE", store)
            assert reception is expected
            if reception is not None:
                offering = asyncio.create_task(reception.offer(store))
                assert await reception.take(lambda: LONG_S, lambda: False) is store
                reception.finish(store)
                assert await offering

    async def test_a_closed_move_is_forgotten(self) -> None:
        registry = MoveRegistry()
        reception = register(registry)
        assert registry.active_count == 1
        reception.close()
        reception.close()
        assert registry.active_count == 0
        assert registry.match("ARCHIVE", make_store(message_id=reception.message_id)) is None

    async def test_message_ids_go_round_and_skip_those_in_use(self) -> None:
        registry = MoveRegistry()
        kept = register(registry)
        seen = set()
        for _ in range(65_534):
            reception = register(registry)
            seen.add(reception.message_id)
            reception.close()
        assert seen == set(range(1, 65_536)) - {kept.message_id}
        following = register(registry)
        assert following.message_id not in (kept.message_id, 0)

    async def test_the_latest_move_from_an_archive_decides_what_is_accepted(self) -> None:
        registry = MoveRegistry()
        assert registry.latest_from("ARCHIVE") is None
        first = register(registry)
        elsewhere = register(registry, archive="OTHER")
        later = register(registry)
        assert registry.latest_from("ARCHIVE") is later
        assert registry.latest_from("OTHER") is elsewhere
        later.close()
        assert registry.latest_from("ARCHIVE") is first
        assert registry.latest_from("STORAGE_NODE") is elsewhere

    async def test_what_an_archive_has_offered_is_remembered_for_it(self) -> None:
        registry = MoveRegistry()
        registry.note_offer("STRANGER", ["1.2"])
        register(registry)
        registry.note_offer("ARCHIVE", ["1.2.3"])
        registry.note_offer("STORAGE_NODE", ["1.2.4"])
        assert registry.offered_by("ARCHIVE") == {"1.2.3", "1.2.4"}
        assert registry.offered_by("STRANGER") == frozenset()


def limit(seconds: float) -> Callable[[], float]:
    return lambda: seconds


class TestHandOff:
    async def test_offers_are_taken_in_order_and_wait_until_finished(self) -> None:
        reception = register(MoveRegistry())
        stores = [make_store(f"1.2.{number}") for number in range(3)]
        offers = [asyncio.create_task(reception.offer(store)) for store in stores]
        for number, store in enumerate(stores):
            assert await reception.take(limit(LONG_S), lambda: False) is store
            await asyncio.sleep(0)
            assert [offer.done() for offer in offers] == [n < number for n in range(3)]
            reception.finish(store)
            assert await offers[number] is True

    async def test_take_waits_for_an_offer_and_for_the_end(self) -> None:
        reception, over = register(MoveRegistry()), []
        taking = asyncio.create_task(reception.take(limit(LONG_S), lambda: bool(over)))
        await asyncio.sleep(0)
        assert not taking.done()
        over.append(True)
        reception.wake()
        assert await taking is None

    async def test_what_waits_is_given_before_the_end_and_before_a_failure(self) -> None:
        reception = register(MoveRegistry())
        store = make_store()
        offering = asyncio.create_task(reception.offer(store))
        await asyncio.sleep(0)
        reception.fail(ConnectionLost("ARCHIVE", "gone"))
        assert await reception.take(limit(LONG_S), lambda: True) is store
        with pytest.raises(ConnectionLost):
            await reception.take(limit(LONG_S), lambda: False)
        reception.finish(store)
        assert await offering

    async def test_no_progress_within_the_limit(self) -> None:
        with pytest.raises(TimeoutError):
            await register(MoveRegistry()).take(limit(SHORT_S), lambda: False)

    async def test_progress_extends_the_wait(self) -> None:
        reception = register(MoveRegistry())
        taking = asyncio.create_task(reception.take(limit(0.1), lambda: False))
        for _ in range(6):
            await asyncio.sleep(0.04)
            assert not taking.done()
            reception.note_progress()
        store = make_store()
        offering = asyncio.create_task(reception.offer(store))
        assert await taking is store
        reception.close()
        assert await offering is False

    async def test_closing_refuses_what_waits_and_what_was_taken(self) -> None:
        reception = register(MoveRegistry())
        offers = [asyncio.create_task(reception.offer(make_store(f"1.2.{number}"))) for number in range(3)]
        await reception.take(limit(LONG_S), lambda: False)
        reception.close()
        assert await asyncio.gather(*offers) == [False] * 3
        assert await reception.offer(make_store()) is False

    async def test_an_offer_withdrawn_is_not_taken(self) -> None:
        reception = register(MoveRegistry())
        offering = asyncio.create_task(reception.offer(make_store()))
        await asyncio.sleep(0)
        offering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await offering
        with pytest.raises(TimeoutError):
            await reception.take(limit(SHORT_S), lambda: False)

    async def test_a_store_taken_whose_association_ends_is_finished_without_a_trace(self) -> None:
        reception, store = register(MoveRegistry()), make_store()
        offering = asyncio.create_task(reception.offer(store))
        assert await reception.take(limit(LONG_S), lambda: False) is store
        offering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await offering
        reception.finish(store)
