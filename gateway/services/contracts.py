"""What the web ring needs of the services: requests, answers and protocols, without any DIMSE type.

Handlers are written against these; ``app.py`` hands them the real services.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.config import EmptySearch
from gateway.errors import BadParameter
from gateway.resources import Level, is_valid_uid

__all__ = ["SearchRequest", "SearchResults", "SearchService"]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One Search transaction (PS3.18 §10.6).

    Parameters
    ----------
    level : Level
        What is searched for.
    query : str
        The query string as it stood in the request target, still percent-encoded, without question mark.
    base_url : str
        Absolute URL of the service root, for Retrieve URLs.
    study, series : str or None
        UIDs of the path, None where it does not name them.

    Raises
    ------
    BadParameter
        A UID that breaks PS3.5 §9.1.
    """

    level: Level
    query: str
    base_url: str
    study: str | None = None
    series: str | None = None

    def __post_init__(self) -> None:
        for name, uid in (("study", self.study), ("series", self.series)):
            if uid is not None and not is_valid_uid(uid):
                raise BadParameter(name, "not a UID")


class SearchResults(Protocol):
    """Results of a search whose first one (or their absence) is known already."""

    @property
    def warnings(self) -> Sequence[str]:
        """Texts for Warning header fields, without code and service."""

    @property
    def is_empty(self) -> bool:
        """Whether there is no result at all."""

    @property
    def is_whole(self) -> bool:
        """Whether all results are known already: one batch."""

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        """Yield each result as a data set of the DICOM JSON Model; once only."""

    async def take_batch(self) -> list[dict[str, Any]]:
        """The next results, all that came together, empty at the end; instead of iterating singly."""


class SearchService(Protocol):
    """Searches one archive."""

    @property
    def empty(self) -> EmptySearch:
        """How a search without results is answered."""

    def search(self, request: SearchRequest) -> AbstractAsyncContextManager[SearchResults]:
        """Run `request`; entering waits for the first result, leaving early cancels the C-FIND.

        Raises
        ------
        BadParameter
            The query breaks its grammar.
        SearchTooBroad
            More studies and series would have to be visited than configured.
        BackendError
            The archive failed, on entering or while iterating.
        """
