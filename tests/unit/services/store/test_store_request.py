"""The instances of one request: associations side by side, what fails alone, archives out of reach."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

import pytest
from pydicom import dcmread

from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE
from gateway.config import StoreSettings
from gateway.dimse.archive import Archive
from gateway.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectFailed,
    ConnectionLost,
    DimseTimeout,
    GatewayError,
    NoAcceptedContext,
    PoolTimeout,
    ShuttingDown,
    TooLarge,
)
from gateway.services.store.results import Failed, Unreadable
from gateway.services.store.service import StoreService
from tests.support.store_requests import (
    GARBAGE,
    Endless,
    failed,
    instance,
    iter_events,
    make_archive,
    raising,
    store,
    stored,
)
from tests.support.tokens import explicit
from tests.support.uploads import (
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


# --- one behind the other ---


@pytest.mark.parametrize("size", [50, 1 << 20])
async def test_the_instances_of_a_request_follow_one_another_on_one_association(size: int) -> None:
    archive = make_archive(store_associations=1)
    assert await store(archive, [instance(n) for n in range(6)], size=size) == [stored(n) for n in range(6)]
    assert archive.outcomes == ["stored"] * 6 and archive.lent <= 2  # the first bytes may come when nobody is awaited
    assert [bytes(attempt.data) for attempt in archive.attempts] == [make_data_set(n) for n in range(6)]


async def test_an_association_that_others_wait_for_is_not_kept() -> None:
    archive = make_archive(max_associations=1)
    service = StoreService(cast(Archive, archive), StoreSettings())
    bodies = [multipart([instance(10 * request + n) for n in range(4)]) for request in range(3)]
    async with asyncio.timeout(20):
        await asyncio.gather(*(service.store_instances(iter_events(body), None) for body in bodies))
    requests = [int(attempt.instance.sop_instance_uid.rpartition(".")[2]) // 10 for attempt in archive.attempts]
    assert requests[:6] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("max_associations", [1, 8])
@pytest.mark.parametrize("size", [50, 1 << 20])
async def test_what_cannot_follow_goes_by_another_association(size: int, max_associations: int) -> None:
    def interrupt(number: int, piece: Any) -> None:
        if number in (1, 4) and piece is None:
            raise AssociationAborted("FAKE", 0, 0)

    archive = make_archive(max_associations=max_associations, store_associations=1, interrupt=interrupt)
    results = await store(archive, [instance(n) for n in range(6)], size=size)
    assert results == [failed(n, 0x0110) if n in (1, 4) else stored(n) for n in range(6)]
    assert [bytes(attempt.data) for attempt in archive.attempts] == [make_data_set(n) for n in range(6)]


@pytest.mark.parametrize(
    ("error", "reason"), [(ConnectFailed("FAKE", "refused"), 0x0110), (NoAcceptedContext("FAKE", CT, 3), 0x0122)]
)
async def test_what_can_neither_follow_nor_go_elsewhere_fails(error: GatewayError, reason: int) -> None:
    def interrupt(number: int, piece: Any) -> None:
        if number == 1 and piece is None:
            raise ConnectionLost("FAKE", "gone")

    archive = make_archive(store_associations=1, interrupt=interrupt)
    archive.refuse = lambda number, instance: raising(None, None, error)(number, instance)
    results = await store(archive, [instance(n) for n in range(5)])
    assert results == [stored(0), failed(1, 0x0110), *(failed(n, reason) for n in range(2, 5))]


async def test_of_several_associations_none_is_waited_for_while_another_is_free() -> None:
    archive = make_archive(store_associations=2, gates={sop_uid(0): asyncio.Event()})
    running = asyncio.create_task(store(archive, [instance(n) for n in range(6)]))
    await archive.until(lambda: archive.outcomes == ["sent", *["stored"] * 5])
    archive.gates[sop_uid(0)].set()
    assert await running == [stored(n) for n in range(6)]


async def test_an_association_is_not_kept_longer_than_its_age_allows() -> None:
    archive = make_archive(store_associations=1, max_age_s=1e-6)
    assert await store(archive, [instance(n) for n in range(6)]) == [stored(n) for n in range(6)]
    assert archive.lent == 6


async def test_an_archive_that_closes_after_each_answer_loses_one_instance_and_no_more() -> None:
    def interrupt(number: int, piece: Any) -> None:
        if number == 2 and piece is None:
            raise ConnectionLost("FAKE", "closed")

    archive = make_archive(store_associations=1, interrupt=interrupt)
    results = await store(archive, [instance(n) for n in range(6)])
    assert results == [failed(n, 0x0110) if n == 2 else stored(n) for n in range(6)]
    assert archive.followers_lost == 1 and not archive.lets_stores_follow


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
    archive = make_archive(refuse=raising(None, error), max_associations=1, follows=False)
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
