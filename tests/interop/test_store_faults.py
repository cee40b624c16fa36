"""The archive, the gateway, the client or the line between them fails at 200 places of stores of several instances.

Whatever happens: no answer that reached a client calls an instance stored that the archive does not hold afterwards,
byte for byte (invariant 9 of the architecture). An answer that calls anything stored speaks of every instance sent.

Each place is a byte that passes between gateway and archive, one way or the other, drawn by a seeded generator. There
a relay stops the line, so that nothing moves while the fault is made. The gateway runs as a process of its own.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.sandbox.archive import SandboxArchive
from tests.support.archive_contents import list_contents
from tests.support.cutting_proxy import CuttingProxy, Damage, Harm, Way
from tests.support.gateway_process import GatewayProcess
from tests.support.peers import DcmqrscpPeer, OrthancPeer, Peer
from tests.support.raw_http import RawClient
from tests.support.uploads import STUDY, make_data_set, make_file, multipart, multipart_type, sop_uid

pytestmark = [pytest.mark.slow, pytest.mark.peer, pytest.mark.timeout(300)]

INSTANCES = 8
SIZES = (64, 20_000, 131_072, 300_000)
LEAST_ANSWERED = 600
"""Bytes that an archive sends at least while it acknowledges all instances of a request: 100 for each C-STORE-RSP."""

SENT_BEYOND = 400_000
"""How far a client that is to be killed goes on after the byte at which it is: more than the gateway may hold."""

LIMIT_S = 60

SIDE_BY_SIDE = {"dcmqrscp": 1, "sandbox": 3, "orthanc": 3}
"""Associations of one request; dcmqrscp loses instances that arrive at once, faults or not."""


@dataclass
class Claims:
    """What answers that arrived have called stored, and how many faults were made."""

    stored: set[str] = field(default_factory=set)
    faults: int = 0

    def note(self, answer: dict[str, Any], sent: set[str]) -> None:
        """Take in a response module; a status report (nothing was stored) has none of its sequences."""
        stored, failed = (_read_uids(answer, tag) for tag in ("00081199", "00081198"))
        assert not stored & failed
        assert stored | failed == sent or not stored
        self.stored |= stored


def _read_uids(answer: dict[str, Any], tag: str) -> set[str]:
    return {item["00081155"]["Value"][0] for item in answer.get(tag, {}).get("Value", [])}


# --- what is sent ---


def make_pixels(number: int) -> bytes:
    """Of instance `number`; different lengths, different bytes."""
    chance = random.Random(number)
    return chance.randbytes(chance.choice(SIZES))


def make_body(numbers: range) -> bytes:
    return multipart(make_file(make_data_set(number, pixels=make_pixels(number))) for number in numbers)


# --- the site ---


@dataclass
class Site:
    """An archive, a relay before it and a gateway process before that."""

    archive: Peer | SandboxArchive
    proxy: CuttingProxy
    gateway: GatewayProcess
    session: aiohttp.ClientSession

    async def post(self, body: bytes) -> dict[str, Any]:
        """Send a store and read the whole answer; one that does not arrive whole says nothing."""
        headers = {"Content-Type": multipart_type(), "Accept": "application/dicom+json"}
        try:
            async with self.session.post(f"{self.gateway.url}/studies", data=BytesIO(body), headers=headers) as answer:
                return dict(await answer.json(content_type=None))
        except aiohttp.ClientError:
            return {}

    def read_contents(self) -> dict[str, bytes]:
        """Data sets that the archive holds, by SOP Instance UID."""
        if isinstance(self.archive, SandboxArchive):
            found = self.archive.index.select({})
            return {it.sop_instance_uid: Path(it.path).read_bytes()[it.data_offset :] for it in found}
        return {it.instance: it.data_set for it in list_contents(self.archive).values()}


def make_archive(kind: str, folder: Path) -> Peer | SandboxArchive:
    match kind:
        case "sandbox":
            return SandboxArchive(folder)
        case "orthanc":
            return OrthancPeer(folder)
    return DcmqrscpPeer(folder, max_associations=64)


@asynccontextmanager
async def open_site(kind: str, folder: Path) -> AsyncIterator[Site]:
    with ExitStack() as stack:
        archive = stack.enter_context(make_archive(kind, folder / "archive"))
        port = archive.port if isinstance(archive, SandboxArchive) else archive.dicom_port
        async with CuttingProxy(port) as proxy, aiohttp.ClientSession() as session:
            settings = {"CONNECT_TIMEOUT_S": 2, "STORE_ASSOCIATIONS": SIDE_BY_SIDE[kind]}
            environment = {f"BACKENDS__MAIN__{name}": value for name, value in settings.items()}
            backend = f"{archive.ae_title}@127.0.0.1:{proxy.port}"
            gateway = stack.enter_context(GatewayProcess(backend, folder, **environment))
            yield Site(archive, proxy, gateway, session)


# --- the faults; the line stands still when they are made ---


async def kill_archive(site: Site) -> None:
    if isinstance(site.archive, SandboxArchive):
        site.archive.drop_associations()
        site.proxy.let_go()
        return
    site.archive.kill()
    site.proxy.let_go()
    await asyncio.to_thread(site.archive.start)


async def kill_gateway(site: Site) -> None:
    site.gateway.kill()
    site.proxy.cut()
    await asyncio.to_thread(site.gateway.start)


async def reset_line(site: Site) -> None:
    site.proxy.cut()


FAULTS: dict[str, Callable[[Site], Awaitable[None]]] = {
    "archive": kill_archive,
    "gateway": kill_gateway,
    "line": reset_line,
}


async def store_and_fail(site: Site, fault: Callable[[Site], Awaitable[None]], body: bytes) -> dict[str, Any]:
    """Store, make the fault when the relay stops the line, and give the answer, empty if none came."""
    posting = asyncio.create_task(site.post(body))
    stopped = asyncio.create_task(site.proxy.wait_for_harm(site.proxy.harms + 1))
    await asyncio.wait([posting, stopped], return_when=asyncio.FIRST_COMPLETED)
    if stopped.done():
        await fault(site)
    stopped.cancel()
    return await posting


async def store_and_leave(site: Site, body: bytes, place: int) -> None:
    """A client that is killed when the relay stops the line: RST, while the rest of the body is not sent."""
    stopped = site.proxy.wait_for_harm(site.proxy.harms + 1)
    async with RawClient(site.gateway.url) as client:
        fields = {"Content_Type": multipart_type(), "Content_Length": len(body)}
        await client.ask("/studies", method="POST", accept="application/dicom+json", **fields)
        await client.send(body[: place + SENT_BEYOND])
        await stopped
    site.proxy.let_go()


# --- 200 places ---

CAMPAIGNS = [
    ("dcmqrscp", "archive", 40),
    ("dcmqrscp", "gateway", 30),
    ("dcmqrscp", "client", 30),
    ("dcmqrscp", "line", 30),
    ("sandbox", "archive", 20),
    ("sandbox", "gateway", 5),
    ("sandbox", "client", 10),
    ("sandbox", "line", 5),
    ("orthanc", "archive", 4),
    ("orthanc", "gateway", 6),
    ("orthanc", "client", 10),
    ("orthanc", "line", 10),
]


@pytest.mark.parametrize(("kind", "victim", "places"), CAMPAIGNS)
async def test_nothing_is_called_stored_that_is_not(tmp_path: Path, kind: str, victim: str, places: int) -> None:
    chance = random.Random(f"{kind} {victim}")
    claims = Claims()
    run = 0
    async with open_site(kind, tmp_path) as site:
        while claims.faults < places:
            assert run < 3 * places + 10, "stores end before the fault, again and again"
            numbers = range(100 * run, 100 * run + INSTANCES)
            run += 1
            body = make_body(numbers)
            way = Way.OUT if victim == "client" else chance.choice([Way.OUT, Way.OUT, Way.BACK])
            place = chance.randrange(len(body) - 4_000 if way is Way.OUT else LEAST_ANSWERED)
            before = site.proxy.harms
            site.proxy.plan(Damage(Harm.PAUSE, way, place))
            async with asyncio.timeout(LIMIT_S):
                if victim == "client":
                    await store_and_leave(site, body, place)
                else:
                    claims.note(await store_and_fail(site, FAULTS[victim], body), {sop_uid(it) for it in numbers})
            claims.faults += site.proxy.harms > before
        site.proxy.plan(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(LIMIT_S):
                claims.note(await site.post(make_body(range(99_000, 99_002))), {sop_uid(99_000), sop_uid(99_001)})
        held = site.read_contents()
    assert {sop_uid(99_000), sop_uid(99_001)} <= claims.stored, "the gateway has not recovered"
    assert claims.stored <= set(held)
    for uid in claims.stored if victim == "archive" else held:
        number = int(uid.rpartition(".")[2])
        assert held[uid] == make_data_set(number, pixels=make_pixels(number)), f"{uid} of {STUDY} is not what was sent"
