"""Metadata, frames and bulk data of what real archives hold, against pydicom and against the archive's files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dicomweb_client.api import DICOMwebClient
from lxml import etree
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian

from gateway.codecs.bulkdata import BulkdataExtractor
from gateway.codecs.dicom_xml import encode_native_xml
from gateway.codecs.frames import FrameExtractor
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.config import BackendSettings
from gateway.errors import DecodeError
from gateway.sandbox import SandboxArchive
from gateway.services.retrieve.metadata.service import INLINE_BYTES
from tests.interop.conftest import Loaded, Served
from tests.interop.test_retrieve_instances import NEVER_LEAVE, expected_refusal
from tests.support.archive_contents import StoredInstance
from tests.support.encoding import JsonModelBuilder
from tests.support.expected_frames import PIXEL_DATA, expected_frames
from tests.support.mixed_series import MIXED_SERIES, MIXED_STUDY
from tests.support.peers import LOOPBACK, find_free_port
from tests.support.running_gateway import RunningGateway, make_settings
from tests.support.wado import fetch

pytestmark = pytest.mark.peer

JSON, XML = "application/dicom+json", 'multipart/related; type="application/dicom+xml"'
ANY_FORM = 'multipart/related; type="*/*"'
OCTETS = 'multipart/related; type="application/octet-stream"'
AT_ONCE = 4
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
"""Orthanc 1.10 grants no SCP role for it, so it comes by C-GET only in company."""

# every path that is compared costs an instance fetched; C-MOVE takes some 100 ms each in Orthanc
EVERY = [("orthanc", "c-get", 1), ("orthanc", "c-move", 16), ("dcmqrscp", "c-move", 8), ("sandbox", "c-get", 1)]


def can_be_had(archive: Loaded, method: str, every: int = 1) -> list[StoredInstance]:
    had = [it for it in archive.contents.values() if expected_refusal(archive, method, it) is None]
    if (archive.kind, method) == ("orthanc", "c-get"):
        had = [it for it in had if it.sop_class != LABEL_MAP]
    return had[::every]


def read_model(stored: StoredInstance, url: str) -> dict[str, Any]:
    """The metadata as the codecs read the archive's own file; they are compared with pydicom elsewhere."""
    builder = JsonModelBuilder(
        stored.transfer_syntax,
        bulkdata_uri=lambda path: f"{url}{stored.path}/bulkdata/{path}",
        inline_limit=INLINE_BYTES,
    )
    try:
        builder.feed(stored.data_set)
        return builder.finish()
    except DecodeError:
        return builder.salvage()


async def gather(tasks: Iterable[Any]) -> list[Any]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(task: Any) -> Any:
        async with gate:
            return await task

    return await asyncio.gather(*map(one, tasks))


def uid_of(model: dict[str, Any]) -> str:
    return str(model["00080018"]["Value"][0])


@pytest.mark.parametrize("level", ["study", "series", "instance"])
@pytest.mark.parametrize(("kind", "method", "every"), EVERY)
async def test_metadata_is_that_of_the_stored_files(
    served: Served, kind: str, method: str, every: int, level: str
) -> None:
    archive, url = served.archives[kind], served.url(kind, method)
    wanted: dict[str, list[StoredInstance]] = {}
    for stored in can_be_had(archive, method):
        path = {"study": f"/studies/{stored.study}", "series": f"/studies/{stored.study}/series/{stored.series}"}
        wanted.setdefault(path.get(level, stored.path), []).append(stored)
    whole = {
        path: held
        for path, held in wanted.items()
        if len(held) == sum(other.startswith(f"{path}/") or other == path for other in archive.contents)
    }
    chosen = dict(list(whole.items())[:: every * (1 if level == "study" else 3)])
    answers = await gather(fetch(f"{url}{path}/metadata", JSON) for path in chosen)
    for (path, held), answer in zip(chosen.items(), answers, strict=True):
        assert (answer.status, answer.headers["Content-Type"]) == (200, JSON), path
        models = {uid_of(model): model for model in json.loads(answer.body)}
        expected = {stored.instance: read_model(stored, url) for stored in held}
        for stored in held:
            if stored.transfer_syntax in NEVER_LEAVE:  # the archive converts it and chooses VRs of its own
                assert models.pop(stored.instance).keys() == expected.pop(stored.instance).keys()
        assert models == expected


