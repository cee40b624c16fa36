"""A store request as a whole: what is stored, what is read ahead, bodies that break, clients that leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.multipart import MultipartReader, PartChunk, PartEnd, PartStart
from gateway.config import StoreSettings
from gateway.dimse.archive import Archive, StorageContext
from gateway.errors import (
    GatewayError,
    MalformedBody,
    TooLarge,
    UploadTimeout,
)
from gateway.services.store.incoming import BodyEvent
from gateway.services.store.results import StoreResult, Unreadable
from gateway.services.store.service import READ_AHEAD_BYTES, StoreService
from gateway.tasks import cancel_and_wait, running_tasks
from tests.support.cancellation import iter_cancelled_runs, settle
from tests.support.store_requests import (
    GARBAGE,
    IMPLICIT_VR_LE,
    Endless,
    failed,
    instance,
    iter_events,
    make_archive,
    store,
    stored,
)
from tests.support.uploads import (
    BOUNDARY,
    CT,
    EXPLICIT_VR_LE,
    JPEG_LS,
    MR,
    STUDY,
    make_data_set,
    make_file,
    multipart,
    sop_uid,
)

# --- what is stored ---


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 20])
async def test_every_part_is_sent_as_it_came_whatever_pieces_it_comes_in(size: int) -> None:
    archive = make_archive()
    assert await store(archive, [instance(n) for n in range(3)], size=size) == [stored(n) for n in range(3)]
    assert [bytes(attempt.data) for attempt in archive.attempts] == [make_data_set(n) for n in range(3)]
    assert archive.outcomes == ["stored"] * 3


async def test_each_study_sent_to_is_told_of_whatever_became_of_it() -> None:
    archive, changed = make_archive(answer=lambda uid: 0xA700 if uid == sop_uid(2) else 0), list[str]()
    service = StoreService(cast(Archive, archive), StoreSettings(), changed.append)
    async with asyncio.timeout(20):
        await service.store_instances(iter_events(multipart([instance(1), instance(2)])), None)
    assert changed == [STUDY, STUDY]


@given(splits=st.lists(st.integers(0, 1500), max_size=6), numbers=st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_any_pieces_and_any_repetition(splits: list[int], numbers: list[int]) -> None:
    body = multipart([instance(n) for n in numbers])
    places = sorted({0, len(body), *(split for split in splits if split < len(body))})

    async def events() -> AsyncIterator[BodyEvent]:
        reader = MultipartReader(BOUNDARY)
        for start, stop in zip(places, places[1:], strict=False):
            for event in reader.feed(body[start:stop]):
                yield event
        reader.finish()

    async def run() -> None:
        archive = make_archive()
        service = StoreService(cast(Archive, archive), StoreSettings())
        assert await service.store_instances(events(), None) == [stored(n) for n in numbers]
        assert [bytes(attempt.data) for attempt in archive.attempts] == [make_data_set(n) for n in numbers]

    asyncio.run(run())


async def test_results_keep_the_order_of_the_parts_whenever_their_answers_come() -> None:
    archive = make_archive(gates={sop_uid(n): asyncio.Event() for n in range(3)})
    running = asyncio.create_task(store(archive, [instance(0), GARBAGE, instance(1), instance(2)]))
    await archive.until(lambda: archive.outcomes == ["sent"] * 3)
    for number in (2, 0, 1):
        archive.gates[sop_uid(number)].set()
        await archive.until(lambda number=number: archive.attempts[number].outcome == "stored")
    assert await running == [stored(0), Unreadable(), stored(1), stored(2)]


async def test_a_large_instance_is_passed_on_without_being_held() -> None:
    """What the archive does not have yet of what was asked for stays within the limit of reading ahead."""
    archive = make_archive()
    piece, count = bytes(65_536), 200
    asked = []

    async def events() -> AsyncIterator[BodyEvent]:
        yield PartStart({})
        whole = make_file(make_data_set(1, pixels=piece * count))
        for start in range(0, len(whole), len(piece)):
            sent = len(archive.attempts[0].data) if archive.attempts else 0
            asked.append(start - sent)
            yield PartChunk(memoryview(whole)[start : start + len(piece)])
        yield PartEnd()

    service = StoreService(cast(Archive, archive), StoreSettings())
    assert await service.store_instances(events(), None) == [stored(1)]
    assert max(asked) <= READ_AHEAD_BYTES + 2 * len(piece)


async def test_the_next_instance_is_read_while_the_archive_digests_one() -> None:
    gate = asyncio.Event()
    archive = make_archive(store_associations=1, gates={sop_uid(1): gate})
    read = asyncio.Event()

    async def events() -> AsyncIterator[BodyEvent]:
        async for event in iter_events(multipart([instance(1), instance(2)])):
            yield event
        read.set()

    service = StoreService(cast(Archive, archive), StoreSettings())
    running = asyncio.create_task(service.store_instances(events(), None))
    await archive.until(lambda: archive.outcomes == ["sent"])
    await asyncio.wait_for(read.wait(), 5)
    assert archive.outcomes == ["sent"]
    gate.set()
    assert await running == [stored(1), stored(2)]


async def test_parts_without_end_are_not_read_without_end_while_the_archive_digests() -> None:
    gate = asyncio.Event()
    archive = make_archive(store_associations=1, gates={sop_uid(1): gate, sop_uid(2): gate})
    body = Endless(instance(1), instance(2), GARBAGE)
    service = StoreService(cast(Archive, archive), StoreSettings())
    running = asyncio.create_task(service.store_instances(body.__aiter__(), None))
    await archive.until(lambda: archive.outcomes == ["sent"])
    read = -1
    while read < body.parts:
        read = body.parts
        for _ in range(10):
            await asyncio.sleep(0)
    assert 2 < body.parts < READ_AHEAD_BYTES / 500
    await cancel_and_wait(running)
    gate.set()
    await settle(lambda: not running_tasks())


async def test_what_a_request_brings_is_offered_on_its_further_associations() -> None:
    archive = make_archive()
    await store(archive, [instance(0), instance(1, sop_class=MR), make_file(make_data_set(2), JPEG_LS)])
    native = [StorageContext(uid, (syntax,)) for uid in (CT, MR) for syntax in (EXPLICIT_VR_LE, IMPLICIT_VR_LE)]
    assert set(archive.attempts[0].offered) == set(native[:2])
    assert set(archive.attempts[1].offered) == set(native)
    assert set(archive.attempts[2].offered) == {*native, StorageContext(CT, (JPEG_LS,))}
    assert [attempt.offered[0] for attempt in archive.attempts] == [
        StorageContext(attempt.instance.sop_class_uid, (attempt.instance.transfer_syntax_uid,))
        for attempt in archive.attempts
    ]


async def test_what_an_instance_needs_is_offered_before_what_others_needed() -> None:
    """128 contexts are possible; the rest is left out."""
    archive = make_archive()
    classes = [f"1.2.826.0.1.3680043.8.498.90.{number}" for number in range(60)]
    await store(archive, [instance(number, sop_class=uid) for number, uid in enumerate(classes)])
    for attempt, uid in zip(archive.attempts, classes, strict=True):
        assert {context.sop_class_uid for context in attempt.offered[:2]} == {uid}


# --- bodies that break ---


async def test_a_body_without_parts() -> None:
    with pytest.raises(MalformedBody):
        await store(make_archive(), [])
    with pytest.raises(MalformedBody):
        await store(make_archive(), [], closed=False)


async def test_a_body_that_ends_within_the_only_instance() -> None:
    archive = make_archive()
    with pytest.raises(MalformedBody):
        await store(archive, [instance(1)], closed=False)
    assert archive.outcomes == ["cut"]


async def test_what_was_stored_before_the_body_broke_is_told() -> None:
    archive = make_archive()
    assert await store(archive, [instance(1), instance(2)], closed=False) == [stored(1), failed(2, 0xC000)]
    assert archive.outcomes == ["stored", "cut"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(MalformedBody("cut"), 0xC000), (UploadTimeout("silent"), 0xC000), (TooLarge("the request body", 1), 0xA700)],
)
@pytest.mark.parametrize("place", ["between parts", "within a head"])
async def test_a_body_that_breaks_is_never_taken_for_complete(error: GatewayError, reason: int, place: str) -> None:
    async def events(content: bytes) -> AsyncIterator[BodyEvent]:
        for event in (PartStart({}), PartChunk(content), PartEnd()):
            yield event
        if place == "within a head":
            yield PartStart({})
            yield PartChunk(instance(2)[:150])
        raise error

    archive = make_archive()
    service = StoreService(cast(Archive, archive), StoreSettings())
    assert await service.store_instances(events(instance(1)), None) == [stored(1), Unreadable(reason)]
    with pytest.raises(type(error)):
        await service.store_instances(events(GARBAGE), None)


async def test_a_broken_body_and_an_instance_that_the_archive_refuses_is_the_body_s_failure() -> None:
    with pytest.raises(MalformedBody):
        await store(make_archive(answer=lambda uid: 0xA900), [instance(1), b"x"], closed=False)


# --- clients that leave ---


async def test_a_client_that_leaves_cuts_what_is_under_way_and_leaves_the_rest_to_the_archive() -> None:
    archive = make_archive(gates={sop_uid(1): asyncio.Event()})

    async def events() -> AsyncIterator[BodyEvent]:
        for event in (PartStart({}), PartChunk(instance(1)), PartEnd(), PartStart({}), PartChunk(instance(2))):
            yield event
        await asyncio.Event().wait()

    changed: list[str] = []
    service = StoreService(cast(Archive, archive), StoreSettings(), changed.append)
    running = asyncio.create_task(service.store_instances(events(), None))
    await archive.until(lambda: len(archive.attempts) == 2 and len(archive.attempts[1].data) == len(make_data_set(2)))
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert changed == [STUDY]  # of what was cut the archive may have had all
    assert archive.outcomes == ["sent", "cut"] and archive.busy == 1
    archive.gates[sop_uid(1)].set()
    await archive.until(lambda: archive.outcomes == ["stored", "cut"] and archive.busy == 0)
    await settle(lambda: running_tasks() == [])


async def test_a_client_that_leaves_while_answers_are_outstanding() -> None:
    archive = make_archive(gates={sop_uid(1): asyncio.Event()})
    running = asyncio.create_task(store(archive, [instance(1)]))
    await archive.until(lambda: archive.outcomes == ["sent"])
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait({running})
    assert archive.outcomes == ["sent"]
    archive.gates[sop_uid(1)].set()
    await archive.until(lambda: archive.outcomes == ["stored"] and archive.busy == 0)
    await settle(lambda: running_tasks() == [])


@pytest.mark.parametrize("store_associations", [1, 4])
async def test_cancelled_at_each_await_nothing_is_left_behind(store_associations: int) -> None:
    archive = make_archive(store_associations=store_associations)
    parts = [instance(1), GARBAGE, instance(2, sop_class=MR), instance(1), instance(3)[:-9], instance(4)]

    async def run() -> list[StoreResult]:
        archive.attempts.clear()
        service = StoreService(cast(Archive, archive), StoreSettings())
        return await service.store_instances(iter_events(multipart(parts), 400), None)

    steps = 0
    async for _ in iter_cancelled_runs(run):
        await settle(lambda: archive.busy == 0 and running_tasks() == [])
        assert set(archive.outcomes) <= {"stored", "cut"}
        assert all(
            bytes(attempt.data)
            == make_data_set(
                int(attempt.instance.sop_instance_uid.rpartition(".")[2]), sop_class=attempt.instance.sop_class_uid
            )
            for attempt in archive.attempts
            if attempt.outcome == "stored"
        )
        steps += 1
    assert steps > 10
