"""Storage Commitment with archives nobody here wrote: Orthanc commits, dcmqrscp does not know the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydicom import dcmread

from gateway.app import run_gateway
from gateway.config import BackendSettings, CommitmentSettings, DimseSettings, GatewaySettings, HttpSettings
from gateway.sandbox.loads import write_ct_series
from tests.support.peers import LOOPBACK, DcmqrscpPeer, MoveDestination, OrthancPeer, Peer, find_free_port

pytestmark = pytest.mark.peer

CT = "1.2.840.10008.5.1.4.1.1.2"
MISSING = "1.2.826.0.1.99"
JSON = "application/dicom+json"
RESULT_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Client:
    """Talks to the commitment resource of a gateway."""

    session: aiohttp.ClientSession
    url: str

    async def post(self, uid: str, instances: list[str]) -> tuple[int, Any]:
        items = [
            {"00081150": {"vr": "UI", "Value": [CT]}, "00081155": {"vr": "UI", "Value": [one]}} for one in instances
        ]
        body = {"00081199": {"vr": "SQ", "Value": items}}
        async with self.session.post(f"{self.url}/{uid}", json=body, headers={"Content-Type": JSON}) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, uid: str) -> tuple[int, Any]:
        async with self.session.get(f"{self.url}/{uid}") as response:
            return response.status, await response.json(content_type=None)

    async def await_result(self, uid: str) -> Any:
        """Ask until the result is there."""
        async with asyncio.timeout(RESULT_LIMIT_S):
            while True:
                status, module = await self.get(uid)
                if status == 200:
                    return module
                assert status == 202, module
                await asyncio.sleep(0.1)


@asynccontextmanager
async def gateway_before(peer: Peer, port: int, **settings: Any) -> AsyncIterator[Client]:
    backend = BackendSettings(ae_title=peer.ae_title, host=LOOPBACK, port=peer.dicom_port)
    gateway_settings = GatewaySettings(
        http=HttpSettings(listen=f"{LOOPBACK}:0", shutdown_grace_s=0),
        dimse=DimseSettings(listen=f"{LOOPBACK}:{port}"),
        commitment=CommitmentSettings(**{"wait_s": 30, "same_association_s": 0.2} | settings),
        backends={"main": backend},
    )
    async with run_gateway(gateway_settings) as gateway, aiohttp.ClientSession() as session:
        yield Client(session, f"{gateway.url}/dicomweb/commitment-requests")


def list_uids(module: dict[str, Any], tag: str) -> list[str]:
    return [item["00081155"]["Value"][0] for item in module.get(tag, {}).get("Value", [])]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return write_ct_series(tmp_path / "series", 5, 64)


@pytest.fixture
def held(files: list[Path]) -> list[str]:
    return [str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in files]


async def test_orthanc_commits_to_what_it_holds(tmp_path: Path, files: list[Path], held: list[str]) -> None:
    port = find_free_port()
    with OrthancPeer(tmp_path / "orthanc", move_destinations=[MoveDestination("GATEWAY", port)]) as orthanc:
        orthanc.load(files)
        async with gateway_before(orthanc, port) as client:
            status, module = await client.post("1.2.3.1", held)
            assert status == 200
            assert sorted(list_uids(module, "00081199")) == sorted(held) and "00081198" not in module
            status, module = await client.post("1.2.3.2", [*held, MISSING])
            assert (status, list_uids(module, "00081198")) == (200, [MISSING])
            assert module["00081198"]["Value"][0]["00081197"]["Value"] == [0x0112]
            assert sorted(list_uids(module, "00081199")) == sorted(held)


async def test_a_restart_of_the_gateway_and_of_the_archive(tmp_path: Path, files: list[Path], held: list[str]) -> None:
    """Both go down after the request, Orthanc forgets it; in the end there is a result all the same."""
    port = find_free_port()
    settings = {"database": str(tmp_path / "commitments.sqlite"), "wait_s": 0, "repeat_after_s": 1}
    folder, destinations = tmp_path / "orthanc", [MoveDestination("GATEWAY", port)]
    orthanc = OrthancPeer(folder, move_destinations=destinations)
    with orthanc:
        orthanc.load(files)
        async with gateway_before(orthanc, port, **settings) as client:
            assert (await client.post("1.2.3.1", [*held, MISSING]))[0] in (200, 202)
    with OrthancPeer(folder, dicom_port=orthanc.dicom_port, move_destinations=destinations) as orthanc:
        async with gateway_before(orthanc, port, **settings) as client:
            module = await client.await_result("1.2.3.1")
            assert sorted(list_uids(module, "00081199")) == sorted(held)
            assert list_uids(module, "00081198") == [MISSING]
            assert (await client.post("1.2.3.1", held))[0] == 409


async def test_dcmqrscp_does_not_offer_it(tmp_path: Path) -> None:
    port = find_free_port()
    with DcmqrscpPeer(tmp_path / "dcmqrscp", move_destinations=[MoveDestination("GATEWAY", port)]) as dcmqrscp:
        async with gateway_before(dcmqrscp, port) as client:
            status, report = await client.post("1.2.3.1", [MISSING])
            assert (status, report["dimse"]["contextResult"]) == (501, 3)
            assert (await client.get("1.2.3.1"))[0] == 404