@pytest.mark.parametrize("path", [f"/studies/{MIXED_STUDY}", f"/studies/{MIXED_STUDY}/series/{MIXED_SERIES}"])
async def test_metadata_as_native_xml(served: Served, path: str) -> None:
    archive, url = served.archives["sandbox"], served.url("sandbox", "c-get")
    held = {it.path: it for it in archive.contents.values() if it.series == MIXED_SERIES}
    answer = await fetch(f"{url}{path}/metadata", XML)
    assert answer.status == 200
    documents = {part.location: part for part in answer.parts}
    assert documents.keys() == {f"{url}{path}/metadata" for path in held}
    for path, stored in held.items():
        part = documents[f"{url}{path}/metadata"]
        assert part.content_type == "application/dicom+xml"
        assert part.body == encode_native_xml(read_model(stored, url))
        assert etree.fromstring(part.body).tag.endswith("NativeDicomModel")
        single = await fetch(f"{url}{path}/metadata", "application/dicom+xml")
        assert (single.status, single.headers["Content-Type"]) == (200, "application/dicom+xml")
        assert single.body == part.body


def can_be_extracted(stored: StoredInstance, tag: str | None = None) -> bool:
    """Whether the codecs, which are compared with pydicom elsewhere, get it out of the archive's own file.

    The value at `tag`; all frames where that is None, or pixel data that comes as frames.
    """
    encapsulated = get_transfer_syntax(stored.transfer_syntax).encapsulated
    as_frames = tag is None or (encapsulated and int(tag, 16) in PIXEL_DATA)
    extractor: FrameExtractor | BulkdataExtractor = (
        FrameExtractor(stored.transfer_syntax) if as_frames else BulkdataExtractor(stored.transfer_syntax, tag or "")
    )
    try:
        list(extractor.feed(stored.data_set))
        list(extractor.finish())
    except DecodeError:
        return False
    return True


def is_image(stored: StoredInstance) -> bool:
    data_set = stored.read()
    return any(data_set.get(tag) and data_set[tag].value for tag in PIXEL_DATA) and "Rows" in data_set


