"""The stores that the caches of all archives share, as the settings want them; made once by ``app.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from gateway.config import CacheSettings
from gateway.dimse.archive import Archive
from gateway.errors import ConfigurationError
from gateway.services.cache.disk import DiskStore
from gateway.services.cache.memory import MemoryStore
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.metadata.cache import MetadataCache
from gateway.services.retrieve.metadata.entry import MetadataEntry
from gateway.services.retrieve.metadata.fill import MetadataMemory
from gateway.services.retrieve.service import RetrieveService

__all__ = ["Caches"]

MIB = 1_048_576


@dataclass(frozen=True, slots=True)
class Caches:
    """Memory and disk for metadata; without memory there is no cache."""

    settings: CacheSettings
    memory: MetadataMemory | None = None
    disk: DiskStore | None = None

    @classmethod
    def from_settings(cls, settings: CacheSettings) -> Self:
        """Make what the settings ask for.

        Raises
        ------
        ConfigurationError
            The folder cannot be used.
        """
        if not settings.metadata_memory_mib:
            return cls(settings)
        memory: MetadataMemory = MemoryStore(settings.metadata_memory_mib * MIB, _measure)
        if not settings.metadata_disk_mib:
            return cls(settings, memory)
        try:
            disk = DiskStore(Path(settings.folder) / "metadata", settings.metadata_disk_mib * MIB)
        except OSError as error:
            raise ConfigurationError("cache.folder", f"cannot be used: {error.strerror}") from error
        return cls(settings, memory, disk)

    def open_metadata(
        self, archive: Archive, retrieve: RetrieveService, inventories: Inventories
    ) -> MetadataCache | None:
        """The metadata cache of one archive; None where none is kept."""
        if self.memory is None:
            return None
        return MetadataCache(archive, retrieve, inventories, self.settings, self.memory, self.disk)


def _measure(entry: MetadataEntry) -> int:
    return entry.size
