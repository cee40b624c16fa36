"""A metadata cache over an archive in memory, with clocks that are set by hand and retrievals that can be held up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, cast

import orjson

from gateway.config import CacheSettings
from gateway.dimse.archive import Archive
from gateway.errors import UnknownResource
from gateway.resources import ResourcePath
from gateway.services.cache.disk import DiskStore
from gateway.services.cache.memory import MemoryStore
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.metadata.cache import MetadataCache
from gateway.services.retrieve.metadata.documents import render_json
from gateway.services.retrieve.metadata.fill import MetadataMemory
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.retrieve.service import RetrieveService
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand
from tests.support.fake_archive import EXPLICIT_VR_LE, FakeArchive, encode_model, instance

__all__ = ["FRESH_S", "URL", "Clock", "FakeRetrieve", "MetadataSite", "make_memory"]

FRESH_S = 2.0
URL = "http://h/dicomweb"
LIMIT = 1_000_000


class Clock:
    """Seconds that stand still."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class _Instance:
    transfer_syntax_uid = EXPLICIT_VR_LE
    lacks_bulk_data = False

    def __init__(self, path: ResourcePath, data: bytes) -> None:
        self.path = path
        self._pieces = [data]

    async def read_piece(self) -> bytes | None:
        return self._pieces.pop() if self._pieces else None


class _Instances:
    def __init__(self, source: FakeRetrieve, found: list[_Instance]) -> None:
        self._source = source
        self._found = iter(found)
        self.expected = len(found)
        self.unavailable = source.unavailable
        self._number = 0

    def __aiter__(self) -> _Instances:
        return self

    async def __anext__(self) -> ReceivedInstance:
        if self._number >= self._source.passes:
            await self._source.gate.wait()
        if self._source.failure is not None and self._number >= self._source.fails_at:
            raise self._source.failure
        found = next(self._found, None)
        if found is None:
            raise StopAsyncIteration
        self._number += 1
        self._source.given += 1
        return cast(ReceivedInstance, found)


class FakeRetrieve:
    """Retrieves from the instances of a ``FakeArchive``.

    Attributes
    ----------
    opened, given, running : int
        Retrievals begun, instances given, retrievals that have not ended.
    passes : int
        Instances of each retrieval that pass before `gate` is waited for.
    failure, fails_at
        What is raised in place of that instance.
    cut_bytes : int
        What is missing at the end of each instance.
    """

    def __init__(self, archive: FakeArchive) -> None:
        self._archive = archive
        self.opened = self.given = self.running = 0
        self.passes = 1_000_000
        self.gate = asyncio.Event()
        self.failure: Exception | None = None
        self.fails_at = 0
        self.unavailable: tuple[str, ...] = ()
        self.cut_bytes = 0

    @property
    def partial(self) -> FakeRetrieve:
        """An archive that gives whole instances only."""
        return self

    def open_headers(self, path: ResourcePath) -> AbstractAsyncContextManager[_Instances]:
        return self.open_instances(path, AS_STORED)

    @asynccontextmanager
    async def open_instances(self, path: ResourcePath, demand: TransferDemand) -> AsyncIterator[_Instances]:
        self.opened += 1
        found = []
        for model in self._archive.instances:
            where = ResourcePath(*(model[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")))
            if all(asked in (None, held) for asked, held in zip(_uids(path), _uids(where), strict=True)):
                found.append(_Instance(where, self._encode(model)))
        if not found:
            raise UnknownResource("instance")
        self.running += 1
        try:
            yield _Instances(self, found)
        finally:
            self.running -= 1

    def _encode(self, model: dict[str, Any]) -> bytes:
        data = encode_model(model)
        return data[: len(data) - self.cut_bytes]


class MetadataSite:
    """Two series of two instances; `settings` override those of the cache."""

    def __init__(self, memory: MetadataMemory | None = None, disk: DiskStore | None = None, **settings: Any) -> None:
        held = [
            instance(
                "1",
                f"1.{series}",
                f"1.{series}.{n}",
                PatientName="Test^Before",
                BitsAllocated=16,
                PixelData=bytes(2_000),
            )
            for series in (1, 2)
            for n in (1, 2)
        ]
        self.archive = FakeArchive(held)
        self.retrieve = FakeRetrieve(self.archive)
        self.clock, self.wall_clock = Clock(), Clock()
        self.memory = memory if memory is not None else make_memory(LIMIT)
        self.disk = disk
        self.settings = CacheSettings(**{"fresh_s": FRESH_S, **settings})
        self.restart()

    def restart(self) -> None:
        """A new cache over the same memory, disk and archive."""
        archive, retrieve = cast(Archive, self.archive), cast(RetrieveService, self.retrieve)
        self.inventories = Inventories(archive, self.settings.fresh_s, self.clock)
        self.cache = MetadataCache(
            archive, retrieve, self.inventories, self.settings, self.memory, self.disk, self.clock, self.wall_clock
        )

    async def read(self, path: ResourcePath) -> dict[str, dict[str, Any]]:
        """The metadata under `path` by SOP Instance UID."""
        found: list[dict[str, Any]] = []
        async with self.cache.open(path) as kept:
            assert kept.unavailable == self.retrieve.unavailable
            async for batch in kept.iter_batches():
                found += orjson.loads(b"[" + render_json(batch, URL) + b"]")
        assert kept.expected == len(found)
        return {model["00080018"]["Value"][0]: model for model in found}

    def rename(self, name: str, *, series: str = "") -> None:
        """Give the patient another name, in all instances or those of one series, under the same UIDs."""
        for model in self.archive.instances:
            if series in ("", model["0020000E"]["Value"][0]):
                model["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": name}]}

    @property
    def asked(self) -> list[str]:
        """Levels asked at since the last look."""
        levels = [keys["00080052"]["Value"][0] for keys in self.archive.asked]
        self.archive.asked.clear()
        return levels

    def leave_out(self, *tags: str) -> None:
        """The archive knows nothing of these attributes."""
        self.archive.behaviour = replace(self.archive.behaviour, leaves_out=frozenset(tags))


def make_memory(limit: int) -> MetadataMemory:
    """A store of so many bytes."""
    return MemoryStore(limit, lambda entry: entry.size)


def _uids(path: ResourcePath) -> tuple[str | None, ...]:
    return (path.study, path.series, path.instance)
