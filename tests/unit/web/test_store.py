"""The Store handler over HTTP, in front of an archive in memory: status, headers, response module, limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from lxml import etree

from gateway.config import HttpSettings, StoreSettings
from gateway.dimse.archive import Archive
from gateway.errors import (
    AssociationTimeout,
    BackendError,
    ConnectFailed,
    ConnectionLost,
    NoAcceptedContext,
    PoolTimeout,
)
from gateway.resources import ResourcePath
from gateway.services.store.results import Failed, Stored, StoreResult, Unreadable
from gateway.services.store.service import StoreService
from gateway.tasks import running_tasks
from gateway.web.backends import BackendServices
from gateway.web.middleware import install
from gateway.web.retry_after import RetryAfter
from gateway.web.store import StoreHandlers, decide_status
from tests.support.cancellation import settle
from tests.support.fake_store import FakeStoreArchive
from tests.support.uploads import BOUNDARY, CT, STUDY, make_data_set, make_file, multipart, multipart_type, sop_uid

Client = TestClient[web.Request, web.Application]
Connect = Callable[..., Awaitable[Client]]
NATIVE = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"


@dataclass
class Backend:
    """The part of `BackendServices` that the handler uses."""

    store: StoreService
    name: str = "main"
    http: HttpSettings = field(default_factory=HttpSettings)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """A function that serves an archive as the gateway does, and gives a client of it."""
    clients: list[Client] = []

    async def start(archive: FakeStoreArchive, **settings: Any) -> Client:
        http = HttpSettings(**settings)
        service = StoreService(cast(Archive, archive), StoreSettings())
        handlers = StoreHandlers(cast(BackendServices, Backend(service, http=http)))
        app = web.Application()
        install(app, http, RetryAfter())
        for root in ("/dicomweb", "/backends/main/dicomweb"):
            app.router.add_post(f"{root}/studies", handlers.store_instances)
            app.router.add_post(f"{root}/studies/{{study}}", handlers.store_instances)
        client = TestClient(TestServer(app, handler_cancellation=True))
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
    assert running_tasks() == []


def instance(number: int, **attributes: Any) -> bytes:
    return make_file(make_data_set(number, **attributes))


async def post(
    client: Client,
    body: Any,
    path: str = "/dicomweb/studies",
    *,
    content_type: str | None = None,
    accept: str = "application/dicom+json",
) -> tuple[int, Any, bytes]:
    headers = {"Content-Type": content_type or multipart_type(), "Accept": accept}
    async with client.post(path, data=body, headers=headers) as response:
        return response.status, response.headers, await response.read()


# --- the answer ---


@pytest.mark.parametrize("root", ["/dicomweb", "/backends/main/dicomweb"])
@pytest.mark.parametrize("path", ["/studies", f"/studies/{STUDY}"])
async def test_the_module_in_json(connect: Connect, root: str, path: str) -> None:
    client = await connect(FakeStoreArchive())
    status, headers, body = await post(client, multipart([instance(1)]), root + path)
    study = str(client.make_url(f"{root}/studies/{STUDY}"))
    assert status == 200
    assert headers["Content-Type"] == "application/dicom+json"
    assert headers["Location"] == headers["Content-Location"] == study
    assert json.loads(body) == {
        "00081190": {"vr": "UR", "Value": [study]},
        "00081199": {
            "vr": "SQ",
            "Value": [
                {
                    "00081150": {"vr": "UI", "Value": [CT]},
                    "00081155": {"vr": "UI", "Value": [sop_uid(1)]},
                    "00081190": {"vr": "UR", "Value": [f"{study}/series/{STUDY}.1/instances/{sop_uid(1)}"]},
                }
            ],
        },
    }


@pytest.mark.parametrize("accept", ["application/dicom+xml", "application/dicom+json;q=0.5, application/dicom+xml"])
async def test_the_module_in_xml(connect: Connect, accept: str) -> None:
    statuses = {sop_uid(1): 0xB007, sop_uid(2): 0xA900}
    client = await connect(FakeStoreArchive(answer=statuses.__getitem__))
    status, headers, body = await post(client, multipart([instance(1), instance(2), b"x"]), accept=accept)
    assert status == 202 and headers["Content-Type"] == "application/dicom+xml"
    root = etree.fromstring(body)
    assert root.tag == f"{NATIVE}NativeDicomModel"
    texts = {}
    for value in root.iter(f"{NATIVE}Value"):
        attributes = reversed(list(value.iterancestors(f"{NATIVE}DicomAttribute")))
        texts["/".join(attribute.get("tag", "") for attribute in attributes)] = value.text
    study = str(client.make_url(f"/dicomweb/studies/{STUDY}"))
    assert texts == {
        "00081190": study,
        "00081198/00081150": CT,
        "00081198/00081155": sop_uid(2),
        "00081198/00081197": "43264",
        "00081199/00081150": CT,
        "00081199/00081155": sop_uid(1),
        "00081199/00081190": f"{study}/series/{STUDY}.1/instances/{sop_uid(1)}",
        "00081199/00081196": "45063",
        "0008119A/00081197": "49152",
    }


async def test_instances_of_several_studies_have_no_common_location(connect: Connect) -> None:
    client = await connect(FakeStoreArchive())
    status, headers, body = await post(client, multipart([instance(1), instance(2, study="1.2.3")]))
    assert status == 200 and json.loads(body)["00081190"] == {"vr": "UR"}
    assert "Location" not in headers and "Content-Location" not in headers


@pytest.mark.parametrize(
    "content_type", ["application/dicom", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"]
)
async def test_a_body_that_is_one_instance(connect: Connect, content_type: str) -> None:
    archive = FakeStoreArchive()
    content = make_file(make_data_set(1), None if ";" in content_type else "1.2.840.10008.1.2.1")
    status, _, _ = await post(await connect(archive), content, content_type=content_type)
    assert status == 200 and bytes(archive.attempts[0].data) == make_data_set(1)


async def test_a_chunked_body(connect: Connect) -> None:
    body = multipart([instance(1), instance(2)])

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 100):
            yield body[start : start + 100]

    archive = FakeStoreArchive()
    status, _, _ = await post(await connect(archive), pieces())
    assert status == 200
    assert [bytes(attempt.data) for attempt in archive.attempts] == [make_data_set(1), make_data_set(2)]


# --- status ---

STORED = Stored(ResourcePath("1.2", "1.3", "1.4"), CT)
WARNED = Stored(ResourcePath("1.2", "1.3", "1.5"), CT, 0xB000)


def failed(reason: int) -> Failed:
    return Failed(CT, "1.6", reason)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([STORED], 200),
        ([STORED, STORED], 200),
        ([WARNED], 202),
        ([STORED, WARNED], 202),
        ([STORED, failed(0xA700)], 202),
        ([STORED, Unreadable()], 202),
        ([Unreadable()], 400),
        ([Unreadable(), Unreadable(0xA700)], 400),
        ([failed(0x0124)], 403),
        ([failed(0x0124), failed(0x0124)], 403),
        ([failed(0x0122)], 409),
        ([failed(0xA900)], 409),
        ([failed(0xC122), failed(0x0124)], 409),
        ([failed(0xA700), failed(0x0110)], 409),
        ([failed(0xC000), Unreadable()], 409),
        ([failed(0xA700)], 503),
        ([failed(0xA700), failed(0xA7FF), failed(0x0213)], 503),
    ],
)
def test_the_status_of_results(results: list[StoreResult], status: int) -> None:
    assert decide_status(results) == status


async def test_an_archive_out_of_resources(connect: Connect) -> None:
    client = await connect(FakeStoreArchive(answer=lambda uid: 0xA700))
    status, headers, body = await post(client, multipart([instance(1)]))
    assert status == 503 and int(headers["Retry-After"]) > 0
    assert headers["Warning"] == f'299 {client.make_url("/dicomweb")} "A700: Out of memory"'
    assert json.loads(body)["00081198"]["Value"][0]["00081197"] == {"vr": "US", "Value": [0xA700]}


@pytest.mark.parametrize("reason", [0xA900, 0x0122])
async def test_failures_of_instances_carry_the_module(connect: Connect, reason: int) -> None:
    client = await connect(FakeStoreArchive(answer=lambda uid: reason))
    status, headers, body = await post(client, multipart([instance(1)]))
    assert status == 409 and "Location" not in headers
    assert json.loads(body)["00081198"]["Value"][0]["00081197"]["Value"] == [reason]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConnectFailed("FAKE", "refused"), 503),
        (PoolTimeout("FAKE", "busy"), 503),
        (AssociationTimeout("FAKE", "silent"), 504),
        (ConnectionLost("FAKE", "gone"), 502),
    ],
)
async def test_an_archive_out_of_reach_is_a_status_report_before_the_body_is_read(
    connect: Connect, error: BackendError, status: int
) -> None:
    def refuse(number: int, instance: Any) -> None:
        raise error

    sent = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield multipart([instance(1)], closed=False)
        await sent.wait()

    client = await connect(FakeStoreArchive(refuse=refuse))
    headers = {"Content-Type": multipart_type()}
    async with client.post("/dicomweb/studies", data=endless(), headers=headers) as response:
        assert response.status == status
        assert response.headers["Connection"] == "close"
        assert (await response.json())["dimse"] == {"peer": "FAKE"}
        assert ("Retry-After" in response.headers) is (status == 503)
    sent.set()


async def test_a_refused_class_is_no_failure_of_the_request(connect: Connect) -> None:
    def refuse(number: int, instance: Any) -> None:
        raise NoAcceptedContext("FAKE", CT, 3)

    client = await connect(FakeStoreArchive(refuse=refuse))
    status, _, body = await post(client, multipart([instance(1)]))
    assert status == 409
    assert json.loads(body)["00081198"]["Value"][0]["00081197"]["Value"] == [0x0122]


# --- what is wrong with the request ---


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        'multipart/related; type="image/jpeg"; boundary=x',
        f"multipart/form-data; boundary={BOUNDARY}",
        "rubbish",
    ],
)
async def test_other_media_types(connect: Connect, content_type: str) -> None:
    status, headers, body = await post(await connect(FakeStoreArchive()), b"x", content_type=content_type)
    assert status == 415 and "application/dicom" in headers["Accept-Post"]
    assert "application/dicom" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", multipart_type()),
        (b"no boundary anywhere", multipart_type()),
        (multipart([]), multipart_type()),
        (multipart([instance(1)], closed=False), multipart_type()),
        (f"--{BOUNDARY}\r\nno header\r\n\r\n".encode() + instance(1), multipart_type()),
        (multipart([instance(1)]), 'multipart/related; type="application/dicom"'),
        (multipart([instance(1)]), 'multipart/related; type="application/dicom"; boundary=other'),
        (b"", "application/dicom"),
        (b"garbage" * 100, "application/dicom"),
        (multipart([b"garbage" * 100]), multipart_type()),
    ],
)
async def test_malformed_bodies(connect: Connect, body: bytes, content_type: str) -> None:
    archive = FakeStoreArchive()
    status, _, _ = await post(await connect(archive), body, content_type=content_type)
    assert status == 400
    assert "stored" not in archive.outcomes


async def test_what_cannot_be_accepted_is_refused_before_anything_is_stored(connect: Connect) -> None:
    archive = FakeStoreArchive()
    client = await connect(archive)
    status, _, _ = await post(client, multipart([instance(1)]), accept="text/csv")
    assert status == 406
    status, _, _ = await post(client, multipart([instance(1)]), "/dicomweb/studies/not-a-uid")
    assert status == 400
    assert archive.attempts == []


async def test_the_study_of_the_path(connect: Connect) -> None:
    client = await connect(FakeStoreArchive())
    status, _, body = await post(client, multipart([instance(1)]), "/dicomweb/studies/1.2.3")
    assert status == 409
    assert json.loads(body)["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900]


@pytest.mark.parametrize("is_announced", [True, False])
async def test_a_body_over_the_limit(connect: Connect, is_announced: bool) -> None:
    body = multipart([instance(1, pixels=bytes(50_000))])

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    client = await connect(FakeStoreArchive(), max_body_bytes=10_000)
    status, headers, _ = await post(client, body if is_announced else pieces())
    assert status == 413 and headers["Connection"] == "close"


async def test_a_silent_client(connect: Connect) -> None:
    never = asyncio.Event()

    async def pieces(*beginning: bytes) -> AsyncIterator[bytes]:
        yield multipart(beginning, closed=False)[:-50]
        await never.wait()

    archive = FakeStoreArchive()
    client = await connect(archive, body_timeout_s=0.05)
    headers = {"Content-Type": multipart_type()}
    async with client.post("/dicomweb/studies", data=pieces(instance(1)), headers=headers) as response:
        assert response.status == 408 and response.headers["Connection"] == "close"
    async with client.post("/dicomweb/studies", data=pieces(instance(1), instance(2)), headers=headers) as response:
        assert response.status == 202 and response.headers["Connection"] == "close"
        module = await response.json(content_type=None)
        assert [item["00081155"]["Value"] for item in module["00081199"]["Value"]] == [[sop_uid(1)]]
        assert [item["00081197"]["Value"] for item in module["00081198"]["Value"]] == [[0xC000]]
    assert archive.outcomes == ["cut", "stored", "cut"] and archive.busy == 0
    never.set()


async def test_a_client_that_leaves(connect: Connect) -> None:
    archive = FakeStoreArchive()
    client = await connect(archive)
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    body = multipart([instance(1), instance(2)])[:-100]
    head = f"POST /dicomweb/studies HTTP/1.1\r\nHost: h\r\nContent-Type: {multipart_type()}\r\n"
    writer.write(f"{head}Content-Length: 9999\r\n\r\n".encode() + body)
    await archive.until(lambda: len(archive.attempts) == 2 and len(archive.attempts[1].data) > 0)
    assert archive.busy > 0
    writer.transport.abort()
    await archive.until(lambda: archive.outcomes == ["stored", "cut"] and archive.busy == 0)
    await settle(lambda: running_tasks() == [])
    assert (await post(client, multipart([instance(3)])))[0] == 200


async def test_a_defect_leaves_nothing_on_loan(connect: Connect) -> None:
    def interrupt(number: int, piece: Any) -> None:
        raise ZeroDivisionError

    archive = FakeStoreArchive(interrupt=interrupt)
    status, _, _ = await post(await connect(archive), multipart([instance(1)]))
    assert status == 500 and archive.busy == 0
