"""The parts of a store request to C-STOREs: results in order, what fails alone, what ends early, what stays behind."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from io import BytesIO
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from gateway.codecs.multipart import MultipartReader, PartChunk, PartEnd, PartStart
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE
from gateway.config import BackendSettings, StoreSettings
from gateway.dimse.archive import Archive, StorageContext
from gateway.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectFailed,
    ConnectionLost,
    DimseTimeout,
    GatewayError,
    MalformedBody,
    NoAcceptedContext,
    PoolTimeout,
    ShuttingDown,
    TooLarge,
    UploadTimeout,
)
from gateway.resources import ResourcePath
from gateway.services.store.incoming import BodyEvent
from gateway.services.store.results import Failed, Stored, StoreResult, Unreadable
from gateway.services.store.service import READ_AHEAD_BYTES, StoreService
from gateway.tasks import cancel_and_wait, running_tasks
from tests.support.cancellation import iter_cancelled_runs, settle
from tests.support.fake_store import FakeStoreArchive
from tests.support.tokens import explicit
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

IMPLICIT_VR_LE = "1.2.840.10008.1.2"
GARBAGE = b"this is no DICOM file, however long it goes on" * 10


@pytest.fixture(autouse=True)
def no_task_is_left() -> Iterable[None]:
    yield
    assert running_tasks() == []


def instance(number: int, **attributes: Any) -> bytes:
    return make_file(make_data_set(number, **attributes))


def stored(number: int, sop_class: str = CT, warning: int | None = None) -> Stored:
    return Stored(ResourcePath(STUDY, f"{STUDY}.1", sop_uid(number)), sop_class, warning)


def failed(number: int, reason: int, sop_class: str = CT) -> Failed:
    return Failed(sop_class, sop_uid(number), reason)


async def iter_events(body: bytes, size: int = 1 << 20) -> AsyncIterator[BodyEvent]:
    reader = MultipartReader(BOUNDARY)
    for start in range(0, len(body), size):
        for event in reader.feed(body[start : start + size]):
            yield event
    reader.finish()


async def store(
    archive: FakeStoreArchive,
    parts: Sequence[bytes],
    study: str | None = None,
    *,
    size: int = 1 << 20,
    closed: bool = True,
    content_type: str = "application/dicom",
    **settings: Any,
) -> list[StoreResult]:
    service = StoreService(cast(Archive, archive), StoreSettings(**settings))
    body = multipart(parts, closed=closed, content_type=content_type)
    async with asyncio.timeout(20):
        results = await service.store_instances(iter_events(body, size), study)
    assert archive.busy == 0
    return results


def make_archive(**fields: Any) -> FakeStoreArchive:
    limits = {
        "max_associations": fields.pop("max_associations", 8),
        "store_associations": fields.pop("store_associations", 4),
    }
    return FakeStoreArchive(settings=BackendSettings(ae_title="FAKE", host="none", **limits), **fields)


def raising(*errors: GatewayError | None) -> Callable[[int, Any], None]:
    """A refusal for the first attempts in turn, none where None stands, the last one for all after it."""

    def refuse(number: int, instance: Any) -> None:
        if (error := errors[min(number, len(errors) - 1)]) is not None:
            raise error

    return refuse


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


# --- associations side by side ---


@pytest.mark.parametrize(
    ("max_associations", "store_associations", "most"), [(1, 4, 1), (2, 4, 2), (8, 4, 4), (8, 1, 1), (8, 8, 6)]
)
async def test_as_many_associations_as_allowed_and_no_more(
    max_associations: int, store_associations: int, most: int
) -> None:
    gates = {sop_uid(n): asyncio.Event() for n in range(6)}
    archive = make_archive(max_associations=max_associations, store_associations=store_associations, gates=gates)
    running = asyncio.create_task(store(archive, [instance(n) for n in range(6)]))
    await archive.until(lambda: archive.outcomes.count("sent") == most)
    for gate in gates.values():
        gate.set()
    assert await running == [stored(n) for n in range(6)]
    assert archive.most_busy == most


@pytest.mark.parametrize("max_associations", [1, 2, 3])
async def test_many_requests_share_few_associations(max_associations: int) -> None:
    archive = make_archive(max_associations=max_associations)
    service = StoreService(cast(Archive, archive), StoreSettings())
    bodies = [multipart([instance(10 * request + n) for n in range(4)]) for request in range(20)]
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*(service.store_instances(iter_events(body, 50), None) for body in bodies))
    assert outcomes == [[stored(10 * request + n) for n in range(4)] for request in range(20)]
    assert archive.busy == 0


async def test_an_instance_that_comes_twice_is_not_raced() -> None:
    gate = asyncio.Event()
    archive = make_archive(gates={sop_uid(1): gate})
    running = asyncio.create_task(store(archive, [instance(1), instance(2), instance(1), instance(3)]))
    await archive.until(lambda: archive.outcomes == ["sent", "stored"])
    gate.set()
    assert await running == [stored(1), stored(2), stored(1), stored(3)]
    assert archive.outcomes == ["stored"] * 4


async def test_other_content_under_the_same_uid_is_a_duplicate_and_never_ended() -> None:
    archive = make_archive()
    other = instance(1, pixels=b"\1" * 64)
    parts = [instance(1), other, instance(1), instance(2), other]
    assert await store(archive, parts) == [stored(1), failed(1, 0x0111), stored(1), stored(2), failed(1, 0x0111)]
    assert archive.outcomes == ["stored", "cut", "stored", "stored", "cut"]


@pytest.mark.parametrize("first", [instance(1)[:-1], instance(1, pixels=bytes(80))])
async def test_what_was_not_stored_may_come_again_in_another_form(first: bytes) -> None:
    archive = make_archive()
    statuses = iter([0xA700, 0])
    archive.answer = lambda uid: next(statuses) if len(first) > len(instance(1)) else 0
    results = await store(archive, [first, instance(1)])
    assert isinstance(results[0], Failed) and results[1:] == [stored(1)]


@pytest.mark.parametrize(
    "refusal", [AssociationRejected("FAKE", 2, 3, 2, "local limit exceeded"), PoolTimeout("FAKE", "busy")]
)
async def test_an_archive_that_gives_no_further_association_is_served_by_fewer(refusal: GatewayError) -> None:
    gates = {sop_uid(n): asyncio.Event() for n in range(2)}
    archive = make_archive(gates=gates)
    archive.refuse = lambda number, instance: raising(None, None, refusal, None)(number, instance)
    running = asyncio.create_task(store(archive, [instance(n) for n in range(6)]))
    await archive.until(lambda: len(archive.attempts) == 3 and archive.busy == 2)
    for gate in gates.values():
        gate.set()
    assert await running == [stored(n) for n in range(6)]
    assert archive.most_busy == 3  # the refused one; after it no more than two
    assert len(archive.attempts) == 7


async def test_without_an_association_of_its_own_a_request_does_not_try_again() -> None:
    archive = make_archive(refuse=raising(PoolTimeout("FAKE", "busy")))
    with pytest.raises(PoolTimeout):
        await store(archive, [instance(1), instance(2)])
    assert len(archive.attempts) == 1


# --- what fails alone ---


async def test_parts_that_are_no_instances() -> None:
    archive = make_archive()
    truncated_head = instance(7)[:200]
    without_uids = make_file(make_data_set(8)[60:])
    results = await store(archive, [b"", GARBAGE, instance(1), truncated_head, without_uids, instance(2)])
    assert results == [Unreadable(), Unreadable(), stored(1), Unreadable(), Unreadable(), stored(2)]
    assert len(archive.attempts) == 2


@pytest.mark.parametrize(
    "content_type", ["application/dicom+json", "image/jpeg", "text/plain; charset=utf-8", "rubbish"]
)
async def test_parts_of_another_type_are_not_read(content_type: str) -> None:
    archive = make_archive()
    assert await store(archive, [instance(1)], content_type=content_type) == [Unreadable()]
    assert archive.attempts == []


@pytest.mark.parametrize(
    "content_type", ["application/dicom", "Application/DICOM; x=y", "application/octet-stream", "*/*", ""]
)
async def test_parts_that_may_be_instances_are_read(content_type: str) -> None:
    assert await store(make_archive(), [instance(1)], content_type=content_type) == [stored(1)]


@pytest.mark.parametrize(
    ("in_file", "stated", "expected"),
    [(EXPLICIT_VR_LE, JPEG_LS, EXPLICIT_VR_LE), (None, EXPLICIT_VR_LE, EXPLICIT_VR_LE), (JPEG_LS, "*", JPEG_LS)],
)
async def test_the_file_outranks_the_media_type(in_file: str | None, stated: str, expected: str) -> None:
    archive = make_archive()
    parts = [make_file(make_data_set(1), in_file)]
    assert await store(archive, parts, content_type=f"application/dicom; transfer-syntax={stated}") == [stored(1)]
    assert archive.attempts[0].instance.transfer_syntax_uid == expected


async def test_a_file_without_any_transfer_syntax_is_unreadable() -> None:
    parts = [make_file(make_data_set(1), None)]
    assert await store(make_archive(), parts, content_type="application/dicom; transfer-syntax=*") == [Unreadable()]


async def test_a_transfer_syntax_that_is_no_uid_is_not_proposed() -> None:
    archive = make_archive()
    assert await store(archive, [make_file(make_data_set(1), "JPEG")]) == [failed(1, 0xC122)]
    assert archive.attempts == []


async def test_instances_of_another_study() -> None:
    archive = make_archive()
    parts = [instance(1), instance(2, study="1.2.3"), instance(3)]
    assert await store(archive, parts, study=STUDY) == [stored(1), failed(2, 0xA900), stored(3)]
    assert len(archive.attempts) == 2


@pytest.mark.parametrize(("result", "reason"), [(3, 0x0122), (4, 0xC122), (1, 0x0110), (2, 0x0110)])
async def test_a_refused_context_is_asked_for_once(result: int, reason: int) -> None:
    def refuse(number: int, instance: Any) -> None:
        if instance.sop_class_uid == MR:
            raise NoAcceptedContext("FAKE", MR, result)

    archive = make_archive(refuse=refuse)
    parts = [instance(1, sop_class=MR), instance(2), *(instance(n, sop_class=MR) for n in range(3, 9))]
    expected = [failed(1, reason, MR), stored(2), *(failed(n, reason, MR) for n in range(3, 9))]
    assert await store(archive, parts) == expected
    assert len(archive.attempts) == 2


async def test_a_refused_transfer_syntax_does_not_stand_for_the_class() -> None:
    def refuse(number: int, instance: Any) -> None:
        if instance.transfer_syntax_uid == JPEG_LS:
            raise NoAcceptedContext("FAKE", CT, 4)

    parts = [make_file(make_data_set(1), JPEG_LS), instance(2), make_file(make_data_set(3), JPEG_LS)]
    expected = [failed(1, 0xC122), stored(2), failed(3, 0xC122)]
    assert await store(make_archive(refuse=refuse), parts) == expected


def refusing(*syntaxes: str) -> Callable[[int, Any], None]:
    def refuse(number: int, instance: Any) -> None:
        if instance.transfer_syntax_uid in syntaxes:
            raise NoAcceptedContext("FAKE", instance.sop_class_uid, 4)

    return refuse


def make_big_endian(number: int) -> bytes:
    """The same as `instance`, in Explicit VR Big Endian; its only numbers are those of Bits Allocated and zeros."""
    data_set = dcmread(BytesIO(instance(number)))
    values = {
        it.tag: str(it.value).encode() + b"\0" * (len(str(it.value)) % 2) for it in data_set if it.VR in ("UI", "LO")
    }
    values |= {0x00280100: b"\0\x10", 0x7FE00010: data_set.PixelData}
    return make_file(
        b"".join(explicit(tag, data_set[tag].VR, values[tag], order=">") for tag in sorted(values)), EXPLICIT_VR_BE
    )


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
async def test_a_refused_transfer_syntax_is_changed_where_nothing_is_lost(size: int) -> None:
    archive = make_archive(refuse=refusing(EXPLICIT_VR_BE, DEFLATED, JPEG_LS))
    deflated = make_file(zlib.compress(make_data_set(2), wbits=-15), DEFLATED)
    parts = [make_big_endian(1), deflated, make_file(make_data_set(3), JPEG_LS), make_big_endian(4), instance(5)]
    results = await store(archive, parts, size=size)
    assert results == [stored(1), stored(2), failed(3, 0xC122), stored(4), stored(5)]
    sent = [attempt for attempt in archive.attempts if attempt.outcome == "stored"]
    assert [bytes(attempt.data) for attempt in sent] == [make_data_set(number) for number in (1, 2, 4, 5)]
    assert {attempt.instance.transfer_syntax_uid for attempt in sent} == {EXPLICIT_VR_LE}
    assert len(archive.attempts) == 4 + 3  # each refused once


async def test_what_may_not_be_changed_or_cannot_be_read_fails_alone() -> None:
    archive = make_archive(refuse=refusing(EXPLICIT_VR_BE, DEFLATED))
    results = await store(archive, [make_big_endian(1), instance(2)], reencode=False)
    assert results == [failed(1, 0xC122), stored(2)]
    damaged = zlib.compress(make_data_set(3, pixels=bytes(range(256)) * 400), wbits=-15)
    damaged = damaged[:-200] + b"\xff" * 200
    results = await store(archive, [make_file(damaged, DEFLATED), instance(4)])
    assert results == [failed(3, 0xC000), stored(4)]
    assert archive.outcomes[-2:] == ["cut", "stored"]


@pytest.mark.parametrize(("status", "reason"), [(0xA700, 0xA700), (0, 0x0110)])
async def test_an_answer_before_the_end_ends_the_instance(status: int, reason: int) -> None:
    archive = make_archive(answers_after=100_000, answer=lambda uid: status if uid == sop_uid(1) else 0)
    large = instance(1, pixels=bytes(1_000_000))
    assert await store(archive, [large, instance(2)], size=10_000) == [failed(1, reason), stored(2)]
    assert archive.outcomes == ["cut", "stored"]
    assert len(archive.attempts[0].data) < 120_000


async def test_statuses_of_the_archive_are_told_as_they_are() -> None:
    statuses = {sop_uid(1): 0xA700, sop_uid(2): 0xB007, sop_uid(3): 0x0124, sop_uid(4): 0}
    archive = make_archive(answer=statuses.__getitem__)
    expected = [failed(1, 0xA700), stored(2, warning=0xB007), failed(3, 0x0124), stored(4)]
    assert await store(archive, [instance(n) for n in range(1, 5)]) == expected


@pytest.mark.parametrize("missing", [1, 30, 64, 68])
async def test_a_truncated_instance_is_never_ended(missing: int) -> None:
    archive = make_archive()
    parts = [instance(1), instance(2)[:-missing], instance(3)]
    assert await store(archive, parts) == [stored(1), failed(2, 0xC000), stored(3)]
    assert archive.outcomes == ["stored", "cut", "stored"]


async def test_an_instance_over_the_limit_fails_alone() -> None:
    archive = make_archive()
    parts = [instance(1), instance(2, pixels=bytes(50_000)), instance(3)]
    results = await store(archive, parts, size=1000, max_instance_bytes=10_000)
    assert results == [stored(1), failed(2, 0xA700), stored(3)]
    assert archive.outcomes == ["stored", "cut", "stored"]
    with pytest.raises(TooLarge):
        await store(archive, parts[1:2], max_instance_bytes=10_000)


async def test_more_parts_than_are_taken() -> None:
    archive = make_archive()
    parts = [instance(1), GARBAGE, instance(2), instance(3)]
    assert await store(archive, parts, max_instances=4) == [stored(1), Unreadable(), stored(2), stored(3)]
    assert await store(archive, parts, max_instances=3) == [stored(1), Unreadable(), stored(2), Unreadable(0xA700)]
    with pytest.raises(TooLarge, match="2 parts"):
        await store(archive, [GARBAGE] * 3, max_instances=2)


async def test_an_archive_that_breaks_off_within_an_instance() -> None:
    lost = AssociationAborted("FAKE", 0, 0)

    def interrupt(number: int, piece: Any) -> None:
        if number == 1:
            raise lost

    archive = make_archive(interrupt=interrupt)
    results = await store(archive, [instance(n) for n in range(3)])
    assert results == [stored(0), failed(1, 0x0110), stored(2)]
    assert [result.error for result in results if isinstance(result, Failed)] == [lost]
    assert archive.outcomes == ["stored", "cut", "stored"]


# --- archives that cannot be reached ---


class Endless:
    """A body that counts what is asked of it and never ends."""

    def __init__(self, *beginning: bytes) -> None:
        self.parts = 0
        self._beginning = beginning

    async def __aiter__(self) -> AsyncIterator[BodyEvent]:
        while True:
            content = self._beginning[min(self.parts, len(self._beginning) - 1)]
            self.parts += 1
            for event in (PartStart({}), PartChunk(content), PartEnd()):
                yield event
            await asyncio.sleep(0)


@pytest.mark.parametrize("error", [ConnectFailed("FAKE", "refused"), ShuttingDown(), DimseTimeout("FAKE", "silent")])
async def test_an_archive_out_of_reach_ends_the_request_at_once(error: GatewayError) -> None:
    archive = make_archive(refuse=raising(error))
    body = Endless(GARBAGE, instance(1))
    service = StoreService(cast(Archive, archive), StoreSettings())
    with pytest.raises(type(error)):
        await service.store_instances(body.__aiter__(), None)
    assert body.parts <= 4 and len(archive.attempts) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectFailed("FAKE", "refused"), 0x0110),
        (AssociationRejected("FAKE", 1, 1, 7, "unknown"), 0x0110),
        (AssociationRejected("FAKE", 2, 3, 1, "congestion"), 0xA700),
        (PoolTimeout("FAKE", "busy"), 0xA700),
    ],
)
async def test_an_archive_that_went_away_fails_the_rest_at_once(error: GatewayError, reason: int) -> None:
    archive = make_archive(refuse=raising(None, error), max_associations=1)
    results = await store(archive, [instance(n) for n in range(5)])
    assert results == [stored(0), *(failed(n, reason) for n in range(1, 5))]
    assert len(archive.attempts) == 2


@pytest.mark.parametrize("piece", [b"data", None])
async def test_a_silent_archive_is_waited_for_only_once(piece: bytes | None) -> None:
    def interrupt(number: int, what: Any) -> None:
        if number == 1 and (what is None) is (piece is None):
            raise DimseTimeout("FAKE", "silent")

    archive = make_archive(interrupt=interrupt, max_associations=1)
    results = await store(archive, [instance(n) for n in range(5)])
    assert results == [stored(0), *(failed(n, 0x0110) for n in range(1, 5))]
    assert len(archive.attempts) == 2


async def test_what_broke_every_instance_is_told_of_the_whole_request() -> None:
    def interrupt(number: int, piece: Any) -> None:
        raise ConnectionLost("FAKE", "gone")

    with pytest.raises(ConnectionLost):
        await store(make_archive(interrupt=interrupt), [instance(1), instance(2)])


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

    service = StoreService(cast(Archive, archive), StoreSettings())
    running = asyncio.create_task(service.store_instances(events(), None))
    await archive.until(lambda: len(archive.attempts) == 2 and len(archive.attempts[1].data) == len(make_data_set(2)))
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
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