@pytest.mark.parametrize(("kind", "method", "every"), [*EVERY, ("dcmany", "c-get", 2)])
async def test_frames_are_those_of_the_stored_files(served: Served, kind: str, method: str, every: int) -> None:
    archive, url = served.archives[kind], served.url(kind, method)
    images = [stored for stored in can_be_had(archive, method, every) if is_image(stored)]

    async def compare(stored: StoredInstance) -> str | None:
        """What is wrong, None if nothing."""
        syntax = get_transfer_syntax(stored.transfer_syntax)
        if syntax.video:
            answer = await fetch(f"{url}{stored.path}/frames/1", ANY_FORM)
            return None if answer.status == 406 else f"video {answer.status}"
        if not can_be_extracted(stored):
            return await expect_failure(stored)
        frames = expected_frames(stored.read())
        numbers = sorted({1, (len(frames) + 1) // 2, len(frames)})
        answer = await fetch(f"{url}{stored.path}/frames/{','.join(map(str, numbers))}", ANY_FORM)
        if answer.status != 200:
            return f"{answer.status} {answer.body[:200]!r}"
        found = [(part.location, part.body.removesuffix(b"\0")) for part in answer.parts]
        sent = syntax.uid if syntax.encapsulated else ExplicitVRLittleEndian
        assert {part.transfer_syntax for part in answer.parts} == {sent}
        expected = [(f"{url}{stored.path}/frames/{n}", frames[n - 1].removesuffix(b"\0")) for n in numbers]
        return None if found == expected else "differs"

    async def expect_failure(stored: StoredInstance) -> str | None:
        """Damaged in the archive: the client can tell, before or after the first frame."""
        last = int(stored.read().get("NumberOfFrames") or 1)
        try:
            answer = await fetch(f"{url}{stored.path}/frames/{last}", ANY_FORM)
        except aiohttp.ClientError:
            return None
        return None if answer.status in (404, 502) else f"{answer.status} although damaged"

    verdicts = await gather(compare(stored) for stored in images)
    wrong = {
        stored.path: (stored.transfer_syntax, verdict)
        for stored, verdict in zip(images, verdicts, strict=True)
        if verdict is not None
    }
    assert wrong == {}
    assert images


@pytest.mark.parametrize(("kind", "method"), [("orthanc", "c-get"), ("sandbox", "c-move")])
async def test_bulk_data_is_the_very_value(served: Served, kind: str, method: str) -> None:
    archive, url = served.archives[kind], served.url(kind, method)
    checked = 0
    for stored in can_be_had(archive, method, 4):
        syntax = get_transfer_syntax(stored.transfer_syntax)
        model, data_set = read_model(stored, url), stored.read()
        for tag, attribute in list(model.items()):
            if "BulkDataURI" not in attribute:
                continue
            if not can_be_extracted(stored, tag):  # damaged in the archive: the client can tell
                with pytest.raises(aiohttp.ClientError):
                    (await fetch(attribute["BulkDataURI"], ANY_FORM, raise_for_status=True))
                continue
            answer = await fetch(attribute["BulkDataURI"], ANY_FORM)
            assert answer.status == 200, attribute["BulkDataURI"]
            parts = answer.parts
            assert {part.location for part in parts} == {attribute["BulkDataURI"]}
            if int(tag, 16) in PIXEL_DATA and syntax.encapsulated:
                frames = expected_frames(data_set)
                assert syntax.video or len(parts) == len(frames)
                assert b"".join(part.body for part in parts).rstrip(b"\0") == b"".join(frames).rstrip(b"\0")
                assert {part.transfer_syntax for part in parts} == {syntax.uid}
            else:
                assert [part.transfer_syntax for part in parts] == [ExplicitVRLittleEndian]
                assert parts[0].content_type.startswith("application/octet-stream")
                if syntax.little_endian:
                    assert parts[0].body == bytes(data_set.get_item(int(tag, 16)).value)
            checked += 1
    assert checked > 10


async def test_what_is_not_there_or_cannot_be_given(served: Served) -> None:
    archive, url = served.archives["sandbox"], served.url("sandbox", "c-get")
    compressed = next(it for it in archive.contents.values() if it.transfer_syntax == "1.2.840.10008.1.2.4.90")
    native = next(it for it in archive.contents.values() if it.path.startswith(f"/studies/{MIXED_STUDY}"))
    video = next((it for it in archive.contents.values() if get_transfer_syntax(it.transfer_syntax).video), None)
    cases = {
        (f"{native.path}/frames/2", ANY_FORM): 404,
        (f"{native.path}/frames/0", ANY_FORM): 400,
        (f"{native.path}/frames/2,1", ANY_FORM): 400,
        (f"{native.path}/bulkdata/00091010", ANY_FORM): 404,
        (f"{native.path}/bulkdata/nonsense", ANY_FORM): 404,
        (f"{native.path}/bulkdata/0008114A/1/00081150", ANY_FORM): 404,
        (f"{compressed.path}/frames/1", OCTETS): 200,
        (f"{compressed.path}/frames/1", 'multipart/related; type="image/jpx"'): 406,
        (f"{compressed.path}/bulkdata/7FE00010", OCTETS): 200,
        (compressed.path, 'multipart/related; type="application/dicom"'): 200,
        (compressed.path, 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.102'): 406,
        (f"/studies/{native.study}", "application/dicom"): 406,
        (f"{native.path}/metadata", "image/jpeg"): 406,
    }
    if video is not None:
        cases[f"{video.path}/frames/1", ANY_FORM] = 406
    answers = {case: (await fetch(url + case[0], case[1])).status for case in cases}
    assert answers == cases


async def test_single_parts_and_head_requests(served: Served) -> None:
    archive, url = served.archives["sandbox"], served.url("sandbox", "c-move")
    native = next(it for it in archive.contents.values() if it.path.startswith(f"/studies/{MIXED_STUDY}"))
    file = await fetch(url + native.path, "application/dicom")
    assert file.status == 200 and file.headers["Content-Type"].startswith("application/dicom;")
    assert dcmread(BytesIO(file.body)).SOPInstanceUID == native.instance
    frame = await fetch(f"{url}{native.path}/frames/1", "application/octet-stream")
    assert frame.headers["Content-Type"] == f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
    assert frame.body == expected_frames(native.read())[0]
    for path, accept in [(native.path, None), (f"{native.path}/metadata", JSON), (f"{native.path}/frames/1", None)]:
        head = await fetch(url + path, accept, method="HEAD")
        whole = await fetch(url + path, accept)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["Content-Type"].split("boundary")[0] == whole.headers["Content-Type"].split("boundary")[0]
    assert (await fetch(f"{url}{native.path}.9", None, method="HEAD")).status == 404


async def test_bulk_data_uris_outlive_the_gateway(tmp_path: Path, samples: list[Path]) -> None:
    ct = next(path for path in samples if path.name == "CT_small.dcm")
    with SandboxArchive(tmp_path) as sandbox:
        stored = sandbox.index.add_file(ct)
        backend = {"main": BackendSettings(ae_title="SANDBOX", host=LOOPBACK, port=sandbox.port)}
        study = f"/studies/{stored.study_instance_uid}"
        with RunningGateway(make_settings(backend, find_free_port(), public_url="http://pacs.example/dicomweb")) as one:
            answer = await fetch(one.base_url("main") + study + "/metadata", JSON)
        uri = json.loads(answer.body)[0]["7FE00010"]["BulkDataURI"]
        assert uri.startswith("http://pacs.example/")
        with RunningGateway(make_settings(backend, find_free_port())) as other:
            path = uri.partition("/studies/")[2]
            again = await fetch(f"{other.base_url('main')}/studies/{path}", ANY_FORM)
    assert again.parts[0].body == dcmread(ct).PixelData


@pytest.mark.parametrize(("kind", "method"), [("orthanc", "c-get"), ("orthanc", "c-move"), ("dcmqrscp", "c-get")])
def test_the_python_client(served: Served, kind: str, method: str) -> None:
    """``dicomweb-client`` with its own ways of asking, ``type="*/*"`` among them."""
    archive = served.archives[kind]
    held = {it.instance: it for it in archive.contents.values() if it.series == MIXED_SERIES}
    client = DICOMwebClient(url=served.url(kind, method))
    uids = (MIXED_STUDY, MIXED_SERIES)
    stored_form = {"media_types": (("application/dicom", "*"),)}
    for found in (client.retrieve_study(MIXED_STUDY, **stored_form), client.retrieve_series(*uids, **stored_form)):
        assert {str(it.SOPInstanceUID) for it in found} == set(held)
    for models in (client.retrieve_study_metadata(MIXED_STUDY), client.retrieve_series_metadata(*uids)):
        assert {uid_of(model) for model in models} == set(held)
    stored = next(it for it in held.values() if it.transfer_syntax == ExplicitVRLittleEndian)
    one = client.retrieve_instance(*uids, stored.instance)
    assert one.PixelData == stored.read().PixelData
    model = client.retrieve_instance_metadata(*uids, stored.instance)
    assert uid_of(model) == stored.instance
    frames = client.retrieve_instance_frames(*uids, stored.instance, [1])
    assert frames == expected_frames(stored.read())
    bulk = client.retrieve_bulkdata(model["7FE00010"]["BulkDataURI"])
    assert b"".join(bulk) == stored.read().PixelData
