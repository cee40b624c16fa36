"""One archive as services see it, over a scripted peer: what it asks, how it recovers, what it leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.dimse.archive import Archive, QueryCapabilities, RetrieveAbilities, StorageContext
from gateway.dimse.commands import CommandField
from gateway.dimse.contexts import MAX_CONTEXTS
from gateway.dimse.scu.storage import InstanceToStore
from gateway.dimse.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gateway.dimse.ul.events import ExtendedNegotiation
from gateway.errors import (
    AssociationRejected,
    BackendError,
    ConnectionLost,
    DimseTimeout,
    MoveDestinationUnavailable,
    NoAcceptedContext,
    PoolTimeout,
)
from gateway.tasks import running_tasks
from tests.support.cancellation import iter_cancelled_runs, settle
from tests.support.dimse_operations import Destination, archive_at
from tests.support.scripted_peer import (
    CT_IMAGE_STORAGE,
    Message,
    PeerAssociation,
    ScriptedPeer,
)

EXPLICIT = "1.2.840.10008.1.2.1"
STUDY = {"00080052": {"vr": "CS", "Value": ["STUDY"]}, "0020000D": {"vr": "UI", "Value": ["1.2.1"]}}
CT_CONTEXTS = (StorageContext(CT_IMAGE_STORAGE, (EXPLICIT,)),)
PAYLOAD = bytes(100_000)


async def serve(peer: PeerAssociation, destination: Destination | None = None) -> None:
    """A well-behaved archive with one match and one instance."""
    await peer.accept()
    await serve_requests(peer, destination)


async def serve_requests(peer: PeerAssociation, destination: Destination | None = None) -> None:
    """The same, once accepted."""
    while True:
        request = await peer.receive()
        match request.command.command_field:
            case CommandField.C_FIND_RQ:
                await peer.respond(request, 0xFF00, b"match!")
            case CommandField.C_GET_RQ:
                answer = await peer.store(peer.context_for(CT_IMAGE_STORAGE), "1.2.3", PAYLOAD)
                if answer.command.command_field is CommandField.C_CANCEL_RQ:  # the response comes after it
                    await peer.receive()
            case CommandField.C_MOVE_RQ if destination is not None:
                await store_for(destination, request)
            case CommandField.C_CANCEL_RQ:
                continue
        await peer.respond(request, 0, completed_suboperations=1)


async def store_for(destination: Destination, request: Message) -> None:
    """Send one instance for a C-MOVE."""
    async with destination.connect() as sender:
        await sender.store(1, "1.2.3", PAYLOAD, move_originator_message_id=request.command.message_id)


async def find(archive: Archive) -> list[bytes]:
    async with archive.find(STUDY) as responses:
        return [match.data async for match in responses]


async def get(archive: Archive) -> list[str]:
    async with archive.get(STUDY, CT_CONTEXTS) as retrieval:
        return [instance.sop_instance_uid async for instance in retrieval]


async def move(archive: Archive) -> list[str]:
    async with archive.move(STUDY, ()) as retrieval:
        return [instance.sop_instance_uid async for instance in retrieval]


async def store(archive: Archive) -> int | None:
    async with archive.store(InstanceToStore(CT_IMAGE_STORAGE, "1.2.3", EXPLICIT)) as operation:
        await operation.write(PAYLOAD)
        await operation.end()
        return (await operation.finish()).status


async def echo(archive: Archive) -> None:
    await archive.echo()


Operation = Callable[[Archive], Awaitable[Any]]
OPERATIONS: dict[str, tuple[Operation, Any]] = {
    "echo": (echo, None),
    "find": (find, [b"match!"]),
    "get": (get, ["1.2.3"]),
    "move": (move, ["1.2.3"]),
    "store": (store, 0),
}


class TestOperations:
    @pytest.mark.parametrize("name", OPERATIONS)
    async def test_twice_over_one_association(self, name: str) -> None:
        operate, expected = OPERATIONS[name]
        destination = Destination()
        async with ScriptedPeer(lambda peer: serve(peer, destination)) as peer:
            async with archive_at(peer.port, destination) as archive:
                for _ in range(2):
                    assert await operate(archive) == expected
                assert archive.describe_load() == {
                    "busy": 0,
                    "idle": 1,
                    "waiting": 0,
                    "opened": 1,
                    "reused": 1,
                    "limit": 8,
                }
            await peer.until(lambda: peer.endings == ["released"])

    @pytest.mark.parametrize("name", ["echo", "find", "get", "move"])
    @pytest.mark.parametrize("how", ["drop", "abort", "release"])
    async def test_a_stale_association_is_replaced_once(self, name: str, how: str) -> None:
        """The archive ends it in the very moment it is used again."""
        operate, expected = OPERATIONS[name]
        destination = Destination()

        async def once(peer: PeerAssociation) -> None:
            await peer.accept()
            request = await peer.receive()
            if request.command.command_field is CommandField.C_GET_RQ:
                await peer.store(peer.context_for(CT_IMAGE_STORAGE), "1.2.3", PAYLOAD)
            elif request.command.command_field is CommandField.C_FIND_RQ:
                await peer.respond(request, 0xFF00, b"match!")
            elif request.command.command_field is CommandField.C_MOVE_RQ:
                await store_for(destination, request)
            await peer.respond(request, 0, completed_suboperations=1)
            await peer.receive()
            await {"abort": peer.abort, "release": peer.release}.get(how, lambda: asyncio.sleep(0))()
            if how == "drop":
                peer.drop()

        async with ScriptedPeer(once, lambda peer: serve(peer, destination)) as peer:
            async with archive_at(peer.port, destination) as archive:
                assert await operate(archive) == expected
                assert await operate(archive) == expected
                assert archive.pool.statistics.opened == 2

    @pytest.mark.parametrize("name", ["echo", "find", "get", "move"])
    async def test_a_new_association_that_is_lost_is_not_replaced(self, name: str) -> None:
        async def drop(peer: PeerAssociation) -> None:
            await peer.accept()
            await peer.receive()
            peer.drop()

        async with ScriptedPeer(drop) as peer, archive_at(peer.port) as archive:
            with pytest.raises(ConnectionLost):
                await OPERATIONS[name][0](archive)
            assert len(peer.associations) == 1

    @pytest.mark.parametrize("name", OPERATIONS)
    async def test_cancelled_at_every_await(self, name: str) -> None:
        operate, expected = OPERATIONS[name]
        destination = Destination()
        async with ScriptedPeer(lambda peer: serve(peer, destination)) as peer:
            async with archive_at(peer.port, destination, max_associations=1, cancel_timeout_s=0.05) as archive:
                steps = 0

                async def run() -> None:
                    for _ in range(2):  # a new association, then a pooled one
                        assert await operate(archive) == expected

                async for _ in iter_cancelled_runs(run):
                    steps += 1
                    assert archive.pool.busy_count == archive.pool.waiting_count == 0
                    assert destination.registry.active_count == 0
                    assert await operate(archive) == expected  # the only slot is free
                    for member in list(archive.pool._idle):
                        archive.pool._end_idle([member])
                    await peer.until(lambda: peer.open_count == 0)
                    await settle(lambda: running_tasks() == [] and destination.acceptor.association_count == 0)
                assert steps >= 4


class TestNegotiation:
    async def test_capabilities_and_abilities_are_learnt_once(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept(results={STUDY_ROOT_MOVE: 3})

        async with ScriptedPeer(script) as peer, archive_at(peer.port) as archive:
            assert await archive.query_capabilities() == QueryCapabilities(True, True, False, True)
            assert await archive.retrieve_abilities() == RetrieveAbilities(can_get=True, can_move=False)
            await archive.query_capabilities()
            assert archive.pool.statistics.opened == 1
            assert archive.pool.statistics.reused == 0

    @pytest.mark.parametrize(
        ("settings", "asked", "learnt"),
        [
            ({}, b"\1\1\0\1", QueryCapabilities(True, True, False, True)),
            ({"relational": False}, b"\0\1\0\1", QueryCapabilities(False, True, False, True)),
            ({"extended_negotiation_bytes": 1}, b"\1", QueryCapabilities(True)),
            ({"extended_negotiation_bytes": 0}, None, QueryCapabilities()),
        ],
    )
    async def test_what_is_asked_for(
        self, settings: dict[str, Any], asked: bytes | None, learnt: QueryCapabilities
    ) -> None:
        async with ScriptedPeer(serve) as peer, archive_at(peer.port, **settings) as archive:
            assert await archive.query_capabilities() == learnt
            request = peer.associations[0].request
            assert request is not None
            items = {item.sop_class_uid: item.information for item in request.extended}
            assert items == ({} if asked is None else {STUDY_ROOT_FIND: asked})

    @pytest.mark.parametrize("offered", [True, False])
    async def test_names_match_literally_unless_wanted(self, offered: bool) -> None:
        async def script(peer: PeerAssociation) -> None:
            answer = bytes([1, 1, offered, 1])
            await peer.accept(extended=(ExtendedNegotiation(STUDY_ROOT_FIND, answer),))
            await serve_requests(peer)

        async with ScriptedPeer(script) as peer, archive_at(peer.port) as archive:
            assert (await archive.query_capabilities(fuzzy=True)).fuzzy is offered
            for fuzzy in (False, True, False):
                async with archive.find(STUDY, fuzzy=fuzzy) as responses:
                    assert [match async for match in responses]
            requests = [association.request for association in peer.associations]
            flags = [item.information for request in requests if request for item in request.extended]
            assert flags == [b"\1\1\1\1", b"\1\1\0\1"]

    async def test_titles_and_identity(self) -> None:
        settings = {"calling_ae_title": "OTHER", "user_name": "u", "password": "p", "move_destination": "DEST"}
        async with ScriptedPeer(serve) as peer, archive_at(peer.port, **settings) as archive:
            await archive.echo()
            request = peer.associations[0].request
            assert request is not None
            assert (request.called_ae_title, request.calling_ae_title) == ("ARCHIVE", "OTHER")
            assert request.user_identity is not None
            assert (request.user_identity.kind, request.user_identity.secondary) == (2, b"p")
            assert archive.move_destination == "DEST"

    @pytest.mark.parametrize(
        ("answers", "result"),
        [
            ({"results": {CT_IMAGE_STORAGE: 4}}, 4),
            ({"roles": False}, 0),
            ({"results": {STUDY_ROOT_GET: 3}}, 3),
        ],
    )
    async def test_a_get_that_could_bring_nothing(self, answers: dict[str, Any], result: int) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept(**answers)

        async with ScriptedPeer(script) as peer, archive_at(peer.port) as archive:
            with pytest.raises(NoAcceptedContext) as caught:
                await get(archive)
            assert caught.value.result == result
            assert peer.associations[0].messages_received == []
            assert archive.pool.idle_count == 1

    async def test_a_get_never_runs_on_an_association_with_other_contexts(self) -> None:
        async with ScriptedPeer(serve) as peer, archive_at(peer.port) as archive:
            more = (*CT_CONTEXTS, StorageContext("1.2.840.10008.5.1.4.1.1.4", (EXPLICIT,)))
            async with archive.get(STUDY, more) as retrieval:
                assert [instance.sop_instance_uid async for instance in retrieval] == ["1.2.3"]
            assert await get(archive) == ["1.2.3"]
            assert archive.pool.statistics.opened == 2

    async def test_no_move_without_a_listener(self) -> None:
        async with ScriptedPeer(serve) as peer, archive_at(peer.port, can_receive=False) as archive:
            with pytest.raises(MoveDestinationUnavailable):
                await move(archive)
            assert (await archive.retrieve_abilities()).can_move is False


class TestStore:
    async def test_what_the_same_request_brings_is_offered_together(self) -> None:
        offered = tuple(StorageContext(f"1.2.{number}", (EXPLICIT,)) for number in range(200))
        async with ScriptedPeer(serve) as peer, archive_at(peer.port) as archive:
            needed = InstanceToStore(CT_IMAGE_STORAGE, "1.2", EXPLICIT)
            for instance in (needed, InstanceToStore("1.2.7", "1.2.3", EXPLICIT)):
                async with archive.store(instance, offered) as operation:
                    await operation.end()
                    assert (await operation.finish()).status == 0
            request = peer.associations[0].request
            assert request is not None
            assert len(request.contexts) == MAX_CONTEXTS
            assert request.contexts[0].abstract_syntax == CT_IMAGE_STORAGE
            assert archive.pool.statistics.opened == 1

    async def test_the_class_or_the_transfer_syntax_is_refused(self) -> None:
        async def script(peer: PeerAssociation) -> None:
            await peer.accept(results={CT_IMAGE_STORAGE: 4})

        async with ScriptedPeer(script) as peer, archive_at(peer.port) as archive:
            with pytest.raises(NoAcceptedContext) as caught:
                await store(archive)
            assert caught.value.result == 4
            assert archive.pool.busy_count == 0

    async def test_abandoned_in_mid_instance(self) -> None:
        async with ScriptedPeer(serve) as peer, archive_at(peer.port) as archive:
            with pytest.raises(ZeroDivisionError):
                async with archive.store(InstanceToStore(CT_IMAGE_STORAGE, "1.2", EXPLICIT)) as operation:
                    await operation.write(PAYLOAD)
                    raise ZeroDivisionError
            await peer.until(lambda: peer.endings == ["aborted"])


class TestLimits:
    async def test_the_whole_operation(self) -> None:
        async def endless(peer: PeerAssociation) -> None:
            await peer.accept()
            request = await peer.receive()
            cancelled = asyncio.create_task(peer.receive())
            while not cancelled.done():
                await peer.respond(request, 0xFF00, b"ab")
                await asyncio.sleep(0.002)
            await peer.respond(request, 0xFE00)

        async with ScriptedPeer(endless) as peer, archive_at(peer.port, operation_timeout_s=0.05) as archive:
            with pytest.raises(DimseTimeout, match=r"longer than 0\.05 s"):
                await find(archive)
            assert archive.pool.idle_count == 1  # cancelled in order

    async def test_a_time_out_of_the_consumer_is_its_own(self) -> None:
        async with ScriptedPeer(serve) as peer, archive_at(peer.port, operation_timeout_s=60) as archive:
            with pytest.raises(TimeoutError, match="mine"):
                async with archive.find(STUDY):
                    raise TimeoutError("mine")
            assert archive.pool.busy_count == 0

    async def test_moves_one_at_a_time(self) -> None:
        destination = Destination()
        settings = {"move_correlation": "one-at-a-time", "pool_timeout_s": 0.03}
        async with ScriptedPeer(lambda peer: serve(peer, destination)) as peer:
            async with archive_at(peer.port, destination, **settings) as archive:
                async with archive.move(STUDY, ()) as retrieval:
                    assert destination.registry.active_count == 1
                    with pytest.raises(PoolTimeout, match="another C-MOVE"):
                        await move(archive)
                    assert [instance.sop_instance_uid async for instance in retrieval] == ["1.2.3"]
                assert await move(archive) == ["1.2.3"]

    async def test_a_closed_archive_cuts_what_is_on_loan(self) -> None:
        async def stall(peer: PeerAssociation) -> None:
            await peer.accept()
            request = await peer.receive()
            await peer.respond(request, 0xFF00, b"ab")

        async with ScriptedPeer(stall) as peer, archive_at(peer.port) as archive:
            with pytest.raises(ConnectionLost):
                async with archive.find(STUDY) as responses:
                    await anext(responses)
                    await archive.close()
                    await anext(responses)
            await peer.until(lambda: peer.endings == ["aborted"])


def test_every_failure_is_a_backend_error() -> None:
    for leaf in (AssociationRejected, ConnectionLost, DimseTimeout, NoAcceptedContext, PoolTimeout):
        assert issubclass(leaf, BackendError)
