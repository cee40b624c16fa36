"""What goes wrong behind the gateway, as the web client is told of it: status, Retry-After, Status Report.

Tables of condition and status, provoked by a sandbox archive or a scripted peer (PS3.18 §8.5, RFC 9110 §15.6;
PS3.8 Table 9-21 for rejections; PS3.7 Annex C and PS3.4 §C.4 for statuses of operations).
"""

from __future__ import annotations

import asyncio
import http.client
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gateway.dimse.commands import CommandField
from gateway.dimse.uids import STUDY_ROOT_FIND
from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour, Disturbance, Fault, Moment
from tests.support.conformance_site import JSON, Service, Site, open_service, open_site, run_small_archive
from tests.support.scripted_peer import PeerAssociation, Script, ScriptedPeer
from tests.support.small_archive import CT, CT_COUNT, CT_SERIES, CT_STUDY, ROOT, encode_file, make_instance
from tests.support.web_client import WebResponse

FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SERIES = f"/studies/{CT_STUDY}/series/{CT_SERIES}"


@pytest.fixture(scope="module")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxArchive]:
    """An archive of this module alone: what is stored while it misbehaves may stay there."""
    with run_small_archive(tmp_path_factory.mktemp("errors")) as archive:
        yield archive


def search(service: Service) -> WebResponse:
    return service.get("/studies")


def retrieve(service: Service) -> WebResponse:
    return service.get(CT, FILES)


def read_metadata(service: Service) -> WebResponse:
    return service.get(f"/studies/{CT_STUDY}/metadata")


def read_frames(service: Service) -> WebResponse:
    return service.get(f"{CT}/frames/1", "*/*")


def store(service: Service) -> WebResponse:
    body = encode_file(make_instance(f"{ROOT}.7.1.1"))
    return service.send("POST", "/studies", JSON, body=body, Content_Type="application/dicom")


TRANSACTIONS = [search, retrieve, read_metadata, read_frames, store]
Transaction = Callable[[Service], WebResponse]


def check(response: WebResponse, status: int) -> None:
    """A Status Report that says its status, names the archive's AE title and no host; Retry-After with 503."""
    assert response.status == status, response.body
    report = response.json
    assert report["status"] == status
    assert report["title"] and report["detail"]
    assert "127.0.0.1" not in response.body.decode()
    assert bool(response.header("Retry-After")) == (status == 503)


# --- before any operation ---

SHORT = dict.fromkeys(
    ("associate_timeout_s", "response_timeout_s", "retrieve_timeout_s", "store_timeout_s", "cancel_timeout_s"), 1.0
)
REJECTIONS = {  # result, source, reason → status
    (1, 1, 1): 502,
    (1, 1, 2): 502,
    (1, 1, 3): 502,
    (1, 1, 7): 502,
    (1, 2, 1): 502,
    (1, 2, 2): 502,
    (1, 3, 1): 503,
    (1, 3, 2): 503,
    (2, 1, 1): 503,
    (2, 1, 3): 503,
    (2, 2, 1): 503,
    (2, 3, 1): 503,
    (2, 3, 2): 503,
}


@pytest.mark.parametrize("transaction", [search, retrieve, store])
@pytest.mark.parametrize(("rejection", "status"), REJECTIONS.items())
def test_rejected_associations(
    archive: SandboxArchive, transaction: Transaction, rejection: tuple[int, int, int], status: int
) -> None:
    archive.behaviour = Behaviour(rejection=rejection)
    with open_site(archive) as site:
        response = transaction(site)
    check(response, status)
    assert [response.json["dimse"][name] for name in ("result", "source", "reason")] == list(rejection)
    assert response.json["dimse"]["peer"] == archive.ae_title


DISTURBANCES = {  # what happens → status
    Disturbance(Fault.STALL, Moment.BEFORE_ASSOCIATION_ANSWER): 504,
    Disturbance(Fault.DROP, Moment.BEFORE_ASSOCIATION_ANSWER): 502,
    Disturbance(Fault.ABORT, Moment.BEFORE_ASSOCIATION_ANSWER): 502,
    Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE): 504,
    Disturbance(Fault.DROP, Moment.BEFORE_FIRST_RESPONSE): 502,
    Disturbance(Fault.ABORT, Moment.BEFORE_FIRST_RESPONSE): 502,
}


