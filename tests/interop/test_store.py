"""Storing into archives: Orthanc, dcmqrscp and the sandbox; what they hold afterwards, and what breaks on the way.

What an archive holds is read without DIMSE. Orthanc and dcmqrscp write data sets anew, so theirs are compared with
what the same archive holds after DCMTK's dcmsend has stored the same files; the sandbox keeps every byte.
"""

from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from dicomweb_client.api import DICOMwebClient
from pydicom import DataElement, dcmread
from pynetdicom.dsutils import split_dataset

from gateway.app import Gateway, run_gateway
from gateway.codecs.head import HeadReader
from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE
from gateway.config import BackendSettings, DimseSettings, GatewaySettings, HttpSettings, StoreSettings
from gateway.errors import DecodeError
from gateway.sandbox.archive import SandboxArchive
from gateway.sandbox.behaviour import Behaviour, Disturbance, Fault, Moment
from gateway.tasks import running_tasks
from tests.support.archive_contents import list_contents
from tests.support.peers import LOOPBACK, DcmqrscpPeer, OrthancPeer, Peer, find_free_port
from tests.support.samples import sample_files
from tests.support.uploads import (
    JPEG_LS,
    MR,
    STUDY,
    make_data_set,
    make_file,
    multipart,
    multipart_type,
    sop_uid,
)

pytestmark = pytest.mark.peer

PRIVATE_CLASS = "1.2.826.0.1.3680043.8.498.99"
TRUNCATED = {"GH179A.dcm"}
"""Whose data set ends inside an element; dcmsend mends it."""


# --- the gateway and its answers ---


@dataclass
class Site:
    """A gateway over one archive, and a client of it."""

    gateway: Gateway
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return f"{self.gateway.url}/dicomweb/studies"

    async def post(self, body: Any, url: str = "", content_type: str = "") -> tuple[int, Outcome]:
        headers = {"Content-Type": content_type or multipart_type(), "Accept": "application/dicom+json"}
        body = BytesIO(body) if isinstance(body, bytes) else body
        async with self.client.post(url or self.url, data=body, headers=headers) as response:
            return response.status, Outcome(await response.json(content_type=None))

    async def check_clean(self) -> None:
        """Nothing is on loan, waited for or running, now or very soon."""
        pool = self.gateway.archives["main"].pool
        async with asyncio.timeout(10):
            while pool.busy_count or pool.waiting_count or pool.ending_count or running_tasks():
                await asyncio.sleep(0.01)


