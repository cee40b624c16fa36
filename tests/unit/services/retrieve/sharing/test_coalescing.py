"""Requests for instances of one series that share operations, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.dimse.status import OUT_OF_RESOURCES, SUCCESS
from gateway.errors import AssociationAborted, ConnectFailed, ConnectionLost, GatewayError, PoolTimeout, UnknownResource
from gateway.services.retrieve.sharing.coalescing import UIDS_IN_A_BATCH, Coalescer
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand
from gateway.tasks import running_tasks
from tests.support.cancellation import iter_cancelled_runs
from tests.support.sharing_archive import SERIES, SharingArchive, path_of
from tests.support.virtual_time import run_in_virtual_time

RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"


def contents(count: int, pieces: int = 3) -> dict[str, list[bytes]]:
    """Instances 0, 1, … with pieces that tell where they belong."""
    return {
        str(path_of(number).instance): [f"{number}/{piece};".encode() for piece in range(pieces)]
        for number in range(count)
    }


def whole(number: int, pieces: int = 3) -> bytes:
    return b"".join(contents(number + 1, pieces)[str(path_of(number).instance)])


class Site:
    """A coalescer over an archive in memory."""

    def __init__(self, count: int = 30, *, pieces: int = 3, **backend: Any) -> None:
        self.archive = SharingArchive(contents(count, pieces), **backend)
        self.coalescer = Coalescer(self.archive, self.archive.take_inventory, self.archive.open_alone)  # type: ignore[arg-type]

    async def fetch(self, number: int, *, demand: TransferDemand = AS_STORED, pause_s: float = 0.0) -> bytes:
        """The bytes of one instance, with a pause after each piece."""
        pieces = []
        async with self.coalescer.open_instances(path_of(number), demand) as instances:
            async for instance in instances:
                assert instance.path == path_of(number)
                while (piece := await instance.read_piece()) is not None:
                    pieces.append(bytes(piece))
                    await asyncio.sleep(pause_s)
        return b"".join(pieces)

    async def check_clean(self) -> None:
        """Nothing is under way or remembered any more."""
        async with asyncio.timeout(600):
            while self.archive.open_count or running_tasks() or self.coalescer._gatherings:
                await asyncio.sleep(0.01)

    @property
    def lists(self) -> list[int]:
        """How many instances each operation asked for."""
        return [len(operation.uids) for operation in self.archive.operations]

    @property
    def answers(self) -> dict[str, int]:
        """The status each instance was answered with last."""
        return {uid: status for operation in self.archive.operations for uid, status in operation.answers.items()}


def now() -> float:
    return asyncio.get_running_loop().time()


def in_virtual_time(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        run_in_virtual_time(test(*args, **kwargs))

    return run


@in_virtual_time
async def test_what_comes_together_is_asked_for_together() -> None:
    site = Site()
    assert await asyncio.gather(*map(site.fetch, range(25))) == [whole(number) for number in range(25)]
    assert (site.lists, len(site.archive.inventories)) == ([25], 1)
    await site.check_clean()
    assert set(site.answers.values()) == {SUCCESS} and site.archive.operations[0].was_finished


@in_virtual_time
async def test_a_single_request_goes_alone_after_the_window() -> None:
    site = Site(coalesce_window_ms=7)
    site.archive.instance_s = 0
    assert await site.fetch(3) == whole(3)
    assert (site.lists, now()) == ([1], pytest.approx(0.007))
    await site.check_clean()


@in_virtual_time
async def test_requests_with_other_demands_do_not_share() -> None:
    site = Site()
    other = TransferDemand()
    await asyncio.gather(site.fetch(0), site.fetch(1), site.fetch(2, demand=other), site.fetch(3, demand=other))
    assert site.lists == [2, 2]
    await site.check_clean()


@in_virtual_time
async def test_an_equal_request_comes_with_another_operation() -> None:
    site = Site()
    wanted = [0, 1, 0, 1, 0, 2]
    assert await asyncio.gather(*map(site.fetch, wanted)) == [whole(number) for number in wanted]
    assert all(len(set(operation.uids)) == len(operation.uids) for operation in site.archive.operations)
    assert sum(site.lists) == len(wanted) and len(site.lists) < len(wanted)
    await site.check_clean()


@in_virtual_time
async def test_lists_are_cut_to_size() -> None:
    site = Site(UIDS_IN_A_BATCH + 10)
    await asyncio.gather(*map(site.fetch, range(UIDS_IN_A_BATCH + 10)))
    assert site.lists == [UIDS_IN_A_BATCH, 10]
    await site.check_clean()


@in_virtual_time
async def test_a_steady_stream_of_requests_takes_few_operations() -> None:
    """Two hundred requests, 25 under way at any time, as a viewer asks."""
    site = Site(200)
    gate = asyncio.Semaphore(25)

    async def fetch(number: int) -> None:
        async with gate:
            assert await site.fetch(number) == whole(number)

    await asyncio.gather(*map(fetch, range(200)))
    assert len(site.lists) <= 14 and len(site.archive.inventories) == 1
    assert site.archive.most_open <= 2
    await site.check_clean()


@in_virtual_time
async def test_a_slow_archive_is_helped_by_more_associations_up_to_half_of_them() -> None:
    site = Site(200, max_associations=6)
    site.archive.instance_s = 0.2
    assert await asyncio.gather(*map(site.fetch, range(30))) == [whole(number) for number in range(30)]
    assert site.lists == [30]
    assert await asyncio.gather(*map(site.fetch, range(30))) == [whole(number) for number in range(30)]
    assert site.lists == [30, 10, 10, 10] and site.archive.most_open <= 4
    site.archive.instance_s = 0.001
    await asyncio.gather(*map(site.fetch, range(60)))
    await asyncio.gather(*map(site.fetch, range(30)))
    assert site.lists[-1] == 30  # it is fast again
    await site.check_clean()


@in_virtual_time
async def test_requests_that_come_one_by_one_while_the_archive_is_slow_are_gathered() -> None:
    site = Site(200, max_associations=6)
    site.archive.instance_s = 0.5

    async def fetch(number: int) -> None:
        await asyncio.sleep(number * 0.01)
        assert await site.fetch(number) == whole(number)

    await asyncio.gather(*map(fetch, range(18)))
    assert sum(site.lists) == 18 and len(site.lists) < 8
    assert site.archive.most_open < 6
    await site.check_clean()


@in_virtual_time
async def test_an_unknown_instance_fails_alone() -> None:
    for unknown in (0, 2, 4):  # the first one is what the batch would ask the inventory for
        site = Site(5)
        del site.archive.contents[str(path_of(unknown).instance)]
        results = await asyncio.gather(*map(site.fetch, range(5)), return_exceptions=True)
        for number, result in enumerate(results):
            assert isinstance(result, UnknownResource) if number == unknown else result == whole(number)
        assert await asyncio.gather(*map(site.fetch, {0, 1, 2, 3, 4} - {unknown}))
        assert max(site.lists) >= 4  # it is no reason to stop sharing
        await site.check_clean()


@in_virtual_time
async def test_none_exists() -> None:
    site = Site(0)
    results = await asyncio.gather(*map(site.fetch, range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [UnknownResource] * 3 and not site.lists
    await site.check_clean()


@pytest.mark.parametrize("at", [0, 1, 5, 9])
@in_virtual_time
async def test_cut_between_instances_the_rest_is_asked_for_alone(at: int) -> None:
    site = Site(10)
    site.archive.breaks_at = str(path_of(at).instance)
    fetches = [asyncio.ensure_future(site.fetch(number)) for number in range(10)]
    await asyncio.sleep(0.1)
    site.archive.breaks_at = ""
    results = await asyncio.gather(*fetches, return_exceptions=True)
    # the one at the cut asked once more while the archive still broke off
    assert [result for result in results if result != whole(at)] == [
        whole(number) if number != at else results[at] for number in range(10)
    ]
    assert isinstance(results[at], ConnectionLost) or results[at] == whole(at)
    assert site.lists == [10, *[1] * (10 - at)]
    await asyncio.gather(*map(site.fetch, range(5)))
    assert site.lists[11 - at :] == [1] * 5  # for a while each goes alone
    await asyncio.sleep(60)
    await asyncio.gather(*map(site.fetch, range(5)))
    assert site.lists[-1] == 5
    await site.check_clean()


@pytest.mark.parametrize("error", [AssociationAborted("FAKE", 0, 0), ConnectFailed("FAKE", "refused")])
@in_virtual_time
async def test_refused_before_it_began(error: GatewayError) -> None:
    """What other ways may mend is tried alone; an archive that cannot be reached is not asked again by each."""
    site = Site(4)
    site.archive.refusal = error  # type: ignore[assignment]
    results = await asyncio.gather(*map(site.fetch, range(4)), return_exceptions=True)
    if isinstance(error, ConnectFailed):
        assert results == [error] * 4 and site.lists == [4]
    else:
        assert results == [whole(number) for number in range(4)] and site.lists == [4, 1, 1, 1, 1]
    await site.check_clean()


@in_virtual_time
async def test_a_failure_status_sends_each_its_own_way() -> None:
    site = Site(3)
    site.archive.left_out, site.archive.status = set(site.archive.contents), 0xA900
    assert await asyncio.gather(*map(site.fetch, range(3))) == [whole(number) for number in range(3)]
    assert site.lists == [3, 1, 1, 1]
    await site.check_clean()


@in_virtual_time
async def test_what_a_list_does_not_bring_is_asked_for_alone() -> None:
    site = Site(5)
    site.archive.left_out = {str(path_of(3).instance)}
    assert await asyncio.gather(*map(site.fetch, range(5))) == [whole(number) for number in range(5)]
    assert site.lists == [5, 1]
    await site.check_clean()


@in_virtual_time
async def test_what_comes_in_a_form_not_demanded_is_asked_for_alone() -> None:
    site = Site(5)
    odd = str(path_of(2).instance)
    site.archive.syntaxes[odd] = JPEG
    demand = TransferDemand(((RLE,), ("1.2.840.10008.1.2.1",)))
    results = await asyncio.gather(*[site.fetch(number, demand=demand) for number in range(5)])
    assert results == [whole(number) for number in range(5)]  # the plain retrieval here takes what it gets
    assert site.lists == [5, 1]
    assert site.archive.operations[0].answers[odd] == OUT_OF_RESOURCES
    await site.check_clean()


@in_virtual_time
async def test_a_slow_reader_does_not_hold_up_the_others() -> None:
    site = Site(10)
    slow = asyncio.ensure_future(site.fetch(2, pause_s=5.0))
    others = [number for number in range(10) if number != 2]
    assert await asyncio.gather(*map(site.fetch, others)) == [whole(number) for number in others]
    assert now() < 1.0 and not slow.done()
    assert await slow == whole(2)
    assert sorted(site.lists) == [7, 10]
    assert set(site.answers.values()) == {SUCCESS}
    assert not site.archive.operations[0].was_finished  # the rest, which the others have got, is cancelled
    await site.check_clean()


@in_virtual_time
async def test_a_reader_that_waits_for_the_archive_is_not_slow() -> None:
    site = Site(5)
    site.archive.piece_s = 2.0
    assert await asyncio.gather(*map(site.fetch, range(5))) == [whole(number) for number in range(5)]
    assert site.lists == [5]
    await site.check_clean()


@in_virtual_time
async def test_one_that_leaves_before_its_turn_is_passed_over() -> None:
    site = Site(5)
    site.archive.instance_s = 0.1
    fetches = [asyncio.ensure_future(site.fetch(number)) for number in range(5)]
    await asyncio.sleep(0.15)
    fetches[3].cancel()
    results = await asyncio.gather(*fetches, return_exceptions=True)
    assert results[:3] + results[4:] == [whole(number) for number in (0, 1, 2, 4)]
    assert site.lists == [5]
    assert site.answers[str(path_of(3).instance)] == OUT_OF_RESOURCES
    await site.check_clean()


@in_virtual_time
async def test_one_that_leaves_in_its_turn_is_refused() -> None:
    site = Site(5)
    fetches = [asyncio.ensure_future(site.fetch(number, pause_s=0.05)) for number in range(5)]
    await asyncio.sleep(0.04)
    fetches[0].cancel()
    results = await asyncio.gather(*fetches, return_exceptions=True)
    assert results[1:] == [whole(number) for number in range(1, 5)]
    assert site.lists == [5]
    assert site.answers[str(path_of(0).instance)] == OUT_OF_RESOURCES
    await site.check_clean()


@in_virtual_time
async def test_a_long_rest_that_nobody_wants_is_cut_off() -> None:
    site = Site(3)
    site.archive.contents[str(path_of(0).instance)] = [bytes(1_000_000)] * 100
    fetches = [asyncio.ensure_future(site.fetch(number, pause_s=0.01)) for number in range(3)]
    await asyncio.sleep(0.02)
    fetches[0].cancel()
    results = await asyncio.gather(*fetches, return_exceptions=True)
    assert results[1:] == [whole(1), whole(2)]
    assert site.lists == [3, 2] and site.archive.operations[0].was_aborted
    await site.check_clean()


@in_virtual_time
async def test_what_one_cuts_off_the_others_get_by_another_operation() -> None:
    site = Site(4)

    async def look_at_the_beginning(number: int) -> bytes | None:
        async with site.coalescer.open_instances(path_of(number), AS_STORED) as instances:
            instance = await anext(instances)
            piece = await instance.read_piece()
            instance.cut()
            with pytest.raises(StopAsyncIteration):
                await anext(instances)
            return piece and bytes(piece)

    first, *rest = await asyncio.gather(look_at_the_beginning(0), *map(site.fetch, range(1, 4)))
    assert (first, rest) == (b"0/0;", [whole(number) for number in range(1, 4)])
    assert site.lists == [4, 3]
    await site.check_clean()


@in_virtual_time
async def test_the_last_one_leaving_ends_the_operation() -> None:
    site = Site(20)
    site.archive.instance_s = 0.1
    fetches = [asyncio.ensure_future(site.fetch(number)) for number in range(20)]
    await asyncio.sleep(0.35)
    for fetch in fetches:
        fetch.cancel()
    await asyncio.wait(fetches)
    await site.check_clean()
    assert site.lists == [20] and not site.archive.operations[0].was_finished
    assert len(site.answers) < 5


@in_virtual_time
async def test_no_request_waits_for_ever() -> None:
    """The archive sends nothing, and the series has all the associations it may have."""
    site = Site(10, max_associations=1, pool_timeout_s=2)
    site.archive.instance_s = 500
    site.archive.take_inventory = _refuse_to_answer  # type: ignore[method-assign]
    site.coalescer._take_inventory = site.archive.take_inventory
    first = [asyncio.ensure_future(site.fetch(number)) for number in range(2)]
    await asyncio.sleep(1)
    with pytest.raises(PoolTimeout):
        await site.fetch(5)
    assert now() == pytest.approx(3)
    for fetch in first:
        fetch.cancel()
    await asyncio.wait(first)
    await site.check_clean()


async def _refuse_to_answer(path: object) -> Any:
    await asyncio.sleep(1_000)


async def test_cancelled_at_any_await_the_others_are_served() -> None:
    site = Site(4)
    site.archive.instance_s = 0
    others: list[asyncio.Task[bytes]] = []

    async def run() -> None:
        others[:] = [asyncio.ensure_future(site.fetch(number)) for number in (1, 3)]
        await site.fetch(2)

    async for _ in iter_cancelled_runs(run):
        assert await asyncio.gather(*others) == [whole(1), whole(3)]
        await site.check_clean()


# --- the same as without sharing ---

_REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 7),  # which instance; 7 does not exist
        st.sampled_from([0, 0, 0.001, 0.004, 0.06, 0.4]),  # when it comes
        st.sampled_from([0, 0, 0, 0.001, 0.2, 1.0]),  # the pause after each piece
        st.sampled_from([None, None, None, 0.0, 0.004, 0.006, 0.05, 0.3]),  # when it leaves, after it came
    ),
    max_size=14,
)


@given(
    requests=_REQUESTS,
    order=st.permutations(range(7)),
    breaks_at=st.sampled_from([None, None, 1, 4]),
    left_out=st.sets(st.integers(0, 6), max_size=2),
    associations=st.sampled_from([1, 2, 8]),
)
@settings(max_examples=150, deadline=None)
def test_every_answer_is_that_of_a_retrieval_of_its_own(
    requests: list[tuple[int, float, float, float | None]],
    order: list[int],
    breaks_at: int | None,
    left_out: set[int],
    associations: int,
) -> None:
    async def run() -> None:
        site = Site(7, max_associations=associations)
        site.archive.order = [str(path_of(number).instance) for number in order]
        site.archive.left_out = {str(path_of(number).instance) for number in left_out}
        if breaks_at is not None:
            site.archive.breaks_once_at = str(path_of(breaks_at).instance)
        results = await asyncio.gather(*(ask(site, *request) for request in requests))
        for (number, _, _, leaves), result in zip(requests, results, strict=True):
            expected = "unknown" if number == 7 else whole(number)
            assert result == expected or (leaves is not None and result is None)
        await site.check_clean()
        for operation in site.archive.operations:
            assert not [uid for uid, times in Counter(operation.uids).items() if times > 1]

    async def ask(site: Site, number: int, comes: float, pause: float, leaves: float | None) -> bytes | str | None:
        await asyncio.sleep(comes)
        try:
            async with asyncio.timeout(leaves):
                return await site.fetch(number, pause_s=pause)
        except TimeoutError:
            return None
        except UnknownResource:
            return "unknown"

    run_in_virtual_time(run())


def test_all_of_it_is_about_one_series() -> None:
    assert path_of(3).series == SERIES.series