@pytest.mark.parametrize("transaction", TRANSACTIONS)
@pytest.mark.parametrize(
    ("disturbance", "status"),
    [
        pytest.param(fault, status, id=f"{fault.fault.name}-{fault.moment.name}")
        for fault, status in DISTURBANCES.items()
    ],
)
def test_silence_aborts_and_lost_connections(
    archive: SandboxArchive, transaction: Transaction, disturbance: Disturbance, status: int
) -> None:
    if transaction is store and disturbance.moment is Moment.BEFORE_FIRST_RESPONSE:
        disturbance = Disturbance(disturbance.fault, Moment.BEFORE_STORE_RESPONSE)
    archive.behaviour = Behaviour(disturbance=disturbance)
    with open_site(archive, backend=SHORT) as site:
        check(transaction(site), status)
        archive.behaviour = Behaviour()
        assert search(site).status == 200  # it recovers by itself


@pytest.mark.parametrize("transaction", TRANSACTIONS)
def test_nobody_listens(transaction: Transaction) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with open_service(backend={"port": unused.getsockname()[1]}) as service:
            response = transaction(service)
    check(response, 503)
    assert "unreachable" in response.json["detail"]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose queue of connections is full, so that further ones get no answer."""
    with ExitStack() as closing:
        listening = closing.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            waiting = closing.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield listening.getsockname()[1]


@pytest.mark.parametrize("transaction", [search, store])
def test_a_connection_is_never_answered(black_hole: int, transaction: Transaction) -> None:
    with open_service(backend={"port": black_hole, "connect_timeout_s": 0.2}) as service:
        check(transaction(service), 503)


def test_a_host_that_has_no_address() -> None:
    with open_service(backend={"host": "archive.invalid", "port": 104}) as service:
        response = search(service)
    check(response, 503)
    assert "archive.invalid" not in response.body.decode()


@pytest.mark.parametrize("transaction", TRANSACTIONS)
def test_no_association_is_free(archive: SandboxArchive, transaction: Transaction) -> None:
    """The pool's wait limit; other requests hold what there is."""
    archive.behaviour = Behaviour(disturbance=Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE))
    with open_site(archive, backend={"max_associations": 1, "pool_timeout_s": 0.2}) as site:
        holding = asyncio.run_coroutine_threadsafe(site.running.gateway.archives["main"].echo(), site.running._loop)
        try:
            assert archive.wait_for(lambda counters: counters.stalls == 1)
            check(transaction(site), 503)
        finally:
            archive.behaviour = Behaviour()
            holding.result(10)


def test_the_archive_allows_no_more_associations(archive: SandboxArchive) -> None:
    archive.behaviour = Behaviour(max_associations=0)
    with open_site(archive) as site:
        check(search(site), 503)


def test_retry_after_grows_while_the_archive_refuses(archive: SandboxArchive) -> None:
    archive.behaviour = Behaviour(rejection=(2, 3, 2))
    with open_site(archive) as site:
        assert 5 <= int(search(site).header("Retry-After")) <= 30


@pytest.mark.parametrize(
    "switches",
    [{"rejection": (1, 1, 7)}, {"disturbance": Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE)}],
    ids=["502", "504"],
)
def test_only_codes_of_the_standard_by_configuration(archive: SandboxArchive, switches: dict[str, Any]) -> None:
    """Table 8.5-1 has neither 502 nor 504."""
    archive.behaviour = Behaviour(**switches)
    with open_site(archive, backend=SHORT, http={"strict_dicom_codes": True}) as site:
        check(search(site), 503)


# --- presentation contexts ---

CONTEXT_RESULTS = {1: 502, 2: 502, 3: 501, 4: 502}


@pytest.mark.parametrize(("result", "status"), CONTEXT_RESULTS.items())
async def test_the_query_service_is_refused(result: int, status: int) -> None:
    async def refuse(peer: PeerAssociation) -> None:
        await peer.accept(results={STUDY_ROOT_FIND: result})
        await peer.receive()

    check(await converse(refuse, search), status)


RETRIEVE_SERVICES = [  # switches → status of a retrieval
    ({"refuse_get": True}, 200),
    ({"refuse_move": True}, 200),
    ({"refuse_role": True}, 200),
    ({"refuse_get": True, "refuse_move": True}, 501),
    ({"refuse_role": True, "refuse_move": True}, 501),
]


