"""Search (QIDO-RS): a query answered by C-FINDs, its results as a stream (PS3.18 §10.6).

Joins the parts: query parsing, plan, walk, completion and paging. Writes no HTTP; handlers in ``gateway/web``
iterate over the results. One service per archive, for all resources and any number of requests at once.

A search with a limit is held until its page is full and it is known whether more would follow, because the
Warning that says so stands in front of the results; the C-FIND is then cancelled. A search without limit
streams: its first result leaves before the last has arrived.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from gateway.config import EmptySearch, SearchSettings
from gateway.errors import SearchTooBroad
from gateway.services.contracts import SearchRequest
from gateway.services.search.completion import Completion, Refusals
from gateway.services.search.find import KEYS_LEFT_OUT, Finder
from gateway.services.search.keys import MODALITIES_IN_STUDY
from gateway.services.search.merging import Model, ResultForm
from gateway.services.search.plan import SearchPlan, make_plan
from gateway.services.search.query import SearchQuery, parse_search_query
from gateway.services.search.streams import Batch, iter_items, map_ordered
from gateway.services.search.walk import Walk, WalkLimits

if TYPE_CHECKING:
    from gateway.dimse.archive import Archive, QueryCapabilities

__all__ = ["ArchiveSearch", "FoundResults"]

_LARGEST_PAGE_HELD = 5_000  # results; above that the Warning about further ones is not worth the memory

MORE_RESULTS = "There are at least 1 additional results that can be requested"
STOPPED_EARLY = "The search was stopped because it is too broad; there may be additional results"
UNSUPPORTED = "The following attributes were not supported by the archive for matching"
ANSWER_LIMIT = "An answer holds at most {} results; additional ones can be requested with offset"


class FoundResults:
    """Results of one search, to be iterated over once, singly or in batches; the rest is known before that.

    `is_empty` tells that there are none, `is_whole` that the first batch is all there is.
    """

    def __init__(self, first: Batch[Model], rest: AsyncIterator[Batch[Model]], warnings: Sequence[str]) -> None:
        self._first: Batch[Model] | None = first
        self._rest = rest
        self._items: deque[Model] = deque()
        self.warnings = tuple(warnings)
        self.is_empty = not first.items
        self.is_whole = first.is_last

    async def take_batch(self) -> list[Model]:
        """The next results, all that came together; empty at the end. Raises as iterating does."""
        first, self._first = self._first, None
        if first is not None:
            return first.items
        while not self.is_whole and (batch := await anext(self._rest, None)) is not None:
            if batch.items:
                return batch.items
        return []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Model:
        """The next result; raises what the archive's failure raises, see ``ArchiveSearch.search``."""
        if not self._items:
            self._items.extend(await self.take_batch())
        if not self._items:
            raise StopAsyncIteration
        return self._items.popleft()


class ArchiveSearch:
    """Searches `archive` as configured by `settings`."""

    def __init__(self, archive: Archive, settings: SearchSettings) -> None:
        self._archive = archive
        self._settings = settings
        self._refusals = Refusals()

    @property
    def empty(self) -> EmptySearch:
        """How a search without results is answered."""
        return self._settings.empty

    @asynccontextmanager
    async def search(self, request: SearchRequest) -> AsyncIterator[FoundResults]:
        """Run `request`; entering waits for the first result, leaving early cancels what still runs.

        Raises
        ------
        BadParameter
            On entering: the query breaks its grammar.
        SearchTooBroad
            A walk through an archive without relational queries reached its bound.
        BackendError
            The archive failed, on entering or while iterating.

        Source: PS3.18 §10.6
        """
        query = parse_search_query(request.query)
        plan = make_plan(request, query, await self._capabilities(query))
        limit, limit_warnings = self._limit(query)
        run = _Run(self._archive, self._settings, self._refusals, plan, request.base_url)
        results = run.iter_results(query.offset, limit)
        async with aclosing(results):
            first = await _first_batch(results)
            yield FoundResults(first, results, (*plan.warnings, *limit_warnings, *run.warnings))

    async def _capabilities(self, query: SearchQuery) -> QueryCapabilities:
        """What was negotiated, relational queries overridden by configuration."""
        negotiated = await self._archive.query_capabilities(fuzzy=query.fuzzy)
        configured = self._archive.settings.relational
        if configured is None:
            return negotiated
        return replace(negotiated, relational=configured)

    def _limit(self, query: SearchQuery) -> tuple[int | None, list[str]]:
        """The limit in force, and a Warning where it is ours and too large to be found out page by page."""
        ours = self._settings.max_results or None
        asked = query.limit
        if ours is None or (asked is not None and asked <= ours):
            return asked, []
        return ours, [ANSWER_LIMIT.format(ours)] if ours > _LARGEST_PAGE_HELD else []


async def _first_batch(batches: AsyncIterator[Batch[Model]]) -> Batch[Model]:
    """The first batch with something in it, or the empty last one."""
    async for batch in batches:
        if batch.items or batch.is_last:
            return batch
    return Batch([], is_last=True)


