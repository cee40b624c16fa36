"""One C-STORE-RQ received: what it says, how it is read and answered once."""

from __future__ import annotations

import asyncio

import pytest

from gateway.dimse.commands import CommandField, decode_command
from gateway.dimse.contexts import AcceptedContext
from gateway.dimse.suboperation import StoreSubOperation
from gateway.dimse.ul.events import Abort, PDataFragment
from tests.support.scripted_peer import CT_IMAGE_STORAGE, store_request
from tests.support.scripted_transport import Pair

CONTEXT = AcceptedContext(1, CT_IMAGE_STORAGE, "1.2.840.10008.1.2.4.50")


async def receive_store(pair: Pair, chunks: list[bytes], **fields: object) -> StoreSubOperation:
    """The store whose data set is `chunks`, each arriving by itself; the last is the end if it is b""."""
    command = store_request("1.2.3", message_id=9, **fields)
    pair.transport.arrive([pair.encode(command)])
    for chunk in chunks:
        pair.transport.arrive([pair.peer.send_p_data(1, False, chunk is chunks[-1], len(chunk)) + chunk])
    message = await pair.association.receive(1, waiting_for="it")
    return StoreSubOperation(pair.association, CONTEXT, message.command)


def answers(pair: Pair) -> list[tuple[int | None, int | None]]:
    """(message ID, status) of the C-STORE-RSPs sent."""
    commands = [decode_command(event.data) for event in pair.take_sent() if isinstance(event, PDataFragment)]
    assert all(command.command_field is CommandField.C_STORE_RSP for command in commands)
    assert all(command.affected_sop_instance_uid == "1.2.3" for command in commands)
    return [(command.message_id_being_responded_to, command.status) for command in commands]


async def test_what_it_says() -> None:
    store = await receive_store(Pair(), [b"ab"], move_originator_ae_title="GATEWAY", move_originator_message_id=4)
    assert (store.sop_class_uid, store.sop_instance_uid) == (CT_IMAGE_STORAGE, "1.2.3")
    assert store.transfer_syntax_uid == "1.2.840.10008.1.2.4.50"
    assert store.originator == ("GATEWAY", 4)
    assert (await receive_store(Pair(), [b"ab"])).originator == ("", None)


async def test_absent_uids_are_empty() -> None:
    store = await receive_store(Pair(), [b"ab"], affected_sop_class_uid=None, affected_sop_instance_uid=None)
    assert (store.sop_class_uid, store.sop_instance_uid) == ("", "")


async def test_read_then_answered_once() -> None:
    pair = Pair()
    store = await receive_store(pair, [b"ab", b"cd"])
    assert b"".join([bytes(piece) async for piece in iter_pieces(store)]) == b"abcd"
    await store.respond(0)
    await store.respond(0xA700)
    await store.refuse_early(0xA700)
    assert answers(pair) == [(9, 0)]
    assert store.is_answered


async def test_answering_passes_over_the_rest() -> None:
    pair = Pair()
    store = await receive_store(pair, [b"ab", b"cd", b"ef"])
    assert await store.read_piece() == b"ab"
    await store.respond(0xC000)
    assert answers(pair) == [(9, 0xC000)]
    assert pair.association.is_clean


async def test_an_early_refusal_leaves_the_rest_unread() -> None:
    pair = Pair()
    store = await receive_store(pair, [b"ab", b"cd"])
    await store.refuse_early(0xA700)
    assert answers(pair) == [(9, 0xA700)]
    assert not pair.association.is_clean
    await pair.association.discard_data_set()
    assert pair.association.is_clean


async def test_cancelled_while_it_reads_on_it_is_still_to_be_answered() -> None:
    pair = Pair()
    pair.transport.arrive([pair.encode(store_request("1.2.3", message_id=9))])
    message = await pair.association.receive(1, waiting_for="it")
    store = StoreSubOperation(pair.association, CONTEXT, message.command)
    responding = asyncio.create_task(store.respond(0))
    await asyncio.sleep(0)
    responding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await responding
    assert not store.is_answered
    pair.transport.arrive([pair.peer.send_p_data(1, False, True, 2) + b"ab"])
    await store.respond(0xA700)
    assert answers(pair) == [(9, 0xA700)]


async def test_abort_cuts_the_association() -> None:
    pair = Pair()
    (await receive_store(pair, [b"ab"])).abort()
    assert pair.take_sent() == [Abort(0, 0)]


async def iter_pieces(store: StoreSubOperation):  # type: ignore[no-untyped-def]
    while (piece := await store.read_piece()) is not None:
        yield piece