@pytest.mark.parametrize(("switches", "status"), RETRIEVE_SERVICES, ids=str)
def test_retrieve_services_are_refused(archive: SandboxArchive, switches: dict[str, bool], status: int) -> None:
    archive.behaviour = Behaviour(**switches)
    with open_site(archive) as site:
        response = retrieve(site)
    assert response.status == status
    if status != 200:
        check(response, status)


# --- failure statuses of C-FIND ---

FIND_STATUSES = {
    0xA700: 503,
    0xA900: 502,
    0xC000: 502,
    0xC123: 502,
    0x0110: 502,
    0x0122: 501,
    0x0124: 403,
    0x0211: 501,
    0x0213: 503,
    0xFE00: 502,  # cancelled, but not by us
}


@pytest.fixture(scope="module")
def find_site(small_archive: SandboxArchive) -> Iterator[Site]:
    with open_site(small_archive) as site:
        yield site


@pytest.mark.parametrize(("dimse", "status"), FIND_STATUSES.items(), ids=lambda value: f"{value:04X}")
@pytest.mark.parametrize("transaction", [search, retrieve])
def test_find_statuses(find_site: Site, transaction: Transaction, dimse: int, status: int) -> None:
    with find_site.behaving(find_status=dimse):
        response = transaction(find_site)
    check(response, status)
    assert response.json["dimse"]["operation"] == "C-FIND-RQ"
    assert response.json["dimse"]["status"] == f"{dimse:04X}"


async def converse(script: Script, transaction: Transaction, **backend: Any) -> WebResponse:
    """One request to a gateway in front of a peer that follows `script` on each association."""
    async with ScriptedPeer(script) as peer:
        peer.read_after_script = False

        def run() -> WebResponse:
            with open_service(backend={"port": peer.port, **SHORT, "silence_timeout_s": 0.5, **backend}) as service:
                return transaction(service)

        return await asyncio.to_thread(run)


def answering(status: int, data: bytes | None = None, **fields: Any) -> Script:
    """Accept everything and answer each request with `status`."""

    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        while (message := await peer.receive()).command.command_field is not CommandField.C_CANCEL_RQ:
            await peer.respond(message, status, data, **fields)

    return script


@pytest.mark.parametrize(
    "comment", ["Too many matches", "result set exceeds limit exceeded", "maximum number of records"]
)
async def test_out_of_resources_because_of_the_size_of_the_result(comment: str) -> None:
    response = await converse(answering(0xA700, error_comment=comment), search)
    check(response, 413)
    assert response.json["dimse"]["errorComment"] == comment


@pytest.mark.parametrize(("offending", "status"), [((0x00100020,), 400), ((0x00080005,), 502), ((), 502)])
async def test_an_identifier_that_does_not_match(offending: tuple[int, ...], status: int) -> None:
    """A900 is the client's fault where the element is one of the client's keys."""
    script = answering(0xA900, offending_elements=offending)
    check(await converse(script, lambda service: service.get("/studies?PatientID=1")), status)


@pytest.mark.parametrize("data", [b"garbage", b"\x10\0\x10\0PN\xff\x7fA"])
async def test_an_answer_that_cannot_be_read(data: bytes) -> None:
    check(await converse(answering(0xFF00, data), search), 502)


@pytest.mark.parametrize(
    "garbage",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x04\0\0\0\0\x07\0\0\0\x03\x63\x03x", b"\x04\0\xff\xff\xff\xff", bytes(64)],
)
async def test_a_peer_that_breaks_the_protocol(garbage: bytes) -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()
        await peer.send_bytes(garbage)
        await peer.read_to_end()

    check(await converse(script, search), 502)