class _Run:
    """One search under way; `warnings` is complete once the first result is known."""

    def __init__(
        self, archive: Archive, settings: SearchSettings, refusals: Refusals, plan: SearchPlan, base_url: str
    ) -> None:
        self.warnings: list[str] = []
        self._plan = plan
        self._form = ResultForm(plan.tables, plan.level, base_url)
        self._settings = settings
        self._finder = Finder(archive, compares_names=plan.compares_names)
        self._completion = Completion(plan, self._finder, refusals, computes=settings.compute_counts)
        # a walk leaves one association for what completes its results
        self._concurrency = max(1, min(settings.walk_concurrency, archive.settings.max_associations - 1))
        self._is_noted = False

    async def iter_results(self, offset: int, limit: int | None) -> AsyncGenerator[Batch[Model], None]:
        """Yield the results of the page, complete and in order, as they come."""
        page = self._iter_page(offset, limit)
        if self._completion.may_ask:
            page = self._complete(page)
        async with aclosing(page):
            async for batch in page:
                yield Batch(list(map(self._form.make_result, batch.items)), batch.is_last)

    async def _complete(self, batches: AsyncGenerator[Batch[Model], None]) -> AsyncGenerator[Batch[Model], None]:
        """Pass on what is complete; from the first answer that is not, complete them side by side, one by one."""
        async with aclosing(batches):
            async for batch in batches:
                if not all(map(self._completion.is_complete, batch.items)):
                    break
                yield batch
            else:
                return
            if batch.is_last and len(batch.items) == 1:
                yield Batch([await self._completion.complete(batch.items[0])], is_last=True)
                return
            completed = map_ordered(
                iter_items(_put_before(batch, batches)),
                self._completion.complete,
                window=self._concurrency,
                name="search-completion",
            )
            async with aclosing(completed):
                async for model in completed:
                    yield Batch([model])

    def _iter_page(self, offset: int, limit: int | None) -> AsyncGenerator[Batch[Model], None]:
        if limit is None and len(self._plan.steps) == 1 and self._plan.steps[0].names_one:
            limit = _LARGEST_PAGE_HELD  # one answer: it is all, and its C-FIND over, before anything else is asked
        if limit is not None and limit <= _LARGEST_PAGE_HELD:
            return self._hold_page(offset, limit)
        return self._stream_page(offset, limit)

    async def _stream_page(self, offset: int, limit: int | None) -> AsyncGenerator[Batch[Model], None]:
        answers = self._iter_answers(wants_all=limit is None, ahead=self._completion.may_ask)
        end = None if limit is None else offset + limit
        number = 0  # of the answers before the batch
        async with aclosing(answers):
            async for batch in answers:
                is_last = batch.is_last or (end is not None and number + len(batch.items) >= end)
                wanted = slice(max(offset - number, 0), None if end is None else end - number)
                yield Batch(batch.items[wanted], is_last)
                number += len(batch.items)
                if is_last:
                    break

    async def _hold_page(self, offset: int, limit: int) -> AsyncGenerator[Batch[Model], None]:
        """The page, given when it is full and one more match, or the end, has been seen."""
        page: list[Model] = []
        number = 0
        answers = self._iter_answers(wants_all=False, ahead=False)
        try:
            async with aclosing(answers):
                async for batch in answers:
                    page.extend(batch.items[max(offset - number, 0) : offset + limit - number])
                    number += len(batch.items)
                    if number > offset + limit:
                        self.warnings.append(MORE_RESULTS)
                        break
        except SearchTooBroad:
            if not page:
                raise
            self.warnings.append(STOPPED_EARLY)
        yield Batch(page, is_last=True)

    async def _iter_answers(self, *, wants_all: bool, ahead: bool) -> AsyncGenerator[Batch[Model], None]:
        limits = WalkLimits(self._settings.max_walk, self._concurrency, wants_all)
        answers = Walk(self._plan, self._finder, self._completion, limits).iter_answers(ahead=ahead)
        async with aclosing(answers):
            async for batch in answers:
                if not self._is_noted and batch.items:
                    self._note_unsupported(batch.items[0])
                for model in batch.items:
                    model.pop(KEYS_LEFT_OUT, None)
                yield batch

    def _note_unsupported(self, model: Model) -> None:
        """Warn of attributes sent to be matched that the first answer does not hold (PS3.4 §C.4.1.1.3)."""
        self._is_noted = True
        computed = {MODALITIES_IN_STUDY} if self._settings.compute_counts else set()
        missing = [path.name for path in self._plan.matched if path.tag not in model.keys() | computed]
        if missing:
            self.warnings.append(f"{UNSUPPORTED}: {', '.join(missing)}")


async def _put_before(
    batch: Batch[Model], rest: AsyncGenerator[Batch[Model], None]
) -> AsyncGenerator[Batch[Model], None]:
    yield batch
    async for following in rest:
        yield following
