"""All bulk values under a path, as the service gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.codecs.frames import FrameChunk, FrameEnd
from gateway.errors import UndecodableResponse, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.pixels.bulk_stream import BulkItem
from gateway.services.retrieve.pixels.pixel_stream import PixelDataService
from gateway.services.retrieve.transfer_demand import AS_STORED
from tests.support.retrieve_site import METHODS, SERIES, STUDY, Site, open_site
from tests.unit.sandbox.conftest import make_instance, save

PDF = "1.2.840.10008.5.1.4.1.1.104.1"


async def collect(site: Site, path: ResourcePath, *, pixels_only: bool = False) -> list[tuple[BulkItem, bytes]]:
    found: list[tuple[BulkItem, bytes]] = []
    is_open = False
    async with PixelDataService(site.retrieve).open_all(path, AS_STORED, pixels_only=pixels_only) as stream:
        async for event in stream.iter_events():
            match event:
                case BulkItem():
                    assert not is_open
                    is_open = True
                    found.append((event, b""))
                case FrameChunk(data=data):
                    assert is_open
                    found[-1] = (found[-1][0], found[-1][1] + bytes(data))
                case FrameEnd():
                    is_open = False
        assert (stream.unavailable, is_open) == ((), False)
    return found


@pytest.mark.parametrize("method", METHODS)
async def test_values_of_all_instances(tmp_path: Path, method: str) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        for path, count in ((STUDY, 4), (SERIES, 3)):
            found = await collect(site, path)
            assert len({item.instance for item, _ in found}) == len(found) == count
            assert {(item.path, item.frame, value) for item, value in found} == {("7FE00010", None, bytes(range(128)))}
        await site.check_clean()


async def test_a_document_and_its_type(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        document = make_instance("1.2.5.1.1", SOPClassUID=PDF, EncapsulatedDocument=bytes(2_000))
        del document.PixelData
        site.sandbox.index.add_file(save(document, tmp_path / "files"))
        ((item, value),) = await collect(site, ResourcePath("1.2.5"))
        assert (item.path, item.document_type, value) == ("00420011", "application/pdf", bytes(2_000))
        with pytest.raises(UnknownResource):
            await collect(site, ResourcePath("1.2.5"), pixels_only=True)
        await site.check_clean()


async def test_a_damaged_instance_is_told(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        path = save(make_instance("1.2.5.1.1", PixelData=bytes(4_000)), tmp_path / "files")
        site.sandbox.index.add_file(path)
        path.write_bytes(path.read_bytes()[:-1_000])
        with pytest.raises(UndecodableResponse):
            await collect(site, ResourcePath("1.2.5"))
        await site.check_clean()
