"""Pictures of what real archives hold, against those of the archive's own files, and as a client library gets them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import GatewayError
from gateway.imaging.rendering.parameters import FrameSource, RenderParameters
from gateway.imaging.rendering.render import render_frame
from tests.interop.conftest import Loaded, Served
from tests.interop.test_retrieve_instances import expected_refusal
from tests.interop.test_retrieve_parts import can_be_extracted, can_be_had, is_image
from tests.support.archive_contents import StoredInstance
from tests.support.expected_frames import PIXEL_DATA, expected_frames
from tests.support.wado import Answer, fetch

pytestmark = pytest.mark.peer

PNG, JPEG = "image/png", "image/jpeg"
AT_ONCE = 4
EVERY = [("orthanc", "c-get", 2), ("orthanc", "c-move", 24), ("dcmqrscp", "c-move", 12), ("sandbox", "c-get", 2)]


async def gather(tasks: Iterable[Awaitable[Any]]) -> list[Any]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(task: Awaitable[Any]) -> Any:
        async with gate:
            return await task

    return await asyncio.gather(*map(one, tasks))


def can_be_shown(archive: Loaded, method: str, every: int = 1) -> list[StoredInstance]:
    """Images whose frames the codecs can take out of the archive's own file; no video."""
    return [
        stored
        for stored in can_be_had(archive, method, every)
        if is_image(stored) and not get_transfer_syntax(stored.transfer_syntax).video and can_be_extracted(stored)
    ]


def draw(stored: StoredInstance, number: int) -> Image.Image | None:
    """The picture of one frame made of the archive's own file with pydicom; None where none can be made."""
    data_set = stored.read()
    frame = expected_frames(data_set)[number - 1]
    for element in [element for element in data_set if element.tag >= 0x7FE00000 or element.tag in PIXEL_DATA]:
        del data_set[element.tag]
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    try:
        write_dataset(buffer, data_set)
        syntax = get_transfer_syntax(stored.transfer_syntax)
        sent = syntax.uid if syntax.encapsulated else EXPLICIT_VR_LE
        picture = render_frame(FrameSource(buffer.getvalue(), sent, frame, number), RenderParameters(PNG))
    except (GatewayError, ValueError, TypeError, AttributeError, NotImplementedError, OverflowError):
        return None  # damaged in a way that pydicom does not write again, or that is no picture
    return Image.open(BytesIO(picture.data))


def judge(stored: StoredInstance, number: int, answer: Answer) -> str | None:
    """What is wrong with an answer; None if nothing."""
    expected = draw(stored, number)
    if expected is None:
        return None if answer.status in (200, 502) else f"{answer.status} for what cannot be drawn"
    if answer.status != 200:
        return f"{answer.status} {answer.body[:200]!r}"
    found = Image.open(BytesIO(answer.body))
    same = found.size == expected.size and (np.asarray(found) == np.asarray(expected)).all()
    return None if same else "another picture"


@pytest.mark.parametrize(("kind", "method", "every"), EVERY)
async def test_pictures_are_those_of_the_stored_files(served: Served, kind: str, method: str, every: int) -> None:
    archive, url = served.archives[kind], served.url(kind, method)
    images = can_be_shown(archive, method, every)
    numbers = [(int(stored.read().get("NumberOfFrames") or 1) + 1) // 2 for stored in images]
    answers = await gather(
        fetch(f"{url}{stored.path}/frames/{number}/rendered", PNG)
        for stored, number in zip(images, numbers, strict=True)
    )
    verdicts = map(judge, images, numbers, answers)
    wrong = {it.path: (it.transfer_syntax, said) for it, said in zip(images, verdicts, strict=True) if said is not None}
    assert wrong == {}
    assert sum(answer.status == 200 for answer in answers) > len(images) * 3 // 4


@pytest.mark.parametrize(("kind", "method"), [("orthanc", "c-get"), ("dcmqrscp", "c-move"), ("sandbox", "c-get")])
async def test_every_study_has_a_thumbnail_or_says_why_not(served: Served, kind: str, method: str) -> None:
    """Of one instance; a series that has an image that can be had and drawn has a thumbnail."""
    archive, url = served.archives[kind], served.url(kind, method)
    studies = [
        study
        for study, held in archive.studies.items()
        if not any(expected_refusal(archive, method, stored) for stored in held.values())
    ][:: 1 if kind == "sandbox" else 6]
    answers = await gather(fetch(f"{url}/studies/{study}/thumbnail", "*/*") for study in studies)
    drawn = 0
    for study, answer in zip(studies, answers, strict=True):
        assert answer.status in (200, 404, 502), (study, answer.status, answer.body)
        held = archive.studies[study].values()
        if answer.status == 200:
            drawn += 1
            picture = Image.open(BytesIO(answer.body))
            assert picture.format == "JPEG" and max(picture.size) <= 256
            shown = answer.headers["Content-Location"].partition("/instances/")[2].partition("/")[0]
            assert any(stored.instance == shown or not is_image(stored) for stored in held)
        elif answer.status == 404:
            assert not all(map(is_image, held)), study
    assert drawn > len(studies) // 3


@pytest.mark.parametrize(("kind", "method"), [("orthanc", "c-get"), ("sandbox", "c-move")])
async def test_dicomweb_client_gets_rendered_instances_and_frames(served: Served, kind: str, method: str) -> None:
    archive = served.archives[kind]
    client = DICOMwebClient(served.url(kind, method))
    stored = next(it for it in can_be_shown(archive, method) if it.read().get("NumberOfFrames") and it.path)
    single = next(it for it in can_be_shown(archive, method) if not it.read().get("NumberOfFrames"))
    uids, frames_of = (single.study, single.series, single.instance), (stored.study, stored.series, stored.instance)

    whole = await asyncio.to_thread(client.retrieve_instance_rendered, *uids, media_types=(PNG,))
    expected = draw(single, 1)
    assert expected is not None and (np.asarray(Image.open(BytesIO(whole))) == np.asarray(expected)).all()

    frame = await asyncio.to_thread(
        client.retrieve_instance_frames_rendered, *frames_of, [1], media_types=(JPEG,), params={"quality": 50}
    )
    assert Image.open(BytesIO(frame)).format == "JPEG"

    windowed = await asyncio.to_thread(
        client.retrieve_instance_rendered, *uids, media_types=(JPEG,), params={"viewport": "64,64"}
    )
    assert max(Image.open(BytesIO(windowed)).size) == 64


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
async def test_the_uri_service_gives_files_and_pictures(served: Served, kind: str) -> None:
    """As a desktop viewer asks, series by series: thumbnails first, then the files."""
    method = "c-move" if kind == "dcmqrscp" else "c-get"
    archive, url = served.archives[kind], served.url(kind, method)
    for stored in can_be_shown(archive, method, 40)[:6]:
        uids = f"requestType=WADO&studyUID={stored.study}&seriesUID={stored.series}&objectUID={stored.instance}"
        picture = await fetch(f"{url}/wado?{uids}&contentType=image/jpeg&rows=96&columns=96", "*/*")
        assert picture.status == 200 or draw(stored, 1) is None, picture.body
        if picture.status == 200:
            assert max(Image.open(BytesIO(picture.body)).size) == 96
        file = await fetch(f"{url}?{uids}&contentType=application/dicom&transferSyntax=*", "*/*")
        assert (file.status, file.headers["Content-Type"]) == (200, "application/dicom")
        assert file.body[128:132] == b"DICM"
