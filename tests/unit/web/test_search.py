"""The Search handlers over HTTP, in front of an archive in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from gateway.config import EmptySearch, HttpSettings, SearchSettings
from gateway.errors import BadParameter, ConnectionLost, GatewayError, NotAcceptable
from gateway.services.contracts import SearchService
from gateway.services.search.plan import FUZZY_UNSUPPORTED
from gateway.services.search.service import MORE_RESULTS, ArchiveSearch
from gateway.tasks import running_tasks
from gateway.web import search
from gateway.web.backends import BackendServices
from gateway.web.response_writer import ResponseWriter
from gateway.web.search import SearchHandlers
from tests.support.fake_archive import Behaviour, FakeArchive, instance

PLAIN = {"Accept": "application/dicom+json", "Accept-Encoding": "identity"}
XML = 'multipart/related; type="application/dicom+xml"'
Connect = Callable[..., Awaitable[TestClient[web.Request, web.Application]]]


@dataclass
class Backend:
    """The part of `BackendServices` that the handlers use."""

    search: SearchService
    name: str = "main"
    is_default: bool = True
    http: HttpSettings = field(default_factory=HttpSettings)


def make_archive(**attributes: Any) -> FakeArchive:
    instances = [
        instance(f"1.{number}", f"2.{number}", f"3.{number}", PatientName=f"Doe^{number}") for number in (1, 2, 3)
    ]
    return FakeArchive(instances, **attributes)


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """A function that serves an archive and gives a client of it; errors become a header with their name."""
    clients = []

    @web.middleware
    async def name_errors(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        try:
            return await handler(request)
        except GatewayError as error:
            return web.Response(status=400, headers={"X-Error": type(error).__name__})

    async def start(archive: FakeArchive, **settings: Any) -> TestClient[web.Request, web.Application]:
        http = HttpSettings(**settings.pop("http", {}))
        service = ArchiveSearch(cast(Any, archive), SearchSettings(**settings))
        handlers = SearchHandlers(cast(BackendServices, Backend(service, http=http)))
        app = web.Application(middlewares=[name_errors])
        for root in ("/dicomweb", "/backends/main/dicomweb"):
            app.router.add_get(f"{root}/studies", handlers.search_for_studies)
            app.router.add_get(f"{root}/series", handlers.search_for_series)
            app.router.add_get(f"{root}/studies/{{study}}/series", handlers.search_for_series)
            app.router.add_get(f"{root}/studies/{{study}}/instances", handlers.search_for_instances)
            app.router.add_get(f"{root}/studies/{{study}}/series/{{series}}/instances", handlers.search_for_instances)
        client = TestClient(TestServer(app, handler_cancellation=True))
        await client.start_server()
        clients.append(client)
        return client

    yield start
    for client in clients:
        await client.close()
    assert running_tasks() == []


async def test_results_are_one_json_array(connect: Connect) -> None:
    client = await connect(make_archive())
    response = await client.get("/dicomweb/studies?PatientName=Doe*", headers={"Accept": "application/dicom+json"})
    assert response.status == 200 and response.headers["Content-Type"] == "application/dicom+json"
    results = json.loads(await response.read())
    assert [result["0020000D"]["Value"] for result in results] == [["1.1"], ["1.2"], ["1.3"]]
    base = str(client.make_url("/dicomweb"))
    assert results[0]["00081190"] == {"vr": "UR", "Value": [f"{base}/studies/1.1"]}


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("/studies/1.2/series", "/studies/1.2/series/2.2"),
        ("/studies/1.2/instances", "/studies/1.2/series/2.2/instances/3.2"),
        ("/studies/1.2/series/2.2/instances", "/studies/1.2/series/2.2/instances/3.2"),
        ("/series?SeriesInstanceUID=2.2", "/studies/1.2/series/2.2"),
    ],
)
@pytest.mark.parametrize("root", ["/dicomweb", "/backends/main/dicomweb"])
async def test_paths_name_what_is_searched(connect: Connect, root: str, path: str, url: str) -> None:
    client = await connect(make_archive())
    results = json.loads(await (await client.get(root + path)).read())
    assert [result["00081190"]["Value"][0] for result in results] == [str(client.make_url(root + url))]


async def test_results_as_xml_are_parts_of_a_multipart(connect: Connect) -> None:
    client = await connect(make_archive())
    response = await client.get("/dicomweb/studies", headers={"Accept": XML})
    assert response.status == 200 and response.headers["Content-Type"].startswith("multipart/related")
    body = await response.read()
    assert body.count(b"application/dicom+xml") == 3 and body.count(b"<NativeDicomModel") == 3


@pytest.mark.parametrize(
    ("accept", "empty", "status", "body"),
    [
        ("application/dicom+json", EmptySearch.EMPTY_ARRAY, 200, b"[]"),
        ("application/dicom+json", EmptySearch.NO_CONTENT, 204, b""),
        (XML, EmptySearch.EMPTY_ARRAY, 204, b""),
    ],
)
async def test_nothing_found(connect: Connect, accept: str, empty: EmptySearch, status: int, body: bytes) -> None:
    client = await connect(make_archive(), empty=empty)
    response = await client.get("/dicomweb/studies?PatientID=none&PatientName=x", headers={"Accept": accept})
    assert (response.status, await response.read()) == (status, body)


async def test_each_warning_is_a_header_field_naming_the_service(connect: Connect) -> None:
    client = await connect(make_archive())
    response = await client.get("/dicomweb/studies?limit=1&fuzzymatching=true")
    base = client.make_url("/dicomweb")
    assert response.headers.getall("Warning") == [
        f"299 {base}: {FUZZY_UNSUPPORTED}",
        f"299 {base}: {MORE_RESULTS}",
    ]


async def test_the_query_is_read_as_it_was_sent(connect: Connect) -> None:
    archive = make_archive()
    client = await connect(archive)
    path = URL(f"{client.make_url('/dicomweb/studies')}?StudyInstanceUID=1.1%5C1.3&PatientID=a+b%2Cc", encoded=True)
    response = await client.session.get(path)
    assert response.status == 200
    assert archive.asked[0]["0020000D"]["Value"] == ["1.1", "1.3"]
    assert archive.asked[0]["00100020"]["Value"] == ["a+b,c"]


@pytest.mark.parametrize(
    ("path", "accept", "error"),
    [
        ("/studies?StudyDate=x", "*/*", BadParameter),
        ("/studies/not-a-uid/series", "*/*", BadParameter),
        ("/studies", "image/png", NotAcceptable),
    ],
)
async def test_faults_of_the_client(connect: Connect, path: str, accept: str, error: type[GatewayError]) -> None:
    archive = make_archive()
    client = await connect(archive)
    response = await client.get(f"/dicomweb{path}", headers={"Accept": accept})
    assert response.headers["X-Error"] == error.__name__ and archive.asked == []


async def test_a_failure_before_the_first_result_is_still_an_error(connect: Connect) -> None:
    client = await connect(make_archive(behaviour=Behaviour(failure=ConnectionLost("FAKE", "gone"))))
    assert (await client.get("/dicomweb/studies")).headers["X-Error"] == "ConnectionLost"


async def test_a_failure_after_the_first_result_cuts_the_connection(connect: Connect) -> None:
    client = await connect(make_archive(behaviour=Behaviour(failure=ConnectionLost("FAKE", "gone"), fails_at=2)))
    with pytest.raises((ClientPayloadError, ClientConnectionError)):
        await (await client.get("/dicomweb/studies")).read()


async def test_the_first_result_is_on_the_wire_before_the_last_has_arrived(connect: Connect) -> None:
    gate = asyncio.Event()
    client = await connect(make_archive(behaviour=Behaviour(gate=gate, gate_at=2)))
    response = await client.get("/dicomweb/studies")
    start = await response.content.readany()
    assert b'"1.1"' in start and not gate.is_set()
    gate.set()
    assert len(json.loads(start + await response.read())) == 3


async def test_a_client_that_leaves_ends_the_search(connect: Connect) -> None:
    archive = make_archive(behaviour=Behaviour(gate=asyncio.Event(), gate_at=2))
    client = await connect(archive)
    response = await client.get("/dicomweb/studies")
    await response.content.readany()
    response.close()
    async with asyncio.timeout(5):
        await archive.left_early.wait()
    assert archive.cancelled == [0] and archive.open_finds == 0


async def test_what_is_known_whole_is_sent_with_its_length_and_is_the_same(connect: Connect) -> None:
    streamed, whole = [await connect(make_archive(behaviour=Behaviour(batch=batch))) for batch in (1, 100)]
    bodies = []
    for client, length in ((streamed, False), (whole, True)):
        response = await client.get("/dicomweb/studies", headers=PLAIN)
        assert response.headers["Content-Type"] == "application/dicom+json"
        assert ("Content-Length" in response.headers) is length
        bodies.append(json.loads((await response.read()).replace(str(client.port).encode(), b"80")))
    assert bodies[0] == bodies[1] and len(bodies[0]) == 3


async def test_what_arrived_together_leaves_together(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await connect(make_archive(behaviour=Behaviour(batch=100)))
    monkeypatch.setattr(search, "_ONE_WRITE", 0)
    written = []
    write = ResponseWriter.write

    async def note(self: ResponseWriter, data: bytes) -> None:
        written.append(data)
        await write(self, data)

    monkeypatch.setattr(ResponseWriter, "write", note)
    results = json.loads(await (await client.get("/dicomweb/studies")).read())
    assert len(results) == 3 and len(written) == 2 and written[1] == b"]"


@pytest.mark.parametrize(("count", "coding"), [(1, None), (9, "gzip")])
async def test_more_than_a_segment_is_compressed(connect: Connect, count: int, coding: str | None) -> None:
    archive = make_archive(behaviour=Behaviour(batch=100))
    archive.instances = [instance(f"1.{number}", f"2.{number}", "3", PatientName="Doe") for number in range(count)]
    client = await connect(archive)
    response = await client.get("/dicomweb/studies", headers={"Accept-Encoding": "gzip"})
    assert response.headers.get("Content-Encoding") == coding
    assert len(json.loads(await response.read())) == count
