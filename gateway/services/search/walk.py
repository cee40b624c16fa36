"""The steps of a plan, run: one C-FIND, or C-FINDs below each other where relational queries are refused.

Out come answers that match, in the order of the archive; paging and the form of a result come after. Called by
the search service.

Associations are never held while waiting for others: the studies and series of a walk are gathered (bounded by
``max_walk``) before anything below them is asked, and answers of the last level are read ahead into a bounded
buffer, as received.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from gateway.errors import SearchTooBroad
from gateway.services.search.completion import Completion
from gateway.services.search.find import READ_AHEAD, WALK_READ_AHEAD, Finder
from gateway.services.search.keys import MODALITIES_IN_STUDY, UNIQUE_KEYS
from gateway.services.search.matching import is_excluded
from gateway.services.search.merging import Model, first_value, inherit
from gateway.services.search.plan import SearchPlan, Step
from gateway.services.search.streams import Batch, ReadAhead, in_batches, iter_items, map_ordered

__all__ = ["Walk", "WalkLimits"]


@dataclass(frozen=True, slots=True)
class WalkLimits:
    """Entities visited by a walk at most; C-FINDs side by side; whether all of the results are wanted."""

    max_walk: int
    concurrency: int
    wants_all: bool


class Walk:
    """One run of a plan.

    Parameters
    ----------
    plan : SearchPlan
        What to ask.
    finder : Finder
        Asks it.
    completion : Completion
        Computes the Modalities in Study that are to be matched where the archive ignores that key.
    limits : WalkLimits
        Of this run.
    """

    def __init__(self, plan: SearchPlan, finder: Finder, completion: Completion, limits: WalkLimits) -> None:
        self._plan = plan
        self._finder = finder
        self._completion = completion
        self._limits = limits
        self._visited = 0

    def iter_answers(self, *, ahead: bool) -> AsyncGenerator[Batch[Model], None]:
        """The answers of the last step as they come, those of the steps above inherited.

        Parameters
        ----------
        ahead : bool
            Read faster than answers are taken, because taking one may need a C-FIND of its own.

        Raises
        ------
        SearchTooBroad
            While iterating: more than ``max_walk`` studies and series would have to be visited.
        BackendError
            While iterating.
        """
        first, *below = self._plan.steps
        if not below:
            return self._find_batches(first, self._plan.uids, ahead=READ_AHEAD if ahead else 0)
        answers = self._gather(first)
        for step in below[:-1]:
            answers = self._expand(answers, step)
        return in_batches(self._expand_last(answers, below[-1]))

    def _find(self, step: Step, uids: Mapping[str, str], *, ahead: int = 0) -> AsyncGenerator[Model, None]:
        return iter_items(self._find_batches(step, uids, ahead=ahead))

    def _find_batches(
        self, step: Step, uids: Mapping[str, str], *, ahead: int = 0
    ) -> AsyncGenerator[Batch[Model], None]:
        if step.filters_modalities:
            found = self._finder.find(step, uids, ahead=READ_AHEAD)
            return in_batches(self._filter_modalities(found, step))
        return self._finder.find_batches(step, uids, ahead=ahead)

    async def _filter_modalities(self, found: AsyncGenerator[Model, None], step: Step) -> AsyncGenerator[Model, None]:
        """Match Modalities in Study here, computed where the archive did not return it."""
        keys = [key for key in step.filters if key.path.tag == MODALITIES_IN_STUDY]
        completed = map_ordered(
            found,
            self._completion.complete_modalities,
            window=self._limits.concurrency,
            name="search-modalities",
        )
        async with aclosing(completed):
            async for model in completed:
                if not is_excluded(model, keys, names_too=False):
                    yield model

    async def _gather(self, step: Step) -> AsyncGenerator[Model, None]:
        """The answers to the first step, all read before the first is given."""
        gathered: list[Model] = []
        is_complete = True
        found = self._find(step, self._plan.uids)
        async with aclosing(found):
            async for model in found:
                is_complete = len(gathered) < self._limits.max_walk
                if not is_complete:
                    break
                gathered.append(model)
        if not is_complete and self._limits.wants_all:
            raise self._too_broad()
        for model in gathered:
            yield model
        if not is_complete:
            raise self._too_broad()

    async def _expand(self, parents: AsyncGenerator[Model, None], step: Step) -> AsyncGenerator[Model, None]:
        """The answers to `step` below each of `parents`, several parents at a time."""

        async def find_below(parent: Model) -> list[Model]:
            found = self._find(step, self._uids_of(parent))
            async with aclosing(found):
                return [inherit(parent, model) async for model in found]

        lists = map_ordered(parents, find_below, window=self._limits.concurrency, name="search-walk")
        async with aclosing(lists):
            async for models in lists:
                for model in models:
                    yield model

    async def _expand_last(self, parents: AsyncGenerator[Model, None], step: Step) -> AsyncGenerator[Model, None]:
        """As `_expand`, the answers below each parent being given as they arrive."""
        readers: set[ReadAhead[Model]] = set()

        async def start_below(parent: Model) -> tuple[Model, ReadAhead[Model]]:
            found = self._find(step, self._uids_of(parent), ahead=WALK_READ_AHEAD)
            reader = ReadAhead(found, size=_one, budget=1, name="search-walk")
            readers.add(reader)
            return parent, reader

        started = map_ordered(parents, start_below, window=self._limits.concurrency, name="search-walk")
        try:
            async with aclosing(started):
                async for parent, reader in started:
                    async for model in reader:
                        yield inherit(parent, model)
                    readers.discard(reader)
        finally:
            for reader in readers:
                await reader.close()

    def _uids_of(self, parent: Model) -> dict[str, str]:
        self._visited += 1
        if self._visited > self._limits.max_walk:
            raise self._too_broad()
        named = {tag: first_value(parent, tag) for tag in UNIQUE_KEYS.values()}
        return {tag: uid for tag, uid in named.items() if uid}

    def _too_broad(self) -> SearchTooBroad:
        return SearchTooBroad(f"more than {self._limits.max_walk} studies and series would have to be visited")


def _one(_: Model) -> int:
    return 1
