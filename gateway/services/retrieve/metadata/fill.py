"""One retrieval of metadata that several requests read while it runs, and that is kept when it has ended well.

The archive is read at its own pace as long as everything fits into the share of the cache; beyond that nothing is
kept, and the slowest reader sets the pace, as it does without a cache. When the last reader leaves, it stops.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from gateway.dimse.archive import Archive
from gateway.resources import ResourcePath
from gateway.services.cache.memory import MemoryStore
from gateway.services.cache.shared_stream import SharedStream
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.inventories.validators import Validator, take_validator
from gateway.services.retrieve.metadata.documents import MetadataDocument, TemplateReader
from gateway.services.retrieve.metadata.entry import MetadataEntry
from gateway.services.retrieve.service import RetrieveService

__all__ = ["EntryKey", "MetadataFill", "MetadataMemory"]

WINDOW_BYTES = 1_048_576
"""Held for the slowest reader when nothing is kept."""

EntryKey = tuple[str, ResourcePath]
"""Name of the backend, and path."""

MetadataMemory = MemoryStore[EntryKey, MetadataEntry]


class MetadataFill:
    """See the module; whoever makes it runs `run` in a task.

    Attributes
    ----------
    stream : SharedStream
        The documents as they come.
    generation : str
        Name of this retrieval.
    validator : Validator or None
        What the index said before the first instance was asked for; None until then.
    expected, unavailable
        As those of ``Instances`` when the first document is there, and at the end.
    """

    def __init__(
        self,
        archive: Archive,
        retrieve: RetrieveService,
        inventories: Inventories,
        memory: MetadataMemory,
        path: ResourcePath,
    ) -> None:
        self._archive = archive
        self._retrieve = retrieve
        self._inventories = inventories
        self._memory = memory
        self._reserved = 0
        self._asked_at = 0.0
        self._is_whole = True
        self.path = path
        self.stream: SharedStream[MetadataDocument] = SharedStream(lambda document: document.size, WINDOW_BYTES)
        self.generation = secrets.token_hex(8)
        self.validator: Validator | None = None
        self.expected = 0
        self.unavailable: tuple[str, ...] = ()

    async def run(self) -> None:
        """Retrieve to the end.

        The validator is asked for before the instances are: so what changes in between makes it differ, and never
        the other way round.

        Raises
        ------
        UnknownResource, BackendError
            As ``RetrieveService.open_instances``.
        """
        self.validator, self._asked_at = await take_validator(self._inventories, self.path)
        reader = TemplateReader(self._archive)
        async with self._retrieve.partial.open_headers(self.path) as instances:
            self._describe(instances)
            async for instance in instances:
                document, is_whole = await reader.read(instance)
                self._is_whole &= is_whole
                self._reserve(document.size)
                await self.stream.append(document)
            self._describe(instances)

    def make_entry(self, now: Callable[[], float]) -> MetadataEntry | None:
        """What is to be kept; None where it is too large, damaged or not everything. To be called after `run`."""
        documents = {document.path.instance or "": document for document in self.stream.items}
        if not self.stream.keeps_all or not self._is_whole or self.unavailable or self.validator is None:
            return None
        entry = MetadataEntry(self.path, self.generation, self.validator, now(), documents)
        entry.validated_at = entry.inventoried_at = self._asked_at
        return entry

    def close(self) -> None:
        """Give back the memory reserved; the readers may go on with what they have."""
        self._memory.release(self._reserved)
        self._reserved = 0

    def _describe(self, instances: Instances) -> None:
        self.expected, self.unavailable = instances.expected, instances.unavailable

    def _reserve(self, size: int) -> None:
        if not self.stream.keeps_all:
            return
        if self._reserved + size <= self._memory.share_bytes and self._memory.reserve(size):
            self._reserved += size
        else:
            self.stream.stop_keeping()
            self.close()