class Outcome:
    """A Store Instances Response Module, or a status report."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    @property
    def stored(self) -> set[str]:
        return {item["00081155"]["Value"][0] for item in self._items("00081199")}

    @property
    def failed(self) -> dict[str, int]:
        return {item["00081155"]["Value"][0]: item["00081197"]["Value"][0] for item in self._items("00081198")}

    @property
    def others(self) -> list[int]:
        return [item["00081197"]["Value"][0] for item in self._items("0008119A")]

    def _items(self, tag: str) -> list[dict[str, Any]]:
        return list(self.document.get(tag, {}).get("Value", []))


@asynccontextmanager
async def open_site(
    ae_title: str, port: int, limits: dict[str, dict[str, Any]] | None = None, **backend: Any
) -> AsyncIterator[Site]:
    limits = limits or {}
    settings = GatewaySettings(
        http=HttpSettings(listen=f"{LOOPBACK}:0", shutdown_grace_s=1, **limits.get("http", {})),
        store=StoreSettings(**limits.get("store", {})),
        dimse=DimseSettings(listen=None),
        backends={"main": BackendSettings(ae_title=ae_title, host=LOOPBACK, port=port, **backend)},
    )
    async with run_gateway(settings) as gateway, aiohttp.ClientSession() as client:
        site = Site(gateway, client)
        yield site
        await site.check_clean()


def instance(number: int, **attributes: Any) -> bytes:
    return make_file(make_data_set(number, **attributes))


def uids(numbers: Iterable[int]) -> set[str]:
    return {sop_uid(number) for number in numbers}


def held_by(sandbox: SandboxArchive) -> dict[str, bytes]:
    """The data sets a sandbox holds, by SOP Instance UID."""
    return {it.sop_instance_uid: Path(it.path).read_bytes()[it.data_offset :] for it in sandbox.index.select({})}


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxArchive]:
    with SandboxArchive(tmp_path / "sandbox") as archive:
        yield archive


# --- every sample ---


@cache
def samples() -> dict[str, Path]:
    """Sample files by SOP Instance UID, one for each; those without the four UIDs by their path."""
    found: dict[str, Path] = {}
    for path in sample_files():
        try:
            head = HeadReader(4_194_304).feed(path.read_bytes())
        except DecodeError:
            head = None
        found.setdefault(head.sop_instance_uid if head else str(path), path)
    return found


def read_data_set(path: Path) -> bytes:
    """The bytes after File Meta Information."""
    content = path.read_bytes()
    return content[split_dataset(path)[1] :] if content[128:132] == b"DICM" else content


def read_values(source: Path | bytes) -> list[tuple[int, Any]]:
    """The elements that archives keep: no group lengths, no Data Set Trailing Padding (PS3.5 §7.2, PS3.10 §7.2)."""
    data_set = dcmread(BytesIO(source) if isinstance(source, bytes) else source, force=True)
    is_big_endian = data_set.original_encoding[1] is False

    def read_value(element: DataElement) -> Any:
        if is_big_endian and element.VR == "OW":  # which pydicom leaves as it stands
            return b"".join(element.value[at : at + 2][::-1] for at in range(0, len(element.value), 2))
        return element.value

    return [(it.tag, read_value(it)) for it in data_set if it.tag.element and it.tag != 0xFFFCFFFC]


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp", "dcmany"])
async def test_samples_are_held_as_dcmsend_stores_them(tmp_path: Path, kind: str) -> None:
    def make_peer(folder: Path) -> Peer:
        return OrthancPeer(folder) if kind == "orthanc" else DcmqrscpPeer(folder, any_syntax=kind == "dcmany")

    with make_peer(tmp_path / "twin") as twin:
        report = twin.load(samples().values())
        expected = {it.instance: it.data_set for it in list_contents(twin).values()}
    # Orthanc waits half a minute for the rest of what its parser cannot end: it gets what dcmsend could store
    sent = {uid: path for uid, path in samples().items() if path in report.stored or kind != "orthanc"}
    with make_peer(tmp_path / "peer") as peer:
        async with open_site(peer.ae_title, peer.dicom_port) as site:
            status, outcome = await site.post(multipart(path.read_bytes() for path in sent.values()))
        held = {it.instance: it for it in list_contents(peer).values()}
    assert status == (200 if outcome.stored == set(sent) else 202)
    assert outcome.stored == set(held) and len(held) > 50
    missing = {uid for uid in sent if uid in expected and uid not in held}
    converted = {uid for uid in missing if kind == "dcmany" and outcome.failed[uid] == 0xC122}  # by dcmsend, to store
    assert {sent[uid].name for uid in missing - converted} <= TRUNCATED
    for uid, stored in held.items():
        data_set = read_data_set(sent[uid])
        transfer_syntax = HeadReader(4_194_304).feed(sent[uid].read_bytes()).transfer_syntax_uid
        may_change = kind != "orthanc" and transfer_syntax in (DEFLATED, EXPLICIT_VR_BE)
        assert stored.transfer_syntax in (transfer_syntax, *([EXPLICIT_VR_LE] if may_change else []))
        if stored.data_set not in (data_set, expected.get(uid)):
            assert read_values(stored.content) == read_values(sent[uid])


async def test_every_byte_of_every_sample_arrives(sandbox: SandboxArchive) -> None:
    async with open_site(sandbox.ae_title, sandbox.port) as site:
        status, outcome = await site.post(multipart(path.read_bytes() for path in samples().values()))
    held = held_by(sandbox)
    assert status == 202 and outcome.stored == set(held) and len(held) > 50
    assert set(outcome.failed.values()) <= {0xC000}
    assert {samples()[uid].name for uid in outcome.failed} >= TRUNCATED & {path.name for path in samples().values()}
    assert len(outcome.stored) + len(outcome.failed) + len(outcome.others) == len(samples())
    for uid, data_set in held.items():
        content = samples()[uid].read_bytes()
        if content[128:132] == b"DICM":
            content = content[split_dataset(samples()[uid])[1] :]
            assert len(data_set) == len(content) + len(content) % 2
        assert (content + b"\0" * (len(content) % 2)).endswith(data_set)


# --- the forms of a request ---


async def test_dicomweb_client_stores(orthanc: OrthancPeer, tmp_path: Path) -> None:
    data_sets = [dcmread(BytesIO(instance(number, study=f"{STUDY}.21"))) for number in (2101, 2102)]
    async with open_site(orthanc.ae_title, orthanc.dicom_port) as site:
        client = DICOMwebClient(url=site.url.removesuffix("/studies"))
        answers = [
            await asyncio.to_thread(client.store_instances, data_sets),
            await asyncio.to_thread(client.store_instances, data_sets, study_instance_uid=f"{STUDY}.21"),
        ]
    for answer in answers:
        assert {item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence} == uids((2101, 2102))
        assert "FailedSOPSequence" not in answer
    assert orthanc.instance_uids() >= uids((2101, 2102))


async def iter_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), size):
        yield body[start : start + size]


async def test_bodies_of_every_form_store_the_same(sandbox: SandboxArchive) -> None:
    async with open_site(sandbox.ae_title, sandbox.port) as site:
        forms: Sequence[tuple[Any, str, str]] = [
            (multipart([instance(1)]), site.url, ""),
            (iter_pieces(multipart([instance(2)]), 37), site.url, ""),
            (instance(3), site.url, "application/dicom"),
            (iter_pieces(instance(4), 100), f"{site.url}/{STUDY}", "application/dicom"),
            (b"preamble\r\n" + multipart([instance(5)]) + b"epilogue", f"{site.url}/{STUDY}", ""),
            (
                multipart([instance(6)]).replace(b"\r\n", b"\n"),
                f"{site.gateway.url}/backends/main/dicomweb/studies",
                "",
            ),
        ]
        for body, url, content_type in forms:
            status, _ = await site.post(body, url, content_type)
            assert status == 200
    assert held_by(sandbox) == {sop_uid(number): make_data_set(number) for number in range(1, 7)}


async def test_compressed_bodies_and_bodies_sent_on_invitation(sandbox: SandboxArchive) -> None:
    async with open_site(sandbox.ae_title, sandbox.port) as site:
        forms = {
            1: (
                gzip.compress(multipart([instance(1)])),
                {"Content-Encoding": "gzip", "Content-Type": multipart_type()},
            ),
            2: (zlib.compress(instance(2)), {"Content-Encoding": "deflate", "Content-Type": "application/dicom"}),
            3: (iter_pieces(gzip.compress(instance(3)), 50), {"Content-Encoding": "gzip"}),
            4: (instance(4), {"Expect": "100-continue"}),
            5: (iter_pieces(instance(5), 50), {"Expect": "100-continue"}),
        }
        for number, (body, headers) in forms.items():
            headers = {"Content-Type": "application/dicom"} | headers
            async with site.client.post(site.url, data=body, headers=headers) as response:
                outcome = Outcome(await response.json(content_type=None))
            assert (response.status, outcome.stored) == (200, {sop_uid(number)})
        headers = {"Content-Type": "application/dicom", "Content-Encoding": "br"}
        async with site.client.post(site.url, data=instance(9), headers=headers) as response:
            assert response.status == 415 and response.headers["Accept-Encoding"] == "gzip, deflate"
    assert held_by(sandbox) == {sop_uid(number): make_data_set(number) for number in range(1, 6)}


async def test_limits_of_compressed_bodies_and_of_parts(sandbox: SandboxArchive) -> None:
    bomb = gzip.compress(instance(1, pixels=bytes(30_000_000)))
    headers = {"Content-Type": "application/dicom", "Content-Encoding": "gzip"}
    limits = {"http": {"max_decoded_bytes": 1_000_000}, "store": {"max_instances": 2}}
    async with open_site(sandbox.ae_title, sandbox.port, limits=limits) as site:
        async with site.client.post(site.url, data=BytesIO(bomb), headers=headers) as response:
            assert response.status == 413
        status, outcome = await site.post(multipart(instance(number) for number in range(3)))
        assert (status, outcome.stored, outcome.others) == (202, uids([0, 1]), [0xA700])
    assert set(held_by(sandbox)) == uids([0, 1])


async def test_many_small_parts_over_four_associations(sandbox: SandboxArchive) -> None:
    numbers = range(500)
    body = multipart(instance(number) for number in numbers)
    async with open_site(sandbox.ae_title, sandbox.port, store_associations=4) as site:
        status, outcome = await site.post(body)
        assert 1 < site.gateway.archives["main"].pool.statistics.opened <= 4
    assert status == 200 and outcome.stored == uids(numbers)
    assert held_by(sandbox) == {sop_uid(number): make_data_set(number) for number in numbers}


@pytest.mark.parametrize("max_associations", [1, 3])
async def test_many_requests_over_few_associations(sandbox: SandboxArchive, max_associations: int) -> None:
    limits = {"max_associations": max_associations, "store_associations": 4}
    async with open_site(sandbox.ae_title, sandbox.port, **limits) as site:
        bodies = [multipart(instance(10 * request + number) for number in range(5)) for request in range(20)]
        answers = await asyncio.gather(*(site.post(body) for body in bodies))
    assert [status for status, _ in answers] == [200] * 20
    assert len(held_by(sandbox)) == 100


async def test_an_archive_with_room_for_few_associations(sandbox: SandboxArchive) -> None:
    sandbox.behaviour = Behaviour(max_associations=2)
    async with open_site(sandbox.ae_title, sandbox.port, store_associations=4) as site:
        status, outcome = await site.post(multipart(instance(number) for number in range(40)))
    assert status == 200 and outcome.stored == uids(range(40))


# --- what archives refuse ---


async def test_refused_classes_and_syntaxes(dcmqrscp: DcmqrscpPeer) -> None:
    parts = [
        instance(2201, sop_class=PRIVATE_CLASS),
        make_file(make_data_set(2202), JPEG_LS),
        instance(2203),
        instance(2204, sop_class=PRIVATE_CLASS),
        make_file(make_data_set(2205), JPEG_LS),
        instance(2206, study="1.2.3"),
        instance(2207)[:-30],
        b"garbage",
    ]
    async with open_site(dcmqrscp.ae_title, dcmqrscp.dicom_port) as site:
        status, outcome = await site.post(multipart(parts), f"{site.url}/{STUDY}")
        assert site.gateway.archives["main"].pool.statistics.opened <= 3
        refused, alone = await site.post(multipart(parts[:1]))
    assert status == 202 and outcome.stored == {sop_uid(2203)} and outcome.others == [0xC000]
    reasons = {2201: 0x0122, 2202: 0xC122, 2204: 0x0122, 2205: 0xC122, 2206: 0xA900, 2207: 0xC000}
    assert outcome.failed == {sop_uid(number): reason for number, reason in reasons.items()}
    assert (refused, alone.failed) == (409, {sop_uid(2201): 0x0122})


async def test_refused_syntaxes_are_changed_where_nothing_is_lost(dcmqrscp: DcmqrscpPeer) -> None:
    deflated = make_file(zlib.compress(make_data_set(2701), wbits=-15), "1.2.840.10008.1.2.1.99")
    async with open_site(dcmqrscp.ae_title, dcmqrscp.dicom_port) as site:
        status, outcome = await site.post(multipart([deflated, instance(2702)]))
    assert (status, outcome.stored) == (200, uids([2701, 2702]))
    held = {it.instance: it for it in list_contents(dcmqrscp).values()}
    assert held[sop_uid(2701)].transfer_syntax == "1.2.840.10008.1.2.1"
    assert read_values(held[sop_uid(2701)].content) == read_values(instance(2701))
    limits = {"store": {"reencode": False}}
    async with open_site(dcmqrscp.ae_title, dcmqrscp.dicom_port, limits=limits) as site:
        status, outcome = await site.post(multipart([deflated]))
    assert (status, outcome.failed) == (409, {sop_uid(2701): 0xC122})


@pytest.mark.parametrize(
    ("status", "expected"), [(0xB000, 202), (0xA700, 503), (0x0124, 403), (0xA900, 409), (0xC123, 409), (0x0111, 409)]
)
async def test_statuses_of_the_archive(sandbox: SandboxArchive, status: int, expected: int) -> None:
    sandbox.behaviour = Behaviour(store_status=status)
    async with open_site(sandbox.ae_title, sandbox.port) as site:
        answer, outcome = await site.post(multipart([instance(1)]))
        assert answer == expected
        assert outcome.failed == ({} if expected == 202 else {sop_uid(1): status})
        sandbox.behaviour = Behaviour()
        assert (await site.post(multipart([instance(1), instance(2, sop_class=MR)])))[0] == 200


# --- what breaks on the way ---


def at(fault: Fault, moment: Moment, count: int = 0) -> Behaviour:
    return Behaviour(disturbance=Disturbance(fault, moment, count))


@pytest.mark.parametrize(
    ("behaviour", "expected"),
    [
        (Behaviour(rejection=(1, 1, 7)), 502),
        (Behaviour(rejection=(2, 3, 1)), 503),
        (at(Fault.STALL, Moment.BEFORE_ASSOCIATION_ANSWER), 504),
        (at(Fault.DROP, Moment.BEFORE_ASSOCIATION_ANSWER), 502),
        (at(Fault.ABORT, Moment.BEFORE_STORE_RESPONSE), 502),
        (at(Fault.DROP, Moment.BEFORE_STORE_RESPONSE), 502),
        (at(Fault.STALL, Moment.BEFORE_STORE_RESPONSE), 504),
        (at(Fault.ABORT, Moment.WITHIN_STORE, 1_000_000), 502),
        (at(Fault.DROP, Moment.WITHIN_STORE, 1_000_000), 502),
        (at(Fault.STALL, Moment.WITHIN_STORE, 1_000_000), 504),
    ],
)
async def test_an_archive_that_fails(sandbox: SandboxArchive, behaviour: Behaviour, expected: int) -> None:
    limits = {"associate_timeout_s": 1.5, "store_timeout_s": 1.5, "silence_timeout_s": 1.5}
    large = instance(1, pixels=bytes(20_000_000))
    async with open_site(sandbox.ae_title, sandbox.port, **limits) as site:
        sandbox.behaviour = behaviour
        status, outcome = await site.post(multipart([large]))
        assert (status, outcome.document["status"]) == (expected, expected)
        await site.check_clean()
        if behaviour.disturbance is not None and behaviour.disturbance.moment is Moment.BEFORE_STORE_RESPONSE:
            # once set right it would store what it holds, had it not seen the abort before
            assert await asyncio.to_thread(sandbox.wait_for, lambda counters: not counters.stalls)
        sandbox.behaviour = Behaviour()
        assert (await site.post(multipart([instance(2)])))[0] == 200
    assert set(held_by(sandbox)) == uids([2])


async def test_an_archive_that_is_not_there() -> None:
    async with open_site("NOBODY", find_free_port()) as site:
        async with site.client.post(
            site.url, data=BytesIO(multipart([instance(1)])), headers={"Content-Type": multipart_type()}
        ) as response:
            assert response.status == 503 and int(response.headers["Retry-After"]) > 0


async def test_an_archive_killed_in_mid_store(tmp_path: Path) -> None:
    peer = DcmqrscpPeer(tmp_path / "peer")
    with peer:
        async with open_site(peer.ae_title, peer.dicom_port) as site:
            gate = asyncio.Event()

            async def parts() -> AsyncIterator[bytes]:
                body = multipart([instance(1), instance(2, pixels=bytes(3_000_000)), instance(3)])
                yield body[:2_000_000]
                await gate.wait()
                yield body[2_000_000:]

            running = asyncio.create_task(site.post(parts()))
            pool = site.gateway.archives["main"].pool
            async with asyncio.timeout(10):
                while not (pool.busy_count and any(peer.folder.joinpath("db").glob("CT_*"))):
                    await asyncio.sleep(0.01)
            peer.kill()
            gate.set()
            status, outcome = await running
            assert status == 202 and outcome.stored == uids([1])
            assert set(outcome.failed) == uids([2, 3])
            assert (await site.post(multipart([instance(4)])))[0] == 503
            await site.check_clean()
            peer.start()
            assert (await site.post(multipart([instance(2), instance(3)])))[0] == 200
        held = {it.instance for it in list_contents(peer).values()}
    assert held == uids([1, 2, 3])


async def test_an_archive_killed_anywhere_holds_what_the_answer_says(tmp_path: Path) -> None:
    chance = random.Random(11)
    peer = DcmqrscpPeer(tmp_path / "peer")
    claimed: set[str] = set()
    pixels = bytes(range(256)) * 500
    async with open_site(peer.ae_title, peer.dicom_port) as site:
        for run in range(12):
            peer.start()
            numbers = range(100 * run, 100 * run + 20)
            body = multipart(instance(number, pixels=pixels) for number in numbers)
            place = chance.randrange(len(body))

            async def pieces(body: bytes = body, place: int = place) -> AsyncIterator[bytes]:
                yield body[:place]
                peer.kill()
                yield body[place:]

            status, outcome = await site.post(pieces())
            assert status in (200, 202) or not outcome.stored
            assert not outcome.stored & set(outcome.failed)
            claimed |= outcome.stored
        await site.check_clean()
    held = {it.instance: it.data_set for it in list_contents(peer).values()}
    assert claimed <= set(held)
    for uid in claimed:
        assert held[uid] == make_data_set(int(uid.rpartition(".")[2]), pixels=pixels)


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
async def test_a_study_in_several_requests_and_instances_that_come_twice(
    request: pytest.FixtureRequest, kind: str
) -> None:
    peer: Peer = request.getfixturevalue(kind)
    first = {"orthanc": 2500, "dcmqrscp": 2600}[kind]
    study = f"{STUDY}.{first}"
    async with open_site(peer.ae_title, peer.dicom_port) as site:
        url = f"{site.url}/{study}"
        for number in range(first, first + 3):
            status, outcome = await site.post(multipart([instance(number, study=study)]), url)
            assert (status, outcome.stored) == (200, {sop_uid(number)})
        again = [instance(first, study=study)] * 2 + [instance(first, study=study, pixels=b"\1" * 64)]
        status, outcome = await site.post(multipart(again), url)
        assert (status, outcome.stored, outcome.failed) == (202, {sop_uid(first)}, {sop_uid(first): 0x0111})
    held = {it.instance: it.data_set for it in list_contents(peer).values()}
    for number in range(first, first + 3):
        assert read_values(make_file(held[sop_uid(number)])) == read_values(instance(number, study=study))


# --- clients that are killed ---


async def cut_at(site: Site, body: bytes, place: int, settled: Callable[[], bool]) -> None:
    """Send `body` up to `place`, wait until it is `settled` (asked in a thread), and cut the connection."""
    port = int(site.gateway.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection(LOOPBACK, port)
    head = f"POST /dicomweb/studies HTTP/1.1\r\nHost: h\r\nContent-Type: {multipart_type()}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:place])
    await writer.drain()
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(settled):
            await asyncio.sleep(0.001)
    writer.transport.abort()


def count_leases(site: Site) -> int:
    """How often an association was lent so far."""
    statistics = site.gateway.archives["main"].pool.statistics
    return statistics.opened + statistics.reused


async def test_clients_killed_anywhere_leave_nothing_half_stored(sandbox: SandboxArchive) -> None:
    chance = random.Random(7)
    pixels = bytes(range(256)) * 2_000
    async with open_site(sandbox.ae_title, sandbox.port, store_associations=3, max_associations=4) as site:
        for run in range(40):
            numbers = range(100 * run, 100 * run + 4)
            body = multipart(instance(number, pixels=pixels) for number in numbers)
            place = chance.randrange(len(body))
            before = count_leases(site) if place > 1_000 and chance.random() < 0.7 else -1
            await cut_at(site, body, place, lambda before=before: count_leases(site) > before)
        await site.check_clean()
        status, _ = await site.post(multipart([instance(99_999)]))
        assert status == 200
    held = held_by(sandbox)
    held.pop(sop_uid(99_999))
    assert held  # some were stored completely before the cut
    for uid, data_set in held.items():
        assert data_set == make_data_set(int(uid.rpartition(".")[2]), pixels=pixels)


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
async def test_a_truncated_instance_is_not_kept(request: pytest.FixtureRequest, kind: str) -> None:
    peer: Peer = request.getfixturevalue(kind)
    numbers = {"orthanc": (2301, 2302, 2303), "dcmqrscp": (2401, 2402, 2403)}[kind]
    body = multipart(instance(number, pixels=bytes(1_000_000)) for number in numbers)
    async with open_site(peer.ae_title, peer.dicom_port) as site:
        first = uids(numbers[:1])
        await cut_at(site, body, 1_600_000, lambda: first <= {it.instance for it in list_contents(peer).values()})
        await site.check_clean()
        assert site.gateway.archives["main"].pool.statistics.aborted == 1  # the second was under way
        status, outcome = await site.post(multipart([instance(numbers[2])]))
        assert (status, outcome.stored) == (200, {sop_uid(numbers[2])})
    held = {it.instance for it in list_contents(peer).values()}
    assert held & uids(numbers) == uids([numbers[0], numbers[2]])
