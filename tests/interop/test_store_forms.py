"""Every form of a store request to every archive; each instance fetched back through the gateway, byte for byte.

What is sent is written so that archives have no reason to write it otherwise: ascending elements of defined length, an
even number of bytes, no group lengths.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path

import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import dcmread

from gateway.sandbox.archive import SandboxArchive
from tests.interop.test_store import Outcome, Site, iter_pieces, open_site
from tests.support.elements import element, encapsulated
from tests.support.metadata_uploads import JSON, XML, Bulk, Upload, metadata_type, read_stored, split_off_bulk
from tests.support.peers import DcmqrscpPeer, OrthancPeer, Peer
from tests.support.uploads import EXPLICIT_VR_LE, JPEG_LS, STUDY, make_data_set, make_file, multipart, sop_uid
from tests.support.wado import fetch, split_file

pytestmark = pytest.mark.peer

ARCHIVES = ("sandbox", "orthanc", "dcmqrscp")
BITS_ALLOCATED = element(0x00280100, "US", b"\x10\0")
DESCRIPTION = b"".join(
    [
        element(0x00280002, "US", b"\1\0"),
        element(0x00280004, "CS", b"MONOCHROME2 "),
        element(0x00280008, "IS", b"2 "),
        element(0x00280010, "US", b"\x40\0"),
        element(0x00280011, "US", b"\x40\0"),
        BITS_ALLOCATED,
        element(0x00280101, "US", b"\x10\0"),
        element(0x00280102, "US", b"\x0f\0"),
        element(0x00280103, "US", b"\0\0"),
    ]
)
"""Image Pixel Description of two frames: what is sent for frames is no JPEG-LS, so nothing else says what they are."""


# --- what is sent ---


class Sent:
    """Three instances of one study: a small one, one of 1.5 MB, and one in JPEG-LS with two fragments."""

    def __init__(self, first: int) -> None:
        chance = random.Random(first)
        self.study = f"{STUDY}.{first}"
        self.fragments = [chance.randbytes(700), chance.randbytes(90_000)]
        native = element(0x7FE00010, "OW", bytes(64))
        compressed = make_data_set(first + 2, study=self.study).removesuffix(BITS_ALLOCATED + native) + DESCRIPTION
        self.data_sets = {
            first: make_data_set(first, study=self.study, pixels=chance.randbytes(64)),
            first + 1: make_data_set(first + 1, study=self.study, pixels=chance.randbytes(1_500_000)),
            first + 2: compressed + encapsulated(0x7FE00010, *self.fragments),
        }
        self.syntaxes = dict(zip(self.data_sets, (EXPLICIT_VR_LE, EXPLICIT_VR_LE, JPEG_LS), strict=True))

    @property
    def files(self) -> list[bytes]:
        return [make_file(data_set, self.syntaxes[number]) for number, data_set in self.data_sets.items()]

    @property
    def uids(self) -> set[str]:
        return set(map(sop_uid, self.data_sets))

    def describe(self) -> Upload:
        """The same as metadata and bulk data: the first inline, the other values in parts, a part for each frame."""
        whole = Upload([])
        for number, data_set in self.data_sets.items():
            read = read_stored(data_set)
            if self.syntaxes[number] == JPEG_LS:
                del read.PixelData
            upload = split_off_bulk(read, prefix=str(number))
            if self.syntaxes[number] == JPEG_LS:
                upload.models[0]["7FE00010"] = {"vr": "OB", "BulkDataURI": f"{number}/pixels"}
                upload.parts += [Bulk(f"{number}/pixels", frame, "image/jls") for frame in self.fragments]
            whole.models += upload.models
            whole.parts += upload.parts
        return whole

    def expect(self, *, described: bool) -> dict[str, tuple[str, bytes]]:
        """Transfer syntax and data set by SOP Instance UID."""
        expected = dict(self.data_sets)
        if described:  # with the offsets of the frames (PS3.5 §A.4)
            without = expected[max(expected)].removesuffix(encapsulated(0x7FE00010, *self.fragments))
            table = b"".join(offset.to_bytes(4, "little") for offset in (0, len(self.fragments[0]) + 8))
            expected[max(expected)] = without + encapsulated(0x7FE00010, *self.fragments, table=table)
        return {sop_uid(number): (self.syntaxes[number], data_set) for number, data_set in expected.items()}


# --- the forms of a request ---

Form = Callable[[Site, Sent], Awaitable[list[tuple[int, Outcome]]]]


async def post_sized(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    return [await site.post(multipart(sent.files))]


async def post_chunked(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    return [await site.post(iter_pieces(multipart(sent.files), 9_999), f"{site.url}/{sent.study}")]


async def post_singly(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    return [await site.post(file, content_type="application/dicom") for file in sent.files]


async def post_in_turn(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    """A study split over several requests."""
    return [await site.post(multipart([file]), f"{site.url}/{sent.study}") for file in sent.files]


async def post_side_by_side(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    """The same in requests at one time."""
    url = f"{site.url}/{sent.study}"
    return await asyncio.gather(*(site.post(multipart([file]), url) for file in sent.files))


async def post_encoded(site: Site, sent: Sent, coding: str, body: bytes) -> list[tuple[int, Outcome]]:
    headers = {"Content-Type": multipart_of_dicom(), "Content-Encoding": coding, "Expect": "100-continue"}
    async with site.client.post(site.url, data=BytesIO(body), headers=headers) as response:
        return [(response.status, Outcome(await response.json(content_type=None)))]


def multipart_of_dicom() -> str:
    return metadata_type("application/dicom")


async def post_gzip(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    return await post_encoded(site, sent, "gzip", gzip.compress(multipart(sent.files)))


async def post_deflate(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    return await post_encoded(site, sent, "deflate", zlib.compress(multipart(sent.files)))


async def post_by_dicomweb_client(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    client = DICOMwebClient(url=site.url.removesuffix("/studies"))
    data_sets = [dcmread(BytesIO(file)) for file in sent.files]
    answer = await asyncio.to_thread(client.store_instances, data_sets)
    return [(200, Outcome(answer.to_json_dict()))]


async def post_metadata(site: Site, sent: Sent, root: str, pieces: int = 0) -> list[tuple[int, Outcome]]:
    upload = sent.describe()
    body = upload.body(root, random.Random(1))
    data = iter_pieces(body, pieces) if pieces else body
    return [await site.post(data, f"{site.url}/{sent.study}", metadata_type(root))]


async def post_json(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    return await post_metadata(site, sent, JSON)


async def post_json_chunked(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    return await post_metadata(site, sent, JSON, 7_777)


async def post_xml(site: Site, sent: Sent) -> list[tuple[int, Outcome]]:
    return await post_metadata(site, sent, XML)


FORMS: tuple[Form, ...] = (
    post_sized,
    post_chunked,
    post_singly,
    post_in_turn,
    post_side_by_side,
    post_gzip,
    post_deflate,
    post_by_dicomweb_client,
    post_json,
    post_json_chunked,
    post_xml,
)
DESCRIBED = {post_json, post_json_chunked, post_xml}
CASES = [
    pytest.param(kind, form, id=f"{form.__name__.removeprefix('post_')}-{kind}")
    for form in FORMS
    for kind in ARCHIVES
    # dcmqrscp names files by the second: of instances that arrive side by side it acknowledges all and loses some
    if not (form is post_side_by_side and kind == "dcmqrscp")
]


# --- the archives ---


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Peer | SandboxArchive]]:
    folder: Path = tmp_path_factory.mktemp("stores")
    with ExitStack() as stack:
        yield {
            "sandbox": stack.enter_context(SandboxArchive(folder / "sandbox")),
            "orthanc": stack.enter_context(OrthancPeer(folder / "orthanc")),
            "dcmqrscp": stack.enter_context(DcmqrscpPeer(folder / "dcmqrscp", any_syntax=True)),
        }


async def fetch_back(site: Site, sent: Sent) -> dict[str, tuple[str, bytes]]:
    """Transfer syntax and data set of each instance of the study, as the archive gives them."""
    answer = await fetch(f"{site.url}/{sent.study}")
    assert answer.status == 200
    files = [part.body for part in answer.parts]
    return {str(dcmread(BytesIO(it), stop_before_pixels=True).SOPInstanceUID): split_file(it) for it in files}


@pytest.mark.parametrize(("kind", "form"), CASES)
async def test_what_is_stored_comes_back(stores: dict[str, Peer | SandboxArchive], kind: str, form: Form) -> None:
    archive = stores[kind]
    port = archive.port if isinstance(archive, SandboxArchive) else archive.dicom_port
    sent = Sent(10_000 + 10 * FORMS.index(form))
    async with open_site(archive.ae_title, port, retrieve="c-get") as site:
        answers = await form(site, sent)
        assert {status for status, _ in answers} == {200}
        assert set().union(*(outcome.stored for _, outcome in answers)) == sent.uids
        assert await fetch_back(site, sent) == sent.expect(described=form in DESCRIBED)
