"""Search (QIDO-RS): a query answered by C-FINDs, its results as a stream (PS3.18 §10.6).

Joins the parts: query parsing, plan, walk, completion and paging. Writes no HTTP; handlers in ``gateway/web``
iterate over the results. One service per archive, for all resources and any number of requests at once.

A search with a limit is held until its page is full and it is known whether more would follow, because the
Warning that says so stands in front of the results; the C-FIND is then cancelled. A search without limit
streams: its first result leaves before the last has arrived.
"""

from __future__ import annotations

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
from gateway.services.search.merging import Model, to_result
from gateway.services.search.plan import SearchPlan, make_plan
from gateway.services.search.query import SearchQuery, parse_search_query
from gateway.services.search.streams import map_ordered
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
    """Results of one search, to be iterated over once; `warnings` and `is_empty` are known before that."""

    def __init__(self, first: Model | None, rest: AsyncIterator[Model], warnings: Sequence[str]) -> None:
        self._first = first
        self._rest = rest
        self.warnings = tuple(warnings)
        self.is_empty = first is None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Model:
        """The next result; raises what the archive's failure raises, see ``ArchiveSearch.search``."""
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._rest)


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
            first = await anext(results, None)
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


class _Run:
    """One search under way; `warnings` is complete once the first result is known."""

    def __init__(
        self, archive: Archive, settings: SearchSettings, refusals: Refusals, plan: SearchPlan, base_url: str
    ) -> None:
        self.warnings: list[str] = []
        self._plan = plan
        self._base_url = base_url
        self._settings = settings
        self._finder = Finder(archive, compares_names=plan.compares_names)
        self._completion = Completion(plan, self._finder, refusals, computes=settings.compute_counts)
        # a walk leaves one association for what completes its results
        self._concurrency = max(1, min(settings.walk_concurrency, archive.settings.max_associations - 1))
        self._is_noted = False

    async def iter_results(self, offset: int, limit: int | None) -> AsyncGenerator[Model, None]:
        """Yield the results of the page, complete and in order."""
        results = self._iter_page(offset, limit)
        if self._completion.may_ask:
            results = map_ordered(
                results, self._completion.complete, window=self._concurrency, name="search-completion"
            )
        async with aclosing(results):
            async for model in results:
                yield to_result(model, self._plan.tables, self._plan.level, self._base_url)

    def _iter_page(self, offset: int, limit: int | None) -> AsyncGenerator[Model, None]:
        if limit is not None and limit <= _LARGEST_PAGE_HELD:
            return self._hold_page(offset, limit)
        return self._stream_page(offset, limit)

    async def _stream_page(self, offset: int, limit: int | None) -> AsyncGenerator[Model, None]:
        answers = self._iter_answers(wants_all=limit is None, ahead=self._completion.may_ask)
        end = None if limit is None else offset + limit
        async with aclosing(answers):
            number = 0
            async for model in answers:
                number += 1
                if number > offset:
                    yield model
                if number == end:
                    break

    async def _hold_page(self, offset: int, limit: int) -> AsyncGenerator[Model, None]:
        """The page, given when it is full and one more match, or the end, has been seen."""
        page: list[Model] = []
        number = 0
        answers = self._iter_answers(wants_all=False, ahead=False)
        try:
            async with aclosing(answers):
                async for model in answers:
                    number += 1
                    if number > offset + limit:
                        self.warnings.append(MORE_RESULTS)
                        break
                    if number > offset:
                        page.append(model)
        except SearchTooBroad:
            if not page:
                raise
            self.warnings.append(STOPPED_EARLY)
        for model in page:
            yield model

    async def _iter_answers(self, *, wants_all: bool, ahead: bool) -> AsyncGenerator[Model, None]:
        limits = WalkLimits(self._settings.max_walk, self._concurrency, wants_all)
        answers = Walk(self._plan, self._finder, self._completion, limits).iter_answers(ahead=ahead)
        async with aclosing(answers):
            async for model in answers:
                if not self._is_noted:
                    self._note_unsupported(model)
                model.pop(KEYS_LEFT_OUT, None)
                yield model

    def _note_unsupported(self, model: Model) -> None:
        """Warn of attributes sent to be matched that the first answer does not hold (PS3.4 §C.4.1.1.3)."""
        self._is_noted = True
        computed = {MODALITIES_IN_STUDY} if self._settings.compute_counts else set()
        missing = [path.name for path in self._plan.matched if path.tag not in model.keys() | computed]
        if missing:
            self.warnings.append(f"{UNSUPPORTED}: {', '.join(missing)}")
