"""One C-FIND of a search: its answers read into the DICOM JSON Model, each entity once.

The only file of the search that talks to an archive. Stateless but for its archive: many may run at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from gateway.codecs.identifier_reader import IdentifierReader
from gateway.errors import DecodeError, UndecodableResponse
from gateway.services.search.keys import UNIQUE_KEYS
from gateway.services.search.matching import is_excluded, lies_outside
from gateway.services.search.merging import Distinct, Model
from gateway.services.search.plan import Step
from gateway.services.search.streams import Batch, iter_items, read_ahead

if TYPE_CHECKING:
    from gateway.dimse.archive import Archive
    from gateway.dimse.scu.query import FindMatch

__all__ = ["KEYS_LEFT_OUT", "READ_AHEAD", "WALK_READ_AHEAD", "Finder"]

KEYS_LEFT_OUT = "keys-left-out"
"""Member that marks a model whose response had status FF01; never part of a result."""

READ_AHEAD = 4 * 1024 * 1024
"""Bytes of answers that one search may hold unread: about 6,000 of study level."""

WALK_READ_AHEAD = 1024 * 1024
"""The same for each of the C-FINDs that a walk runs side by side: about 1,500 of instance level."""


class Finder:
    """Asks `archive` and reads its answers.

    Parameters
    ----------
    archive : Archive
        The one backend.
    compares_names : bool
        Person names match literally: compare them here where a response has status FF01. If not, they match as the
        archive sees fit.
    """

    def __init__(self, archive: Archive, *, compares_names: bool) -> None:
        self._archive = archive
        self._compares_names = compares_names
        # with one association only, a C-FIND that waits for its reader would keep that reader waiting
        self._is_bounded = archive.settings.max_associations > 1

    def find(self, step: Step, uids: Mapping[str, str], *, ahead: int = 0) -> AsyncGenerator[Model, None]:
        """Yield the answers one by one; as `find_batches`."""
        return iter_items(self.find_batches(step, uids, ahead=ahead))

    async def find_batches(
        self, step: Step, uids: Mapping[str, str], *, ahead: int = 0
    ) -> AsyncGenerator[Batch[Model], None]:
        """Yield the answers to `step` below the entity named by `uids`, in the order of the archive, as they come.

        Parameters
        ----------
        step : Step
            Level, keys and what is compared here.
        uids : mapping
            Unique keys of the levels above, by tag; they are part of every model yielded.
        ahead : int
            Bytes to read ahead in a task of its own, so that the association becomes free however slowly
            answers are taken; 0 to read the archive at the pace of the consumer.

        Raises
        ------
        BackendError
            As ``Archive.find``; UndecodableResponse for an identifier that cannot be read.
        """
        received = self._receive(step, uids)
        if ahead:
            budget = ahead if self._is_bounded else None
            received = read_ahead(received, size=_size, budget=budget, name="search-find")
        above = _attributes(uids)
        readers: dict[str, IdentifierReader] = {}
        distinct = Distinct(UNIQUE_KEYS[step.level])
        async with aclosing(received):
            async for batch in received:
                models = (self._decode(match, above, readers) for match in batch.items)
                answers = distinct.take(models, is_last=batch.is_last)
                yield Batch([model for model in answers if not self._is_excluded(model, step)], batch.is_last)

    async def _receive(self, step: Step, uids: Mapping[str, str]) -> AsyncGenerator[Batch[FindMatch], None]:
        keys = dict(sorted({**step.keys, **_attributes(uids)}.items()))
        async with self._archive.find(keys, fuzzy=not self._compares_names) as matches:
            is_last = False
            while not is_last:
                batch = await matches.read_batch()
                is_last = not batch or matches.is_over
                yield Batch(batch, is_last)

    def _decode(self, match: FindMatch, above: Model, readers: dict[str, IdentifierReader]) -> Model:
        syntax = match.transfer_syntax
        reader = readers.get(syntax)
        if reader is None:
            reader = readers[syntax] = IdentifierReader(syntax, self._archive.settings.default_character_set)
        try:
            model = {**above, **reader.read(match.data)}
        except DecodeError as error:
            raise UndecodableResponse(self._archive.ae_title, "an identifier of C-FIND") from error
        if not match.all_keys_supported:
            model[KEYS_LEFT_OUT] = {}
        return model

    def _is_excluded(self, model: Model, step: Step) -> bool:
        names_too = self._compares_names and KEYS_LEFT_OUT in model
        if is_excluded(model, step.filters, names_too=names_too):
            return True
        return any(lies_outside(model, wanted) for wanted in step.ranges)


def _attributes(uids: Mapping[str, str]) -> Model:
    return {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}


def _size(batch: Batch[FindMatch]) -> int:
    return sum(len(match.data) for match in batch.items)
