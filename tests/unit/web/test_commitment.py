"""Storage Commitment over HTTP: bodies, statuses, forms, and the WebSocket (PS3.18 §13)."""

from __future__ import annotations

import gc
import io
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from lxml import etree

from gateway.app import run_gateway
from gateway.codecs.dicom_xml import encode_native_xml
from gateway.config import BackendSettings, CommitmentSettings, DimseSettings, GatewaySettings, HttpSettings
from gateway.errors import DecodeError
from gateway.sandbox import Behaviour, CommitmentAnswer, SandboxArchive
from gateway.services.commitment.modules import Outcome, Reference, describe_outcomes, read_request
from gateway.web import commitment
from tests.unit.sandbox.conftest import CT, make_instance, save

JSON, XML = "application/dicom+json", "application/dicom+xml"
HELD, MISSING = "1.2.1.1.1", "1.2.99"


def ui(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def flat(*uids: str) -> dict[str, Any]:
    return {"00081199": {"vr": "SQ", "Value": [{"00081150": ui(CT), "00081155": ui(uid)} for uid in uids]}}


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway before a sandbox archive that holds one instance, and a client."""

    sandbox: SandboxArchive
    session: aiohttp.ClientSession
    url: str

    async def post(self, uid: str, **arguments: Any) -> aiohttp.ClientResponse:
        response = await self.session.post(f"{self.url}/commitment-requests/{uid}", **arguments)
        await response.read()
        return response

    async def get(self, uid: str, **headers: str) -> aiohttp.ClientResponse:
        response = await self.session.get(f"{self.url}/commitment-requests/{uid}", headers=headers)
        await response.read()
        return response


@asynccontextmanager
async def open_site(folder: Path, behaviour: Behaviour | None = None, **settings: Any) -> AsyncIterator[Site]:
    sandbox = SandboxArchive(folder / "archive", behaviour=behaviour)
    sandbox.index.add_file(save(make_instance(HELD), folder))
    with sandbox:
        gateway_settings = GatewaySettings(
            http=HttpSettings(listen="127.0.0.1:0", shutdown_grace_s=0),
            dimse=DimseSettings(listen="127.0.0.1:0"),
            commitment=CommitmentSettings(**{"same_association_s": 0.05, "wait_s": 10} | settings),
            backends={"main": BackendSettings(ae_title="SANDBOX", host="127.0.0.1", port=sandbox.port)},
        )
        async with run_gateway(gateway_settings) as gateway, aiohttp.ClientSession() as session:
            sandbox.add_move_destination("GATEWAY", "127.0.0.1", gateway.dimse_port)
            yield Site(sandbox, session, f"{gateway.url}/dicomweb")


async def test_request_and_result_in_json(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        response = await site.post("1.9", json=flat(HELD, MISSING), headers={"Content-Type": JSON})
        assert (response.status, response.content_type) == (200, JSON)
        expected = flat(HELD) | {
            "00081198": {
                "vr": "SQ",
                "Value": [{"00081150": ui(CT), "00081155": ui(MISSING), "00081197": {"vr": "US", "Value": [0x0112]}}],
            }
        }
        assert await response.json(content_type=JSON) == expected
        again = await site.get("1.9")
        assert again.status == 200 and await again.json(content_type=JSON) == expected
        assert again.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("accept", [XML, f'multipart/related; type="{XML}"'])
async def test_request_and_result_in_xml(tmp_path: Path, accept: str) -> None:
    async with open_site(tmp_path) as site:
        headers = {"Content-Type": XML, "Accept": accept}
        response = await site.post("1.9", data=encode_native_xml(flat(HELD)), headers=headers)
        assert response.status == 200, await response.text()
        body = await response.read()
        if "multipart" in accept:
            assert response.content_type == "multipart/related"
            body = body.partition(b"\r\n\r\n")[2].rpartition(b"\r\n--")[0]
        root = etree.fromstring(body)
        uids = root.xpath("//*[@tag='00081155']/*/text()")
        assert uids == [HELD] and not root.xpath("//*[@tag='00081198']")


async def test_a_multipart_of_several_modules(tmp_path: Path) -> None:
    import orjson

    parts = b"".join(
        b"--x\r\nContent-Type: application/dicom+json\r\n\r\n" + orjson.dumps(flat(uid)) + b"\r\n"
        for uid in (HELD, MISSING)
    )
    async with open_site(tmp_path) as site:
        headers = {"Content-Type": f'multipart/related; type="{JSON}"; boundary=x'}
        response = await site.post("1.9", data=parts + b"--x--\r\n", headers=headers)
        module = await response.json(content_type=JSON)
        assert (len(module["00081199"]["Value"]), len(module["00081198"]["Value"])) == (1, 1)


async def test_a_result_that_is_not_there_yet(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(commitment=CommitmentAnswer.NEVER), wait_s=0) as site:
        for response in (
            await site.post("1.9", json=flat(HELD), headers={"Content-Type": JSON}),
            await site.get("1.9"),
        ):
            assert response.status == 202 and int(response.headers["Retry-After"]) > 0
            assert await response.read() == b""
        assert (await site.post("1.9", json=flat(HELD), headers={"Content-Type": JSON})).status == 409
        assert (await site.get("1.8")).status == 404


async def test_the_archive_does_not_offer_it(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(refuse_commitment=True)) as site:
        assert (await site.post("1.9", json=flat(HELD), headers={"Content-Type": JSON})).status == 501


async def test_the_archive_refuses(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(commitment_status=0x0213)) as site:
        assert (await site.post("1.9", json=flat(HELD), headers={"Content-Type": JSON})).status == 503
        assert (await site.get("1.9")).status == 410


@pytest.mark.parametrize(
    ("uid", "body", "content_type", "status", "named"),
    [
        ("1.x", b"{}", JSON, 400, "transactionUID"),
        ("1.9", b"{}", JSON, 400, "00081199"),
        ("1.9", b"{", JSON, 400, "not JSON"),
        ("1.9", b"[]", JSON, 400, "no data set"),
        ("1.9", b"7", JSON, 400, "JSON object"),
        ("1.9", b"<x/>", XML, 400, "NativeDicomModel"),
        ("1.9", b"", "text/plain", 415, JSON),
        ("1.9", b"", "", 415, JSON),
        ("1.9", b"", 'multipart/related; type="image/png"; boundary=x', 415, JSON),
        ("1.9", b"", f'multipart/related; type="{JSON}"', 400, "no boundary"),
        ("1.9", b"--x\r\n\r\n{}", f'multipart/related; type="{JSON}"; boundary=x', 400, ""),
        ("1.9", b"x" * 2_000, JSON, 413, "1024"),
    ],
)
async def test_bad_requests_name_what_is_wrong(
    tmp_path: Path, uid: str, body: bytes, content_type: str, status: int, named: str
) -> None:
    async with open_site(tmp_path, max_body_bytes=1_024) as site:
        response = await site.post(uid, data=body, headers={"Content-Type": content_type})
        assert response.status == status, await response.text()
        assert named in await response.text()
        assert site.sandbox.counters.commitments == 0


@pytest.mark.parametrize(
    ("body", "content_type", "named"),
    [
        (b"[" + b"{}," * 1_000_000 + b"{}]", JSON, "2000000 values"),
        (b'{"00081199":[' + b"[]," * 1_000_000 + b"[]]}", JSON, "2000000 values"),
        (b"--x\r\n\r\n{}\r\n" * 1_001 + b"--x--", f'multipart/related; type="{JSON}"; boundary=x', "1000 parts"),
    ],
    ids=["objects", "arrays", "parts"],
)
async def test_a_body_of_more_than_a_request_can_have(
    tmp_path: Path, body: bytes, content_type: str, named: str
) -> None:
    async with open_site(tmp_path) as site:
        response = await site.post("1.9", data=io.BytesIO(body), headers={"Content-Type": content_type})
        assert response.status == 413 and named in await response.text()


async def test_as_many_parts_as_allowed(tmp_path: Path) -> None:
    import orjson

    part = b"--x\r\nContent-Type: application/dicom+json\r\n\r\n" + orjson.dumps(flat(HELD)) + b"\r\n"
    async with open_site(tmp_path) as site:
        headers = {"Content-Type": f'multipart/related; type="{JSON}"; boundary=x'}
        response = await site.post("1.9", data=part * 1_000 + b"--x--\r\n", headers=headers)
        assert response.status == 200 and await response.json(content_type=JSON) == flat(HELD)


async def test_documents_are_read_and_written_off_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []

    def read(module: dict[str, Any]) -> tuple[Reference, ...]:
        threads.append(threading.current_thread())
        return read_request(module)

    def describe(outcomes: Sequence[Outcome]) -> dict[str, Any]:
        threads.append(threading.current_thread())
        return describe_outcomes(outcomes)

    monkeypatch.setattr(commitment, "read_request", read)
    monkeypatch.setattr(commitment, "describe_outcomes", describe)
    async with open_site(tmp_path) as site:
        assert (await site.post("1.9", json=flat(HELD), headers={"Content-Type": JSON})).status == 200
        assert (await site.get("1.9")).status == 200
        async with site.session.ws_connect(f"{site.url}/commitment-requests/1.9") as socket:
            assert await socket.receive_json() == flat(HELD)
    assert len(threads) == 4 and threading.current_thread() not in threads


def test_reading_leaves_the_garbage_collector_as_it_was() -> None:
    def read(document: bytes) -> None:
        with suppress(DecodeError):
            commitment._read_json(document)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(read, [b"[{}]", b"["] * 200))
    assert gc.isenabled()
    gc.disable()
    try:
        read(b"[{}]")
        assert not gc.isenabled()
    finally:
        gc.enable()


async def test_a_websocket_gets_the_result(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(response_delay_s=0.3), wait_s=0) as site:
        assert (await site.post("1.9", json=flat(HELD), headers={"Content-Type": JSON})).status == 202
        async with site.session.ws_connect(f"{site.url}/commitment-requests/1.9") as socket:
            assert await socket.receive_json() == flat(HELD)
            assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE


async def test_a_websocket_that_is_not_to_be(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await site.session.ws_connect(f"{site.url}/commitment-requests/1.9")
        assert caught.value.status == 404
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await site.session.ws_connect(f"{site.url}/commitment-requests/1.9", origin="https://elsewhere.example")
        assert caught.value.status == 400


async def test_a_restart_loses_no_transaction(tmp_path: Path) -> None:
    database = str(tmp_path / "commitments.sqlite")
    async with open_site(tmp_path, Behaviour(commitment=CommitmentAnswer.NEVER), wait_s=0, database=database) as site:
        assert (await site.post("1.9", json=flat(HELD), headers={"Content-Type": JSON})).status == 202
    async with open_site(tmp_path, database=database, repeat_after_s=0.01) as site:
        assert (await site.get("1.9")).status == 202  # asks the archive again
        async with site.session.ws_connect(f"{site.url}/commitment-requests/1.9") as socket:
            assert await socket.receive_json() == flat(HELD)
        assert (await site.get("1.9")).status == 200
