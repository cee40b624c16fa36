"""Metadata that is kept, and used only after the archive has said that it still holds.

Within `fresh_s` of the last validation nothing is asked. After that the validator of ``inventories/validators.py`` is
asked for anew; where the archive tells no numbers of instances, and every `recheck_s` in any case, its UIDs are
compared too.
What is older than `max_age_s` is retrieved again whatever the index says: a change inside an instance, under the same
UID, need not show in the index. Stores through this gateway drop the study at once.

An entry answers for everything below its path as well. Requests that come while it is being retrieved read along.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.config import CacheSettings
from gateway.dimse.archive import Archive
from gateway.errors import DecodeError, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.cache.disk import DiskStore
from gateway.services.cache.shared_stream import StreamReader
from gateway.services.cache.single_flight import SingleFlight
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.inventories.validators import take_validator
from gateway.services.retrieve.metadata.documents import MetadataDocument
from gateway.services.retrieve.metadata.entry import MetadataEntry
from gateway.services.retrieve.metadata.fill import MetadataFill, MetadataMemory
from gateway.services.retrieve.service import RetrieveService
from gateway.tasks import cancel_and_wait, start_task

__all__ = ["KeptMetadata", "MetadataCache"]

BATCH = 32
"""Documents of an entry given at once: some hundred kilobytes."""


@dataclass(frozen=True, slots=True)
class _Running:
    """A retrieval that requests may join."""

    fill: MetadataFill
    task: asyncio.Task[None]
    begun_at: float


@dataclass(slots=True)
class KeptMetadata:
    """Metadata for one request; read once.

    Parameters
    ----------
    generation
        Name of the retrieval it comes from.
    expected, unavailable
        As those of ``Instances``.
    """

    generation: str
    expected: int
    unavailable: tuple[str, ...]
    _read: StreamReader[MetadataDocument] | list[MetadataDocument]

    async def iter_batches(self) -> AsyncGenerator[list[MetadataDocument], None]:
        """Yield what there is, several documents at once where they are there; raises as ``Instances``."""
        if isinstance(self._read, list):
            for start in range(0, len(self._read), BATCH):
                yield self._read[start : start + BATCH]
            return
        while (batch := await self._read.read()) is not None:
            yield batch


class MetadataCache:
    """The metadata of one archive.

    Parameters
    ----------
    memory, disk
        Shared by all archives; `disk` may be None.
    clock, wall_clock : callable
        Seconds that never go back, those of `inventories`; seconds that mean the same after a restart.
    """

    def __init__(
        self,
        archive: Archive,
        retrieve: RetrieveService,
        inventories: Inventories,
        settings: CacheSettings,
        memory: MetadataMemory,
        disk: DiskStore | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._archive = archive
        self._retrieve = retrieve
        self._inventories = inventories
        self._settings = settings
        self._memory = memory
        self._disk = disk
        self._clock = clock
        self._wall_clock = wall_clock
        self._finding: SingleFlight[ResourcePath, MetadataEntry | None] = SingleFlight("validation of metadata")
        self._fills: dict[ResourcePath, _Running] = {}
        self._epoch = 0  # of what was dropped; what was found before does not come back after it

    @asynccontextmanager
    async def open(self, path: ResourcePath) -> AsyncIterator[KeptMetadata]:
        """The metadata under `path`, kept or retrieved; the first document is there when the block begins.

        Raises
        ------
        UnknownResource, BackendError
            As ``RetrieveService.open_instances``; further ones while reading.
        """
        entry = await self.find(path)
        if entry is not None:
            documents = entry.select(path)
            yield KeptMetadata(entry.generation, len(documents), (), documents)
            return
        running = await self._join(path)
        reader = running.fill.stream.attach()
        try:
            await running.fill.stream.wait_for_first()
            yield KeptMetadata(running.fill.generation, running.fill.expected, running.fill.unavailable, reader)
        finally:
            running.fill.stream.detach(reader)
            if not running.fill.stream.reader_count:
                self._end_sharing(running)
                await cancel_and_wait(running.task)

    async def find(self, path: ResourcePath) -> MetadataEntry | None:
        """An entry that holds what is under `path` and has been validated; None where there is none.

        Raises
        ------
        BackendError
            The archive could not be asked.
        """
        entry = self.peek(path)
        if entry is not None and self._clock() - entry.validated_at < self._settings.fresh_s:
            return entry
        if self._disk is None and not any(self._memory.get((self._archive.name, wider)) for wider in _list_wider(path)):
            return None
        return await self._finding.run(path, lambda: self._find_valid(path))

    def peek(self, path: ResourcePath) -> MetadataEntry | None:
        """An entry in memory that holds what is under `path` and is not too old; it may no longer be true."""
        for wider in _list_wider(path):
            entry = self._memory.get((self._archive.name, wider))
            if entry is not None and not self._is_too_old(entry) and entry.select(path):
                return entry
        return None

    def forget(self, study: str) -> None:
        """Drop what is kept of a study, which has changed, and keep nothing of it that is being retrieved now."""
        self._epoch += 1
        self._inventories.forget(study)
        self._finding.part(lambda path: path.study == study)
        for running in [running for path, running in self._fills.items() if path.study == study]:
            self._end_sharing(running)
        self._memory.drop(lambda key: key[0] == self._archive.name and key[1].study == study)
        if self._disk is not None:
            self._disk.drop(self._name_group(study))

    # --- validation ---

    async def _find_valid(self, path: ResourcePath) -> MetadataEntry | None:
        epoch = self._epoch
        for wider in _list_wider(path):
            entry = self._memory.get((self._archive.name, wider)) or await self._load(wider)
            if entry is None or not entry.select(path):
                continue
            holds = not self._is_too_old(entry) and await self._still_holds(entry)
            if epoch != self._epoch:
                return None
            if holds:
                self._memory.put((self._archive.name, wider), entry)
                return entry
            self._memory.drop((self._archive.name, wider).__eq__)
            if self._disk is not None:
                self._disk.drop(self._name_group(path.study), wider.url_path)
        return None

    async def _still_holds(self, entry: MetadataEntry) -> bool:
        if self._clock() - entry.validated_at < self._settings.fresh_s:
            return True
        try:
            validator, asked_at = await take_validator(self._inventories, entry.path)
            if validator != entry.validator:
                return False
            now = self._clock()
            if not validator.tells_counts or now - entry.inventoried_at >= self._settings.recheck_s:
                if not entry.matches(await self._inventories.ask(entry.path)):
                    return False
                entry.inventoried_at = now
        except UnknownResource:
            return False
        entry.validated_at = asked_at
        return True

    def _is_too_old(self, entry: MetadataEntry) -> bool:
        return not 0 <= self._wall_clock() - entry.filled_at < self._settings.max_age_s

    async def _load(self, path: ResourcePath) -> MetadataEntry | None:
        if self._disk is None:
            return None
        content = await self._disk.get(self._name_group(path.study), path.url_path)
        try:
            entry = MetadataEntry.decode(content) if content is not None else None
        except DecodeError:
            return None
        return entry if entry is not None and entry.path == path else None

    # --- retrieval ---

    async def _join(self, path: ResourcePath) -> _Running:
        """The retrieval under way, if it is still current; else a new one."""
        running = self._fills.get(path)
        if running is not None and running.fill.stream.keeps_all and await self._is_current(running):
            if self._fills.get(path) is running and running.fill.stream.keeps_all:
                return running
        fill = MetadataFill(self._archive, self._retrieve, self._inventories, self._memory, path)
        task = start_task(self._carry_out(fill), name="retrieval of metadata")
        self._fills[path] = running = _Running(fill, task, self._clock())
        return running

    async def _is_current(self, running: _Running) -> bool:
        if self._clock() - running.begun_at < self._settings.fresh_s:
            return True
        known = running.fill.validator
        if known is None or not known.tells_counts:
            return False
        return (await take_validator(self._inventories, running.fill.path))[0] == known

    async def _carry_out(self, fill: MetadataFill) -> None:
        error: Exception | None = None
        try:
            await fill.run()
            self._keep(fill)
        except Exception as failure:  # noqa: BLE001 - it belongs to those who read
            error = failure
        finally:
            fill.close()
            if self._is_shared(fill):
                del self._fills[fill.path]
            fill.stream.end(error)

    def _keep(self, fill: MetadataFill) -> None:
        entry = fill.make_entry(self._wall_clock)
        if entry is None or not self._is_shared(fill):
            return
        fill.close()
        self._memory.put((self._archive.name, fill.path), entry)
        if self._disk is not None:
            start_task(self._write(self._disk, entry), name="metadata to disk")

    async def _write(self, disk: DiskStore, entry: MetadataEntry) -> None:
        epoch, group = self._epoch, self._name_group(entry.path.study)
        await disk.put(group, entry.path.url_path, entry.encode())
        if epoch != self._epoch:
            disk.drop(group, entry.path.url_path)

    def _is_shared(self, fill: MetadataFill) -> bool:
        running = self._fills.get(fill.path)
        return running is not None and running.fill is fill

    def _end_sharing(self, running: _Running) -> None:
        if self._fills.get(running.fill.path) is running:
            del self._fills[running.fill.path]

    def _name_group(self, study: str) -> str:
        return f"{self._archive.name} {study}"


def _list_wider(path: ResourcePath) -> list[ResourcePath]:
    """The paths whose entries hold what is under `path`, the nearest first."""
    return list(dict.fromkeys((path, ResourcePath(path.study, path.series), ResourcePath(path.study))))
