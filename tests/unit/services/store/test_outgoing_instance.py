"""One instance to the archive: what is sent, what is held back, what its end is taken for."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.codecs.head import HeadReader, InstanceHead
from gateway.dimse.archive import Archive, StorageContext
from gateway.errors import ConnectFailed, ConnectionLost, NoAcceptedContext
from gateway.resources import ResourcePath
from gateway.services.store.coercion import CoercingEncoder, Coercion
from gateway.services.store.outgoing_instance import NotSent, OutgoingInstance
from gateway.services.store.results import Failed, Stored
from tests.support.fake_store import FakeStoreArchive
from tests.support.store_requests import raising
from tests.support.uploads import CT, EXPLICIT_VR_LE, STUDY, make_data_set, make_file, sop_uid

PATH = ResourcePath(STUDY, f"{STUDY}.1", sop_uid(1))


def read_head(content: bytes) -> InstanceHead:
    head = HeadReader(65_536).feed(content)
    assert head is not None
    return head


async def open_instance(archive: FakeStoreArchive, content: bytes) -> OutgoingInstance:
    head = read_head(content)
    instance = await OutgoingInstance.open(cast(Archive, archive), head, [StorageContext(CT, (EXPLICIT_VR_LE,))])
    for piece in head.data_set:
        await instance.write(piece)
    return instance


async def finish(instance: OutgoingInstance) -> Failed | Stored:
    await instance.end()
    return await instance.finish()


async def test_it_is_sent_as_it_came_and_its_association_given_back() -> None:
    archive = FakeStoreArchive()
    data_set = make_data_set(1)
    instance = await open_instance(archive, make_file(data_set))
    assert archive.busy == 1 and instance.size == len(data_set)
    await instance.end()
    assert await instance.finish() == Stored(PATH, CT)
    (attempt,) = archive.attempts
    assert (attempt.outcome, bytes(attempt.data), archive.busy) == ("stored", data_set, 0)
    assert attempt.instance.sop_instance_uid == sop_uid(1)
    assert attempt.instance.transfer_syntax_uid == EXPLICIT_VR_LE
    assert attempt.offered == (StorageContext(CT, (EXPLICIT_VR_LE,)),)


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0xB123, 0x0001, 0x0107, 0x0116])
async def test_a_warning_is_stored_with_its_reason(status: int) -> None:
    archive = FakeStoreArchive(answer=lambda uid: status)
    instance = await open_instance(archive, make_file(make_data_set(1)))
    await instance.end()
    assert await instance.finish() == Stored(PATH, CT, status)


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC123, 0x0110, 0x0111, 0x0122, 0x0124, 0x0213, 0xFF00, 0xFE00, 5])
async def test_any_other_status_is_a_failure_with_that_reason(status: int) -> None:
    archive = FakeStoreArchive(answer=lambda uid: status)
    instance = await open_instance(archive, make_file(make_data_set(1)))
    await instance.end()
    result = await instance.finish()
    assert result == Failed(CT, sop_uid(1), status)
    assert isinstance(result, Failed) and result.error is None


async def test_an_answer_without_status_or_none_at_all_is_a_processing_failure() -> None:
    silent = FakeStoreArchive(answer=lambda uid: None)
    assert await finish(await open_instance(silent, make_file(make_data_set(1)))) == Failed(CT, sop_uid(1), 0x0110)

    lost = ConnectionLost("FAKE", "gone")

    def interrupt(number: int, piece: Any) -> None:
        if piece is None:
            raise lost

    broken = FakeStoreArchive(interrupt=interrupt)
    result = await finish(await open_instance(broken, make_file(make_data_set(1))))
    assert result == Failed(CT, sop_uid(1), 0x0110)
    assert isinstance(result, Failed) and result.error is lost
    assert broken.busy == 0


async def test_what_is_cut_is_never_ended() -> None:
    archive = FakeStoreArchive()
    instance = await open_instance(archive, make_file(make_data_set(1)))
    await instance.cut()
    assert archive.outcomes == ["cut"] and archive.busy == 0


async def test_nothing_is_held_when_no_association_is_had() -> None:
    def refuse(number: int, instance: Any) -> None:
        raise NoAcceptedContext("FAKE", CT, 3)

    archive = FakeStoreArchive(refuse=refuse)
    with pytest.raises(NoAcceptedContext):
        await open_instance(archive, make_file(make_data_set(1)))
    assert archive.busy == 0


# --- one behind the other ---


async def follow(before: OutgoingInstance, number: int) -> OutgoingInstance:
    head = read_head(make_file(make_data_set(number)))
    instance = before.follow(head)
    assert instance is not None
    for piece in head.data_set:
        await instance.write(piece)
    return instance


async def test_it_follows_on_the_same_association_which_the_last_gives_back() -> None:
    archive = FakeStoreArchive()
    first = await open_instance(archive, make_file(make_data_set(1)))
    assert first.follow(read_head(make_file(make_data_set(2)))) is None
    await first.end()
    second = await follow(first, 2)
    ending = asyncio.create_task(second.end())
    assert await first.finish() == Stored(PATH, CT)
    await ending
    assert archive.busy == 1
    assert isinstance(await second.finish(), Stored)
    assert (archive.outcomes, archive.busy, archive.most_busy) == (["stored", "stored"], 0, 1)
    assert bytes(archive.attempts[1].data) == make_data_set(2)


async def test_what_is_cut_before_its_turn_disturbs_nobody() -> None:
    archive = FakeStoreArchive()
    first = await open_instance(archive, make_file(make_data_set(1)))
    await first.end()
    second = await follow(first, 2)
    await second.cut()
    assert archive.busy == 1
    assert await first.finish() == Stored(PATH, CT)
    assert (archive.outcomes, archive.busy) == (["stored"], 0)


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("coercion", [None, Coercion.from_settings(["InstitutionName=St. Elsewhere"], "GATEWAY")])
async def test_what_was_not_sent_is_sent_on_another_association(ends: bool, coercion: Coercion | None) -> None:
    def interrupt(number: int, piece: Any) -> None:
        if number == 0 and piece is None:
            raise ConnectionLost("FAKE", "gone")

    archive = FakeStoreArchive(interrupt=interrupt)
    first = await open_instance(archive, make_file(make_data_set(1)))
    await first.end()
    head = read_head(make_file(make_data_set(2)))
    second = first.follow(head, coercion=coercion)
    assert second is not None
    data_set = b"".join(head.data_set)
    await second.write(data_set[:200])
    if ends:
        await second.write(data_set[200:])
        ending = asyncio.create_task(second.end())
        await asyncio.sleep(0)
        assert isinstance(await first.finish(), Failed)
        with pytest.raises(NotSent):
            await ending
    else:
        assert isinstance(await first.finish(), Failed)
        with pytest.raises(NotSent):
            await second.write(data_set[200:])
    await second.reopen(cast(Archive, archive), [])
    assert archive.busy == 1
    assert isinstance(await finish(second), Stored)
    assert archive.busy == 0 and archive.outcomes[1] == "stored"
    expected = data_set
    if coercion is not None:
        encoder = CoercingEncoder(coercion, EXPLICIT_VR_LE)
        expected = b"".join([*encoder.feed(data_set), *encoder.finish()])
    assert bytes(archive.attempts[1].data) == expected


async def test_without_another_association_it_can_only_be_cut() -> None:
    def interrupt(number: int, piece: Any) -> None:
        raise ConnectionLost("FAKE", "gone")

    archive = FakeStoreArchive()
    first = await open_instance(archive, make_file(make_data_set(1)))
    await first.end()
    second = await follow(first, 2)
    archive.interrupt = interrupt
    await first.finish()
    with pytest.raises(NotSent):
        await second.end()
    archive.refuse = raising(ConnectFailed("FAKE", "refused"))
    with pytest.raises(ConnectFailed):
        await second.reopen(cast(Archive, archive), [])
    await second.cut()
    assert archive.busy == 0
