"""Which stores the settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from gateway.config import CacheSettings
from gateway.dimse.archive import Archive
from gateway.errors import ConfigurationError
from gateway.services.retrieve.caches import Caches
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.service import RetrieveService
from tests.support.metadata_site import MetadataSite


def opens(caches: Caches) -> bool:
    site = MetadataSite()
    archive, retrieve = cast(Archive, site.archive), cast(RetrieveService, site.retrieve)
    return caches.open_metadata(archive, retrieve, Inventories(archive, 0)) is not None


def test_memory_alone_is_the_default() -> None:
    caches = Caches.from_settings(CacheSettings())
    assert caches.memory is not None and caches.disk is None and opens(caches)


def test_nothing_is_kept_without_memory() -> None:
    caches = Caches.from_settings(CacheSettings(metadata_memory_mib=0))
    assert caches.memory is None and not opens(caches)


def test_disk_in_a_folder_of_its_own(tmp_path: Path) -> None:
    caches = Caches.from_settings(CacheSettings(folder=str(tmp_path / "cache"), metadata_disk_mib=1))
    assert caches.disk is not None and (tmp_path / "cache" / "metadata").is_dir() and opens(caches)


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises(ConfigurationError, match="cache.folder"):
        Caches.from_settings(CacheSettings(folder=str(tmp_path / "cache"), metadata_disk_mib=1))
