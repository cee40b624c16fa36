"""One retrieval of metadata: what it is worth keeping, and that it gives back the memory it reserved."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.dimse.archive import Archive
from gateway.errors import UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.validators import take_validator
from gateway.services.retrieve.metadata.fill import MetadataFill
from gateway.services.retrieve.service import RetrieveService
from tests.support.metadata_site import MetadataSite, make_memory

SERIES = ResourcePath("1", "1.2")


def make_fill(site: MetadataSite, path: ResourcePath = SERIES) -> MetadataFill:
    archive, retrieve = cast(Archive, site.archive), cast(RetrieveService, site.retrieve)
    return MetadataFill(archive, retrieve, site.inventories, site.memory, path)


async def test_what_was_retrieved_is_worth_keeping() -> None:
    site = MetadataSite()
    fill = make_fill(site)
    await fill.run()
    entry = fill.make_entry(site.wall_clock)
    assert entry is not None and list(entry.documents) == ["1.2.1", "1.2.2"]
    assert entry.validator == (await take_validator(site.inventories, SERIES))[0]
    assert (entry.filled_at, entry.validated_at) == (site.wall_clock.now, site.clock.now)
    assert site.memory.held_bytes == entry.size
    fill.close()
    fill.close()
    assert site.memory.held_bytes == 0


async def test_the_validator_is_older_than_what_was_retrieved() -> None:
    site = MetadataSite()
    fill = make_fill(site)
    site.retrieve.passes = 0
    asked: list[str] = []

    class Gate:
        async def wait(self) -> None:
            asked.extend(site.asked)

    site.retrieve.gate = Gate()  # type: ignore[assignment]
    await fill.run()
    assert asked == ["STUDY", "SERIES"]


async def test_no_two_retrievals_have_the_same_name() -> None:
    site = MetadataSite()
    assert make_fill(site).generation != make_fill(site).generation


async def test_what_is_damaged_passes_and_is_not_kept() -> None:
    site = MetadataSite()
    site.retrieve.cut_bytes = 10
    fill = make_fill(site)
    await fill.run()
    assert len(fill.stream.items) == 2 and fill.make_entry(site.wall_clock) is None


async def test_nothing_there() -> None:
    site = MetadataSite()
    with pytest.raises(UnknownResource):
        await make_fill(site, ResourcePath("1", "9")).run()
    assert site.retrieve.opened == 0


async def test_beyond_its_share_nothing_is_kept_or_reserved() -> None:
    site = MetadataSite(make_memory(4 * 1_500))
    fill = make_fill(site)
    reader = fill.stream.attach()
    await fill.run()
    assert not fill.stream.keeps_all and fill.make_entry(site.wall_clock) is None
    assert site.memory.held_bytes == 0
    taken = await reader.read() or []
    assert [document.path.instance for document in taken] == ["1.2.1", "1.2.2"]
