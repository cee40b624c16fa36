"""One C-FIND of a search: its answers read into the DICOM JSON Model, each entity once.

The only file of the search that talks to an archive. Stateless but for its archive: many may run at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

from gateway.codecs.dicom_json import read_data_set
from gateway.errors import DecodeError, UndecodableResponse
from gateway.services.search.keys import UNIQUE_KEYS
from gateway.services.search.matching import is_excluded, lies_outside
from gateway.services.search.merging import Model, iter_distinct
from gateway.services.search.plan import Step
from gateway.services.search.streams import read_ahead

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

    async def find(self, step: Step, uids: Mapping[str, str], *, ahead: int = 0) -> AsyncGenerator[Model, None]:
        """Yield the answers to `step` below the entity named by `uids`, in the order of the archive.

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
        found = self._receive(step, uids)
        if ahead:
            budget = ahead if self._is_bounded else None
            found = read_ahead(found, size=_size, budget=budget, name="search-find")
        distinct = iter_distinct(self._read(found, step, uids), UNIQUE_KEYS[step.level])
        async with aclosing(distinct):
            async for model in distinct:
                if not self._is_excluded(model, step):
                    yield model

    async def _receive(self, step: Step, uids: Mapping[str, str]) -> AsyncGenerator[FindMatch, None]:
        above = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
        keys = dict(sorted({**step.keys, **above}.items()))
        async with self._archive.find(keys, fuzzy=not self._compares_names) as matches:
            async for match in matches:
                yield match

    async def _read(
        self, found: AsyncGenerator[FindMatch, None], step: Step, uids: Mapping[str, str]
    ) -> AsyncGenerator[Model, None]:
        async with aclosing(found):
            async for match in found:
                model = self._decode(match)
                for tag, uid in uids.items():
                    model.setdefault(tag, {"vr": "UI", "Value": [uid]})
                if not match.all_keys_supported:
                    model[KEYS_LEFT_OUT] = {}
                yield model

    def _decode(self, match: FindMatch) -> Model:
        character_set = self._archive.settings.default_character_set
        try:
            return dict(read_data_set(match.data, match.transfer_syntax, character_set))
        except DecodeError as error:
            raise UndecodableResponse(self._archive.ae_title, "an identifier of C-FIND") from error

    def _is_excluded(self, model: Model, step: Step) -> bool:
        names_too = self._compares_names and KEYS_LEFT_OUT in model
        if is_excluded(model, step.filters, names_too=names_too):
            return True
        return any(lies_outside(model, wanted) for wanted in step.ranges)


def _size(match: FindMatch) -> int:
    return len(match.data)
