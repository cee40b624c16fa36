"""Metadata and bulk data stored into Orthanc, dcmqrscp and the sandbox: what they hold is what the samples were.

Each sample is taken apart with pydicom: its metadata as DICOM JSON or native XML, large values and every frame as bulk
parts, in any order. What an archive holds afterwards is read without DIMSE.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from dicomweb_client.api import DICOMwebClient
from lxml import etree
from pydicom import DataElement, Dataset, dcmread
from pydicom.encaps import generate_frames, parse_fragments
from pydicom.multival import MultiValue
from pydicom.uid import UID

from gateway.codecs.transfer_syntax import EXPLICIT_VR_BE, EXPLICIT_VR_LE, get_transfer_syntax
from gateway.sandbox.archive import SandboxArchive
from tests.interop.test_store import Site, count_leases, held_by, open_site
from tests.support.archive_contents import list_contents
from tests.support.gateway_process import GatewayProcess
from tests.support.metadata_uploads import JSON, XML, Bulk, Upload, make_body, metadata_type, read_stored
from tests.support.peers import LOOPBACK, DcmqrscpPeer, OrthancPeer, Peer, find_free_port, find_program
from tests.support.raw_http import RawClient
from tests.support.samples import sample_files
from tests.support.streaming_scp import StreamingArchive
from tests.support.synthetic_instance import FRAME_BYTES, SyntheticInstance
from tests.support.uploads import CT, STUDY, sop_uid

pytestmark = pytest.mark.peer

PIXEL_DATA = 0x7FE00010
THRESHOLD = 512
NOT_COMPARED = {0x00080005, PIXEL_DATA, 0xFFFCFFFC}
BROKEN = {  # what cannot be stored from what pydicom makes of it
    "bad_sequence.dcm",  # an invalid UID
    "chrGB2312.dcm",  # escape sequences left in its JSON
    "private_big_nested.dcm",  # NaN, where JSON has no number for it
    "truncated_pixeldata.dcm",
}
REFUSED = {0x0122, 0xC122}
"""Classes and syntaxes that an archive may refuse."""


# --- samples as metadata and bulk data ---


@dataclass(frozen=True)
class Sample:
    """A file taken apart."""

    path: Path
    data_set: Dataset
    transfer_syntax: str
    upload: Upload
    frames: tuple[bytes, ...]

    @property
    def uid(self) -> str:
        return str(self.data_set.SOPInstanceUID)

    def expected(self) -> Dataset:
        """What pydicom makes of the same model."""
        values = {part.location: part.data for part in self.upload.parts}
        return Dataset.from_json(self.upload.models[0], lambda _tag, _vr, uri: values.get(uri, b""))


def _take_apart(path: Path) -> Sample | None:
    """None for what pydicom cannot make a model or frames of, and for Big Endian, which the web does not have."""
    try:
        data_set = dcmread(path)
        syntax = str(data_set.file_meta.TransferSyntaxUID)
        prefix = hashlib.md5(str(path).encode(), usedforsecurity=False).hexdigest()
        parts: list[Bulk] = []

        def move(element: DataElement) -> str:
            location = f"{prefix}/{len(parts)}"
            if not isinstance(element.value, bytes):
                raise TypeError("numbers or text")
            parts.append(Bulk(location, element.value))
            return location

        pixels = data_set.get("PixelData")
        if pixels is not None:
            del data_set.PixelData
        model = _model_of(data_set, move, parts)
        model.pop("00020010", None)
        frames = () if pixels is None else _frames_of(data_set, pixels, syntax)
    except Exception:
        return None
    if syntax == EXPLICIT_VR_BE or not all(data_set.get(name) for name in _UIDS) or (pixels == b""):
        return None
    if pixels is not None:
        model["7FE00010"] = {"vr": "OW", "BulkDataURI": f"{prefix}/pixels"}
        parts += [Bulk(f"{prefix}/pixels", frame, _media_type_of(syntax)) for frame in frames]
    return Sample(path, data_set, syntax, Upload([model], parts), frames)


_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


def _model_of(data_set: Dataset, move: Any, parts: list[Bulk]) -> dict[str, Any]:
    try:
        return data_set.to_json_dict(THRESHOLD, move)
    except TypeError:  # a large value that is no bytes: all inline then
        parts.clear()
        return data_set.to_json_dict(10**9)


def _media_type_of(syntax: str) -> str:
    facts = get_transfer_syntax(syntax)
    if not facts.encapsulated:
        return "application/octet-stream"
    return f"{facts.media_type or 'application/octet-stream'}; transfer-syntax={syntax}"


def _frames_of(data_set: Dataset, pixels: bytes, syntax: str) -> tuple[bytes, ...]:
    if not UID(syntax).is_encapsulated:
        return (pixels,)
    count = int(data_set.get("NumberOfFrames", 1) or 1)
    if get_transfer_syntax(syntax).video:
        return (b"".join(generate_frames(pixels, number_of_frames=1)),)
    return tuple(generate_frames(pixels, number_of_frames=count))


@cache
def samples() -> dict[str, Sample]:
    """Samples by SOP Instance UID, one for each."""
    found: dict[str, Sample] = {}
    for path in sample_files():
        sample = _take_apart(path)
        if sample is not None:
            found.setdefault(sample.uid, sample)
    return found


# --- what is compared ---


def differences(expected: Dataset, stored: Dataset, root: str) -> list[str]:
    """Elements that are not in both with the same values."""
    one, other = name_elements(expected, root), name_elements(stored, root)
    found = [str(name) for name in one.keys() ^ other.keys()]
    for name in one.keys() & other.keys():
        if one[name].VR == "SQ" and other[name].VR == "SQ":
            items = list(zip(one[name].value, other[name].value, strict=False))
            found += [f"{name}/{it}" for pair in items for it in differences(*pair, root)]
            found += [str(name)] * (len(one[name].value) != len(other[name].value))
        elif not are_equal(one[name], other[name]):
            found.append(str(name))
    return found


def name_elements(data_set: Dataset, root: str) -> dict[Any, DataElement]:
    """Elements by their tags; by creator in place of the block for XML, which has no blocks."""
    named: dict[Any, DataElement] = {}
    for element in data_set:
        tag = element.tag
        if not tag.element or tag in NOT_COMPARED:
            continue
        if root == JSON or not tag.is_private:
            named[f"{int(tag):08X}"] = element
        elif tag.element > 0xFF:
            creator = data_set.get((tag.group, tag.element >> 8))
            name = str(creator.value) if creator is not None else f"UNKNOWN {tag.element >> 8:02X}"
            if name != "UNKNOWN 00":  # what stands where no block is, and no creator
                named[tag.group, name, tag.element & 0xFF] = element
    return named


def are_equal(expected: DataElement, stored: DataElement) -> bool:
    """Compare values; a decimal string has at most 16 characters, a name may lose carets at its end."""
    one, other = read_values(expected), read_values(stored)
    if len(one) != len(other):
        return False
    if expected.VR in ("DS", "FL", "FD"):
        return all(a == b or is_close(a, b) for a, b in zip(one, other, strict=True))
    return one == other


def is_close(a: Any, b: Any) -> bool:
    a, b = float(a), float(b)
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6)


def read_values(element: DataElement) -> list[Any]:
    """The values, those of text without padding."""
    if element.is_empty:
        return []
    if isinstance(element.value, bytes):
        return [element.value + b"\0" * (len(element.value) % 2)]
    values = list(element.value) if isinstance(element.value, MultiValue | list) else [element.value]
    if element.VR in ("DS", "FL", "FD", "IS", "US", "SS", "UL", "SL", "UV", "SV", "AT"):
        return values
    texts = [str(value).rstrip("^ " if element.VR == "PN" else " ") for value in values]
    return [] if texts == [""] else texts


def check_held(sample: Sample, stored: Dataset, syntax: str, root: str) -> None:
    """Compare what an archive holds with the sample."""
    is_native = not UID(sample.transfer_syntax).is_encapsulated
    assert syntax == (EXPLICIT_VR_LE if is_native or not sample.frames else sample.transfer_syntax), sample.path
    assert differences(sample.expected(), stored, root) == [], sample.path
    frames = [strip_boxes(frame) + b"\0" * (len(frame) % 2) for frame in sample.frames]
    if not frames:
        assert "PixelData" not in stored
    elif is_native:
        assert [stored.PixelData] == frames, sample.path
    else:
        assert list(iter_fragments(stored.PixelData)) == frames, sample.path


def strip_boxes(frame: bytes) -> bytes:
    """The codestream of a JP2 file, which one sample has in its pixel data."""
    return frame[frame.index(b"\xff\x4f\xff\x51") :] if frame[4:8] == b"jP  " else frame


def iter_fragments(pixel_data: bytes) -> Iterator[bytes]:
    """The fragments after the offset table."""
    for place in parse_fragments(pixel_data)[1][1:]:
        length = int.from_bytes(pixel_data[place + 4 : place + 8], "little")
        yield pixel_data[place + 8 : place + 8 + length]


# --- every sample ---


@contextmanager
def run_peer(kind: str, folder: Path) -> Iterator[Peer | SandboxArchive]:
    if kind == "sandbox":
        with SandboxArchive(folder / "sandbox") as sandbox:
            yield sandbox
    else:
        with OrthancPeer(folder) if kind == "orthanc" else DcmqrscpPeer(folder, any_syntax=True) as peer:
            yield peer


def read_held(archive: Peer | SandboxArchive) -> dict[str, tuple[Dataset, str]]:
    """Data sets and transfer syntaxes by SOP Instance UID."""
    if isinstance(archive, SandboxArchive):
        return {it.sop_instance_uid: (dcmread(it.path), it.transfer_syntax_uid) for it in archive.index.select({})}
    return {it.instance: (it.read(), it.transfer_syntax) for it in list_contents(archive).values()}


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp", "sandbox"])
async def test_samples_are_held_as_they_were(tmp_path: Path, kind: str) -> None:
    roots = {uid: (JSON, XML)[number % 2] for number, uid in enumerate(samples())}
    stored: set[str] = set()
    with run_peer(kind, tmp_path) as archive:
        port = archive.port if isinstance(archive, SandboxArchive) else archive.dicom_port
        async with open_site(archive.ae_title, port) as site:
            for number, (uid, sample) in enumerate(samples().items()):
                body = sample.upload.body(roots[uid], random.Random(number))
                status, outcome = await site.post(body, content_type=metadata_type(roots[uid]))
                assert status in (200, 400, 409), (sample.path, outcome.document)
                assert (status == 400) == (sample.path.name in BROKEN), (sample.path, outcome.document)
                assert status == 200 or set(outcome.failed.values()) <= REFUSED, sample.path
                stored |= outcome.stored
        held = read_held(archive)
    assert stored == set(held) and len(held) > (200 if kind == "sandbox" else 150)
    for uid, (data_set, syntax) in held.items():
        check_held(samples()[uid], data_set, syntax, roots[uid])


# --- a client in the field ---


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
async def test_what_dicomweb_client_retrieves_as_metadata_can_be_stored(tmp_path: Path, kind: str) -> None:
    """From one archive to another through JSON: metadata, then each value by its Bulkdata URI."""
    native = [it for it in samples().values() if it.frames and not UID(it.transfer_syntax).is_encapsulated][:12]
    with SandboxArchive(tmp_path / "source") as source, run_peer(kind, tmp_path / "peer") as target:
        assert not isinstance(target, SandboxArchive)
        for sample in native:
            source.index.add_file(sample.path)
        async with open_site(source.ae_title, source.port) as origin:
            client = DICOMwebClient(url=origin.url.removesuffix("/studies"))
            uploads = [await asyncio.to_thread(retrieve, client, sample) for sample in native]
        async with open_site(target.ae_title, target.dicom_port) as site:
            for upload in uploads:
                status, outcome = await site.post(upload.body(), content_type=metadata_type())
                assert status == 200, outcome.document
        held = read_held(target)
    for sample in native:
        stored, _ = held[sample.uid]
        assert stored.PixelData == sample.frames[0] + b"\0" * (len(sample.frames[0]) % 2)
        assert differences(sample.data_set, stored, JSON) == []


def retrieve(client: DICOMwebClient, sample: Sample) -> Upload:
    """What a client gets of an instance by its metadata."""
    series = (str(sample.data_set.StudyInstanceUID), str(sample.data_set.SeriesInstanceUID))
    model = client.retrieve_instance_metadata(*series, sample.uid)
    uris = list(iter_uris(model))
    values = [client.retrieve_bulkdata(uri) for uri in uris]
    return Upload([model], [Bulk(uri, b"".join(value)) for uri, value in zip(uris, values, strict=True)])


def iter_uris(model: dict[str, Any]) -> Iterator[str]:
    for attribute in model.values():
        if "BulkDataURI" in attribute:
            yield attribute["BulkDataURI"]
        if attribute["vr"] == "SQ":
            for item in attribute.get("Value", []):
                yield from iter_uris(item)


# --- what another toolkit writes ---

DCMTK = {JSON: ["dcm2json"], XML: ["dcm2xml", "--native-format", "--convert-to-utf8"]}


@pytest.mark.parametrize("root", [JSON, XML])
async def test_what_dcmtk_writes_can_be_stored(tmp_path: Path, root: str) -> None:
    """dcm2json: all values inline; dcm2xml: binary ones by a UUID. Numbers, names and private elements in their way."""
    native = [it for it in samples().values() if it.frames and not UID(it.transfer_syntax).is_encapsulated]
    # of a name with two component groups dcm2xml writes the second as the third too
    plain = [it for it in native if root == JSON or str(it.data_set.get("PatientName")).count("=") != 1]
    small = [it for it in plain if it.path.stat().st_size < 300_000][:40]
    stored: dict[str, Sample] = {}
    with SandboxArchive(tmp_path / "sandbox") as sandbox:
        async with open_site(sandbox.ae_title, sandbox.port) as site:
            for sample in small:
                command = [find_program(DCMTK[root][0]), *DCMTK[root][1:], str(sample.path)]
                written = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
                if written.returncode:
                    continue  # what DCMTK cannot write
                parts = list(iter_uuids(etree.fromstring(written.stdout), sample)) if root == XML else []
                body = make_body([(root, written.stdout)], parts)
                status, outcome = await site.post(body, content_type=metadata_type(root))
                assert status == 200, (sample.path, outcome.document)
                stored[sample.uid] = sample
        held = read_held(sandbox)
    assert set(held) == set(stored) and len(stored) > 20
    for uid, sample in stored.items():
        data_set, _ = held[uid]
        assert data_set.PixelData == sample.frames[0] + b"\0" * (len(sample.frames[0]) % 2), sample.path
        assert differences(sample.data_set, data_set, root) == [], sample.path


def iter_uuids(model: etree._Element, sample: Sample) -> Iterator[Bulk]:
    """The values that dcm2xml refers to, which are those of the data set itself; pixel data apart."""
    for attribute in model.iterchildren("{*}DicomAttribute"):
        tag = int(attribute.get("tag", ""), 16)
        for reference in attribute.iterchildren("{*}BulkData"):
            if tag == PIXEL_DATA:
                value = sample.frames[0]
            elif (creator := attribute.get("privateCreator")) is not None:
                value = sample.data_set.private_block(tag >> 16, creator)[tag & 0xFF].value
            else:
                value = sample.data_set[tag].value
            yield Bulk(reference.get("uuid", ""), value)


# --- cuts ---


def an_upload(first: int, count: int, size: int = 98_304) -> tuple[Upload, set[str]]:
    """Instances with native pixel data of `size` bytes, and their UIDs."""
    models = [a_model(number, size) for number in range(first, first + count)]
    parts = [Bulk(f"p{number}", random.Random(number).randbytes(size)) for number in range(first, first + count)]
    return Upload(models, parts), {sop_uid(number) for number in range(first, first + count)}


def a_model(number: int, size: int) -> dict[str, Any]:
    uids = {"00080016": CT, "00080018": sop_uid(number), "0020000D": STUDY, "0020000E": f"{STUDY}.1"}
    numbers = {"00280002": 1, "00280010": size // 128, "00280011": 64, "00280100": 16}
    model: dict[str, Any] = {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids.items()}
    model |= {tag: {"vr": "US", "Value": [value]} for tag, value in numbers.items()}
    return model | {"7FE00010": {"vr": "OW", "BulkDataURI": f"p{number}"}}


@pytest.mark.parametrize("count", [1, 3])
async def test_bodies_cut_anywhere_store_nothing(tmp_path: Path, count: int) -> None:
    chance = random.Random(count)
    with SandboxArchive(tmp_path / "sandbox") as sandbox:
        async with open_site(sandbox.ae_title, sandbox.port) as site:
            for run in range(25):
                root = (JSON, XML)[run % 2]
                body = an_upload(10 * run, count)[0].body(root)
                place = chance.choice([chance.randrange(len(body)), len(body) - chance.randrange(5, 200)])
                status, outcome = await site.post(body[:place], content_type=metadata_type(root))
                assert status == 400 and "detail" in outcome.document
            await site.check_clean()
            assert held_by(sandbox) == {}
            upload, uids = an_upload(999, count)
            assert (await site.post(upload.body(), content_type=metadata_type()))[0] == 200
        assert set(held_by(sandbox)) == uids


async def test_clients_killed_anywhere_store_nothing(tmp_path: Path) -> None:
    chance = random.Random(8)
    with SandboxArchive(tmp_path / "sandbox") as sandbox:
        async with open_site(sandbox.ae_title, sandbox.port) as site:
            for run in range(20):
                body = an_upload(10 * run, 1 + run % 2, 327_680)[0].body()
                place = chance.randrange(len(body) - 5)
                before = count_leases(site) if place > 200_000 and not run % 2 else -1
                await cut(site, body, place, lambda before=before: count_leases(site) > before)
            await site.check_clean()
        assert held_by(sandbox) == {}


async def cut(site: Site, body: bytes, place: int, settled: Callable[[], bool]) -> None:
    """Send `body` up to `place`, wait until `settled`, and cut the connection."""
    _, writer = await asyncio.open_connection(LOOPBACK, int(site.gateway.url.rpartition(":")[2]))
    head = f"POST /dicomweb/studies HTTP/1.1\r\nHost: h\r\nContent-Type: {metadata_type()}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:place])
    await writer.drain()
    async with asyncio.timeout(10):
        while not settled():
            await asyncio.sleep(0.001)
    writer.transport.abort()


async def test_an_archive_killed_anywhere_holds_what_the_answer_says(tmp_path: Path) -> None:
    chance = random.Random(13)
    peer = DcmqrscpPeer(tmp_path / "peer")
    claimed: set[str] = set()
    async with open_site(peer.ae_title, peer.dicom_port) as site:
        for run in range(8):
            peer.start()
            body = an_upload(100 * run, 1 if run % 2 else 20)[0].body()
            place = chance.randrange(len(body))

            async def pieces(body: bytes = body, place: int = place) -> AsyncIterator[bytes]:
                yield body[:place]
                peer.kill()
                yield body[place:]

            status, outcome = await site.post(pieces(), content_type=metadata_type())
            assert status in (200, 202) or not outcome.stored
            claimed |= outcome.stored
        await site.check_clean()
    held = {it.instance for it in list_contents(peer).values()}
    assert claimed <= held


# --- memory ---

MIB = 2**20


@pytest.mark.slow
@pytest.mark.parametrize(("size", "waits"), [(512 * MIB, False), (256 * MIB, True)])
async def test_large_bulk_data_is_not_held_in_memory(tmp_path: Path, size: int, waits: bool) -> None:
    """Alone it passes straight on; where another instance is to come, it waits on disk."""
    large = SyntheticInstance(size // FRAME_BYTES)
    head = read_stored(large.encode_head()[:-12])  # without the header of Pixel Data
    models = [head.to_json_dict() | {"7FE00010": {"vr": "OW", "BulkDataURI": "p1"}}]
    if waits:
        head.SOPInstanceUID = "1.2.3"
        models.append(head.to_json_dict())
    before, _, after = Upload(models, [Bulk("p1", b"@pixels@")]).body().partition(b"@pixels@")
    length = len(before) + size + len(after)
    with (
        StreamingArchive(large.frames, store_mb_per_s=200, move_port=find_free_port()) as archive,
        GatewayProcess(f"{archive.ae_title}@127.0.0.1:{archive.port}", tmp_path) as gateway,
    ):
        with urlopen(gateway.url.removesuffix("/dicomweb") + "/readyz") as ready:
            assert ready.status == 200
        with gateway.watch_memory() as watch:
            async with RawClient(gateway.url) as client:
                fields = {"Content_Type": metadata_type(), "Content_Length": length, "Connection": "close"}
                await client.ask("/studies", method="POST", accept=JSON, **fields)
                await client.send(before)
                await client.send_all(bytes(MIB) for _ in range(size // MIB))
                await client.send(after)
                taken = await client.take()
    print(f"\n{size // MIB} MiB, waiting {waits}: +{watch.growth_mib:.1f} MiB")
    # the archive takes what is as long as the large one, to the byte, and no other
    assert taken.status == (202 if waits else 200)
    assert watch.growth_mib < 16