async def test_a_web_server_in_place_of_an_archive() -> None:
    async def script(peer: PeerAssociation) -> None:
        await peer.receive_request()
        await peer.send_bytes(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await peer.read_to_end()

    check(await converse(script, search), 502)


async def test_a_comment_is_cut_and_cleaned() -> None:
    """Text of the archive: no more than VR LO holds, no control characters, no markup."""
    script = answering(0xC000, error_comment="<b>bad</b>\r\nSet-Cookie: x\x1b[31m")
    response = await converse(script, lambda service: service.get("/studies", "text/html, */*;q=0.5"))
    assert response.status == 502
    assert b"<b>" not in response.body and b"\x1b" not in response.body
    assert response.header("Set-Cookie") == ""


def test_keys_that_the_archive_does_not_support_are_told(archive: SandboxArchive) -> None:
    """Pending status FF01: results and a Warning."""
    archive.behaviour = Behaviour(omit_optional_keys=True)
    with open_site(archive, search={"compute_counts": False}) as site:
        response = site.get("/studies?NumberOfStudyRelatedInstances=5")
    assert response.status == 200
    (warning,) = response.all_of("Warning")
    assert "attributes were not supported" in warning


# --- in the middle ---


def test_a_search_that_breaks_while_it_is_held(archive: SandboxArchive) -> None:
    """With a limit the page is complete before the status line leaves."""
    archive.behaviour = Behaviour(disturbance=Disturbance(Fault.ABORT, Moment.AFTER_RESPONSES, 1))
    with open_site(archive) as site:
        check(site.get("/studies?limit=3"), 502)


@pytest.mark.parametrize("fault", [Fault.ABORT, Fault.DROP])
def test_a_search_that_breaks_while_it_streams_is_cut(archive: SandboxArchive, fault: Fault) -> None:
    """No last chunk: the client can tell."""
    archive.behaviour = Behaviour(disturbance=Disturbance(fault, Moment.AFTER_RESPONSES, 2))
    with open_site(archive, search={"compute_counts": False}) as site:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            search(site)


@pytest.mark.parametrize("switches", [{}, {"refuse_get": True}], ids=["C-GET", "C-MOVE"])
def test_a_retrieval_that_stays_incomplete_is_cut(archive: SandboxArchive, switches: dict[str, bool]) -> None:
    """B000 after the first instance: no closing boundary and no last chunk."""
    archive.behaviour = Behaviour(failing_suboperations=frozenset({1}), **switches)
    with open_site(archive) as site:
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            site.get(SERIES, FILES)


@pytest.mark.parametrize("switches", [{}, {"refuse_get": True}, {"refuse_move": True}], ids=str)
def test_a_retrieval_of_nothing_but_failures(archive: SandboxArchive, switches: dict[str, bool]) -> None:
    """All sub-operations failed: known before the first byte."""
    archive.behaviour = Behaviour(failing_suboperations=frozenset(range(1, 9)), **switches)
    with open_site(archive) as site:
        response = site.get(SERIES, FILES)
    check(response, 503)
    assert response.json["dimse"]["status"] == "A702"


# --- failure statuses of C-GET and C-MOVE ---

RETRIEVE_STATUSES = {
    0xA701: 503,
    0xA702: 503,
    0xA801: 502,
    0xA900: 502,
    0xC000: 502,
    0xC123: 502,
    0x0110: 502,
    0x0112: 404,
    0x0122: 501,
    0x0124: 403,
    0x0211: 501,
    0x0213: 503,
    0xFE00: 502,
    0xAA00: 404,
    0xAA04: 400,
}


@pytest.fixture(scope="module")
def retrieve_sites(small_archive: SandboxArchive) -> Iterator[dict[str, Site]]:
    with ExitStack() as closing:
        yield {
            method: closing.enter_context(open_site(small_archive, backend={"retrieve": method}))
            for method in ("c-get", "c-move")
        }


@pytest.mark.parametrize("method", ["c-get", "c-move"])
@pytest.mark.parametrize(("dimse", "status"), RETRIEVE_STATUSES.items(), ids=lambda value: f"{value:04X}")
def test_retrieve_statuses(retrieve_sites: dict[str, Site], method: str, dimse: int, status: int) -> None:
    site = retrieve_sites[method]
    with site.behaving(retrieve_status=dimse):
        response = retrieve(site)
    check(response, status)
    assert response.json["dimse"]["status"] == f"{dimse:04X}"
    assert response.json["dimse"]["operation"] == f"{method.upper()}-RQ"


@pytest.mark.parametrize("method", ["c-get", "c-move"])
def test_success_without_instances_is_404(retrieve_sites: dict[str, Site], method: str) -> None:
    assert retrieve_sites[method].get("/studies/1.2.3", FILES).status == 404


@pytest.mark.parametrize("method", ["c-get", "c-move"])
def test_success_is_200(retrieve_sites: dict[str, Site], method: str) -> None:
    response = retrieve_sites[method].get(SERIES, FILES)
    assert (response.status, len(response.parts)) == (200, CT_COUNT)
