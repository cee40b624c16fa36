"""Headers and frames from an archive that gives less than whole instances, and from one that promises to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom.encaps import encapsulate

from gateway.codecs.frames import FrameChunk, FrameStart
from gateway.dimse.uids import COMPOSITE_ROOT_GET, WITHOUT_BULK_DATA_GET
from gateway.errors import UnknownResource
from gateway.resources import ResourcePath
from gateway.sandbox import Behaviour, root_retrieve
from gateway.sandbox import retrieve as sandbox_retrieve
from gateway.services.retrieve.metadata.service import MetadataService
from gateway.services.retrieve.pixels.pixel_stream import PixelDataService
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand
from tests.support.retrieve_site import INSTANCE, SERIES, STUDY, Site, open_site, take
from tests.unit.sandbox.conftest import make_instance, save

OFFERS = Behaviour(offer_root_retrieve=True)
LOOP = ResourcePath("1.2.5", "1.2.5.1", "1.2.5.1.1")
ENHANCED = "1.2.840.10008.5.1.4.1.1.2.1"
PDF = "1.2.840.10008.5.1.4.1.1.104.1"
JPEG = "1.2.840.10008.1.2.4.50"
FRAMES = [bytes([number]) * 128 for number in (1, 2, 3, 4)]


async def read_metadata(site: Site, path: ResourcePath) -> list[dict[str, object]]:
    service = MetadataService(site.archive, site.retrieve)
    async with service.open_metadata(path, "http://h/dicomweb") as metadata:
        text = b",".join([bytes(document) async for document in metadata.iter_json()])
    return sorted(json.loads(b"[" + text + b"]"), key=lambda model: model["00080018"]["Value"])


async def read_frames(
    site: Site, wanted: Sequence[int], demand: TransferDemand = AS_STORED
) -> tuple[list[tuple[int, bytes]], str]:
    found: list[tuple[int, bytes]] = []
    async with PixelDataService(site.retrieve).open_frames(LOOP, wanted, demand) as stream:
        async for event in stream:
            if isinstance(event, FrameStart):
                found.append((event.number, b""))
            elif isinstance(event, FrameChunk):
                found[-1] = (found[-1][0], found[-1][1] + bytes(event.data))
        return found, stream.transfer_syntax_uid


def add_loop(site: Site, folder: Path, *, compressed: bool = False) -> None:
    loop = make_instance("1.2.5.1.1", SOPClassUID=ENHANCED, NumberOfFrames=4, PixelData=b"".join(FRAMES))
    if compressed:
        loop.PixelData = encapsulate(FRAMES)
        loop["PixelData"].VR = "OB"
        loop.file_meta.TransferSyntaxUID = JPEG
    site.sandbox.index.add_file(save(loop, folder / "files"))


@pytest.mark.parametrize(("path", "count"), [(SERIES, 3), (STUDY, 4), (INSTANCE, 1)])
async def test_metadata_is_the_same_without_the_pixels_being_sent(
    tmp_path: Path, path: ResourcePath, count: int
) -> None:
    async with open_site(tmp_path, OFFERS, retrieve="c-get") as site:
        ordinary = await read_metadata(site, path)  # the first association shows what is offered
        offers = site.archive.abilities.offers
        assert offers(WITHOUT_BULK_DATA_GET) and offers(COMPOSITE_ROOT_GET)
        sent: list[object] = []
        altered = root_retrieve.alter_instance

        def note(*arguments: object) -> object:
            sent.append(altered(*arguments))  # type: ignore[arg-type]
            return sent[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sandbox_retrieve, "alter_instance", note)
            assert await read_metadata(site, path) == ordinary
        assert len(ordinary) == len(sent) == count
        assert not any("PixelData" in data_set for data_set in sent)  # type: ignore[operator]
        await site.check_clean()


async def test_an_archive_without_the_services_is_asked_as_ever(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        for _ in range(2):
            assert len(await read_metadata(site, SERIES)) == 3
        assert not site.archive.abilities.offers(WITHOUT_BULK_DATA_GET)
        await site.check_clean()


async def test_other_classes_than_images_are_retrieved_whole(tmp_path: Path) -> None:
    async with open_site(tmp_path, OFFERS, retrieve="c-get") as site:
        report = make_instance(
            "1.2.5.1.1", SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1", EncapsulatedDocument=bytes(2000)
        )
        del report.PixelData
        site.sandbox.index.add_file(save(report, tmp_path / "files"))
        await read_metadata(site, SERIES)
        (model,) = await read_metadata(site, ResourcePath("1.2.5"))
        assert "BulkDataURI" in model["00420011"]  # type: ignore[operator]
        await site.check_clean()


async def test_what_is_promised_and_not_given_comes_in_the_ordinary_way(tmp_path: Path) -> None:
    async with open_site(tmp_path, OFFERS, retrieve="c-get") as site:
        ordinary = await read_metadata(site, SERIES)
        # refused by the first request for headers, and not asked again
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sandbox_retrieve, "select_named", _refuse)
            assert await read_metadata(site, SERIES) == ordinary
        assert not site.archive.abilities.offers(WITHOUT_BULK_DATA_GET)
        assert await read_metadata(site, SERIES) == ordinary
        await site.check_clean()


async def test_headers_that_fail_on_the_way_are_made_up_for(tmp_path: Path) -> None:
    async with open_site(tmp_path, OFFERS, retrieve="c-get") as site:
        ordinary = await read_metadata(site, SERIES)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sandbox_retrieve, "alter_instance", _fail_second())
            assert await read_metadata(site, SERIES) == ordinary
        await site.check_clean()


@pytest.mark.parametrize("compressed", [False, True])
async def test_frames_under_their_own_numbers(tmp_path: Path, compressed: bool) -> None:
    async with open_site(tmp_path, OFFERS, retrieve="c-get") as site:
        add_loop(site, tmp_path, compressed=compressed)
        ordinary = {wanted: await read_frames(site, wanted) for wanted in ((1,), (2, 4), (1, 2, 3, 4))}
        assert site.archive.abilities.offers(COMPOSITE_ROOT_GET)
        extracted: list[object] = []
        with pytest.MonkeyPatch.context() as patch:
            altered = root_retrieve.alter_instance
            patch.setattr(
                sandbox_retrieve, "alter_instance", lambda *given: extracted.append(altered(*given)) or extracted[-1]
            )
            for wanted, expected in ordinary.items():
                assert await read_frames(site, wanted) == expected
                assert [number for number, _ in expected[0]] == list(wanted)
        assert [one.NumberOfFrames for one in extracted] == [1, 2, 4]  # type: ignore[attr-defined]
        with pytest.raises(UnknownResource):
            await read_frames(site, [5])
        offers = site.archive.abilities.offers
        assert offers(COMPOSITE_ROOT_GET)  # a client that asks for too much is no failure of the archive
        await site.check_clean()


async def test_an_archive_that_sends_the_whole_instance_all_the_same(tmp_path: Path) -> None:
    async with open_site(tmp_path, OFFERS, retrieve="c-get") as site:
        add_loop(site, tmp_path)
        await take(site, SERIES)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sandbox_retrieve, "alter_instance", lambda *_: None)
            assert (await read_frames(site, [2, 4]))[0] == [(2, FRAMES[1]), (4, FRAMES[3])]
        await site.check_clean()


async def test_frames_that_are_refused_come_in_the_ordinary_way(tmp_path: Path) -> None:
    async with open_site(tmp_path, OFFERS, retrieve="c-get") as site:
        add_loop(site, tmp_path)
        await take(site, SERIES)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sandbox_retrieve, "select_named", _refuse)
            assert (await read_frames(site, [3]))[0] == [(3, FRAMES[2])]
        await site.check_clean()


def _refuse(*_: object) -> None:
    raise root_retrieve.IdentifierError("no")


def _fail_second():
    seen: list[object] = []
    altered = root_retrieve.alter_instance

    def alter(*given):
        seen.append(given)
        if len(seen) == 2:
            raise ValueError("no")
        return altered(*given)

    return alter
