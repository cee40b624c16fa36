"""Metadata of what an archive sends, damaged instances among it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.codecs.dicom_xml import encode_native_xml
from gateway.config import CacheSettings
from gateway.errors import UndecodableResponse
from gateway.resources import ResourcePath
from gateway.services.retrieve.caches import Caches
from gateway.services.retrieve.metadata.service import INLINE_BYTES, MetadataService
from tests.support.cancellation import iter_cancelled_runs
from tests.support.retrieve_site import METHODS, SERIES, STUDY, Site, open_site
from tests.unit.sandbox.conftest import make_instance, save

URL = "http://h/dicomweb"


def make_service(site: Site, *, keeps: bool) -> MetadataService:
    settings = CacheSettings(metadata_memory_mib=1 if keeps else 0)
    cache = Caches.from_settings(settings).open_metadata(site.archive, site.retrieve, site.inventories)
    return MetadataService(site.archive, site.retrieve, cache)


async def read(site: Site, path: ResourcePath, *, keeps: bool = False) -> dict[str, dict[str, Any]]:
    """The same in both ways of reading."""
    service = make_service(site, keeps=keeps)
    found: dict[str, dict[str, Any]] = {}
    async with service.open_metadata(path, URL) as metadata:
        assert (metadata.unavailable, metadata.generation is not None) == ((), keeps)
        async for documents in metadata.iter_json():
            found |= {model["00080018"]["Value"][0]: model for model in orjson.loads(b"[" + documents + b"]")}
    assert metadata.expected in (0, len(found))
    async with service.open_metadata(path, URL) as metadata:
        xml = {str(where.instance): document async for where, document in metadata.iter_xml()}
    assert xml == {uid: encode_native_xml(model) for uid, model in found.items()}
    return found


by_cache = pytest.mark.parametrize("keeps", [False, True], ids=["passing", "kept"])


@by_cache
@pytest.mark.parametrize("method", METHODS)
async def test_every_attribute_and_bulk_values_by_reference(tmp_path: Path, method: str, keeps: bool) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        long = make_instance(
            "1.2.1.1.9", TextValue="x" * (INLINE_BYTES + 2), EncapsulatedDocument=bytes(INLINE_BYTES + 2)
        )
        site.sandbox.index.add_file(save(long, tmp_path / "files"))
        models = await read(site, STUDY, keeps=keeps)
        await site.check_clean()
    assert set(models) == {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3", "1.2.1.1.9", "1.2.1.2.1"}
    model = models["1.2.1.1.9"]
    bulk = f"{URL}/studies/1.2.1/series/1.2.1.1/instances/1.2.1.1.9/bulkdata/"
    assert model["7FE00010"]["BulkDataURI"] == bulk + "7FE00010"
    assert model["00420011"] == {"vr": "OB", "BulkDataURI": bulk + "00420011"}
    assert model["0040A160"] == {"vr": "UT", "Value": ["x" * (INLINE_BYTES + 2)]}
    assert model["00280010"] == {"vr": "US", "Value": [8]}


@by_cache
async def test_one_damaged_instance_does_not_hide_the_others(tmp_path: Path, keeps: bool) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        path = Path(site.sandbox.index.select({"sop_instance_uid": ["1.2.1.1.2"]})[0].path)
        path.write_bytes(path.read_bytes()[:-60])  # inside the pixel data
        models = await read(site, SERIES, keeps=keeps)
        assert set(models) == {"1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"}
        assert models["1.2.1.1.2"].keys() == models["1.2.1.1.1"].keys()
        await site.check_clean()


@by_cache
async def test_damaged_before_its_uid_there_is_nothing_to_give(tmp_path: Path, keeps: bool) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        stored = site.sandbox.index.select({"sop_instance_uid": ["1.2.1.1.2"]})[0]
        content = Path(stored.path).read_bytes()
        Path(stored.path).write_bytes(content[: stored.data_offset + 13])
        with pytest.raises(UndecodableResponse):
            await read(site, ResourcePath("1.2.1", "1.2.1.1", "1.2.1.1.2"), keeps=keeps)
        await site.check_clean()


@by_cache
async def test_cancelled_at_any_await_nothing_is_left(tmp_path: Path, keeps: bool) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        async for _ in iter_cancelled_runs(lambda: read(site, SERIES, keeps=keeps)):
            await site.check_clean()
