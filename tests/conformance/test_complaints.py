"""What users of other gateways, viewers and archives complained about: each complaint that applies is a test.

One row of ``COMPLAINTS`` for each: its number, what it teaches, and the test. ``NOT_HERE`` says why the others
have none; together they are complete.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, MRImageStorage

from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour, Disturbance, Fault, Moment
from tests.support.conformance_site import JSON, Service, Site, open_service, open_site, run_small_archive
from tests.support.elements import element
from tests.support.scripted_peer import PeerAssociation, ScriptedPeer, request_association
from tests.support.small_archive import (
    CT,
    CT_COUNT,
    CT_SERIES,
    CT_STUDY,
    FRAMES,
    IMPLICIT,
    JPEG_2000,
    LOOP,
    ROOT,
    encode_file,
    make_instance,
)
from tests.support.uploads import STUDY, make_data_set, make_file, multipart, multipart_type, sop_uid
from tests.support.web_client import WebResponse, ask

FILES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SERIES = f"/studies/{CT_STUDY}/series/{CT_SERIES}"
MEBIBYTE = 1_048_576

NOT_HERE = {
    5: "storage commitment (PS3.18 §13) is not built yet",
    6: "sending by DICOMweb to other servers is not built yet",
    25: "one retrieval for many frame requests comes with the cache; that 25 at once are served is in test_clients.py",
    28: "memory that is not given back is measured in tests/interop/test_memory.py",
    29: "delayed acknowledgements: socket options are tested in tests/unit/dimse/test_transport.py, figures are in "
    "benchmarks",
}


@dataclass(frozen=True)
class Case:
    """What a complaint is tried on: the archive with the small studies, and an empty folder."""

    archive: SandboxArchive
    folder: Path

    @contextmanager
    def site(self, backend: dict[str, Any] | None = None, **switches: Any) -> Iterator[Site]:
        """A gateway over the archive, which behaves as told."""
        self.archive.behaviour = Behaviour(**switches)
        with open_site(self.archive, backend=backend) as site:
            yield site

    @contextmanager
    def shelf(self, backend: dict[str, Any] | None = None, **switches: Any) -> Iterator[Site]:
        """A gateway over an empty archive."""
        with SandboxArchive(self.folder / "shelf", behaviour=Behaviour(**switches)) as shelf:
            with open_site(shelf, backend=backend) as site:
                yield site


def store(service: Service, *files: bytes) -> WebResponse:
    return service.send("POST", "/studies", JSON, body=multipart(files), Content_Type=multipart_type())


def load_of(service: Service) -> dict[str, int]:
    """The figures of the pool, as the status page has them."""
    (backend,) = ask(f"{service.running.gateway.url}/backends").json["backends"]
    load: dict[str, int] = backend["associations"]
    return load


def get_many(service: Service, path: str, accept: str, count: int) -> list[WebResponse]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda _: service.get(path, accept), range(count)))


# --- associations and the pool ---


def associations_are_reused_without_probing(case: Case) -> None:
    with case.site() as site:
        assert site.get("/studies").status == 200
        before = case.archive.counters
        for _ in range(5):
            assert site.get("/studies").status == 200
        after = case.archive.counters
        assert after.finds - before.finds == 5
        assert after.associations_total == before.associations_total
        assert (after.echoes, after.aborts) == (before.echoes, before.aborts)


def a_rejection_costs_no_permit(case: Case) -> None:
    with case.site({"max_associations": 1, "pool_timeout_s": 30}, rejection=(1, 1, 7)) as site:
        for _ in range(5):
            assert site.get("/studies").status == 502
        case.archive.behaviour = Behaviour()
        assert site.get("/studies").status == 200
        assert load_of(site)["busy"] == 0


def a_class_refused_once_is_refused_at_once(case: Case) -> None:
    with case.shelf(accepted_transfer_syntaxes=(ExplicitVRLittleEndian,)) as site:
        files = [encode_file(make_instance(f"{ROOT}.6.1.{n}"), JPEG2000Lossless) for n in range(1, 21)]
        response = store(site, *files)
        assert response.status == 409
        assert len(response.json["00081198"]["Value"]) == 20
        assert site.archive.counters.associations_total <= 2


def the_pool_shows_that_nothing_leaks(case: Case) -> None:
    with case.site({"max_associations": 2, "cancel_timeout_s": 1.0, "response_timeout_s": 1.0}) as site:
        for behaviour in (
            Behaviour(rejection=(1, 1, 1)),
            Behaviour(find_status=0xC000),
            Behaviour(disturbance=Disturbance(Fault.ABORT, Moment.BEFORE_FIRST_RESPONSE)),
            Behaviour(disturbance=Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE)),
            Behaviour(retrieve_status=0x0110),
            Behaviour(),
        ):
            case.archive.behaviour = behaviour
            site.get("/studies")
            site.get(CT, FILES)
        load = load_of(site)
        assert (load["busy"], load["waiting"]) == (0, 0)
        assert load["idle"] <= load["limit"] == 2
        assert case.archive.wait_for(lambda counters: counters.associations_open == load["idle"])
    assert case.archive.wait_for(lambda counters: counters.associations_open == 0)


def few_associations_are_enough_for_ever(case: Case) -> None:
    for switches in ({"refuse_move": True}, {"refuse_get": True}):
        with case.site({"max_associations": 1}, max_associations=1, **switches) as site:
            assert {site.get(CT, FILES).status for _ in range(20)} == {200}
            assert {response.status for response in get_many(site, CT, FILES, 8)} == {200}
        assert case.archive.wait_for(lambda counters: counters.associations_open == 0)


def instances_of_one_request_go_over_several_associations(case: Case) -> None:
    stalled = Disturbance(Fault.STALL, Moment.BEFORE_STORE_RESPONSE)
    with case.shelf({"store_associations": 4}, disturbance=stalled) as site, ThreadPoolExecutor(1) as thread:
        files = [make_file(make_data_set(number)) for number in range(1, 5)]
        answer = thread.submit(store, site, *files)
        assert site.archive.wait_for(lambda counters: counters.stalls >= 3)
        site.archive.behaviour = Behaviour()
        assert answer.result().status == 200


def classes_that_come_later_are_negotiated_later(case: Case) -> None:
    with case.shelf({"store_associations": 1}) as site:
        kinds = [
            (CTImageStorage, ExplicitVRLittleEndian),
            (MRImageStorage, ExplicitVRLittleEndian),
            (CTImageStorage, JPEG2000Lossless),
            ("1.2.840.10008.5.1.4.1.1.88.11", ExplicitVRLittleEndian),
        ]
        files = [
            encode_file(make_instance(f"{ROOT}.6.1.{number}", sop_class), syntax)
            for number, (sop_class, syntax) in enumerate(kinds, 1)
        ]
        response = store(site, *files)
        assert (response.status, len(response.json["00081199"]["Value"])) == (200, len(kinds))


def no_asynchronous_operations_are_offered(case: Case) -> None:
    received: list[bytes] = []

    async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(6)
        received.append(await reader.readexactly(struct.unpack(">xxI", head)[0]))
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(read_request, "127.0.0.1", 0)
        async with server:
            await asyncio.to_thread(search_at, server.sockets[0].getsockname()[1])

    asyncio.run(run())
    items = list(iter_items(received[0][68:]))
    (user_information,) = [value for kind, value in items if kind == 0x50]
    assert 0x53 not in [kind for kind, _ in iter_items(user_information)]


def search_at(port: int) -> None:
    with open_service(backend={"port": port}) as service:
        assert service.get("/studies").status == 502


def iter_items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Items of an A-ASSOCIATE-RQ (PS3.8 §9.3.2)."""
    position = 0
    while position < len(data):
        kind, length = struct.unpack_from(">BxH", data, position)
        yield kind, data[position + 4 : position + 4 + length]
        position += 4 + length


# --- how archives are asked ---


def study_root_is_used_for_everything(case: Case) -> None:
    offered: set[str] = set()

    async def note(peer: PeerAssociation) -> None:
        request = await peer.accept()
        offered.update(context.abstract_syntax for context in request.contexts)
        await peer.abort()

    async def run() -> None:
        async with ScriptedPeer(note) as peer:
            await asyncio.to_thread(ask_everything, peer.port)

    asyncio.run(run())
    assert "1.2.840.10008.5.1.4.1.2.2.1" in offered
    patient_root = "1.2.840.10008.5.1.4.1.2.1."
    assert not any(uid.startswith(patient_root) for uid in offered)
    with case.site() as site:  # an archive that wants a Patient ID below Patient Root gives everything
        assert site.get(f"/studies/{CT_STUDY}", FILES).status == 200


def ask_everything(port: int) -> None:
    with open_service(backend={"port": port}) as service:
        for path in ("/studies", CT, CT + "/metadata"):
            assert service.get(path, "*/*").status == 502


def an_archive_without_c_get_is_asked_by_c_move(case: Case) -> None:
    for switches in ({"refuse_get": True}, {"refuse_role": True}):
        moves = case.archive.counters.moves
        with case.site(**switches) as site:
            assert len(site.get(SERIES, FILES).parts) == CT_COUNT
        assert case.archive.counters.moves > moves


def the_move_originator_may_be_missing(case: Case) -> None:
    with case.site(refuse_get=True, omit_move_originator=True) as site:
        assert len(site.get(SERIES, FILES).parts) == CT_COUNT
        assert {len(response.parts) for response in get_many(site, SERIES, FILES, 3)} == {CT_COUNT}


def a_retrieval_that_is_always_pending_ends(case: Case) -> None:
    held = Disturbance(Fault.STALL, Moment.AFTER_SUBOPERATIONS, count=1)
    for switches in ({"refuse_get": True}, {"refuse_move": True}):
        with case.site({"operation_timeout_s": 1}, disturbance=held, **switches) as site:
            with begin(site, SERIES, FILES) as response:
                assert case.archive.wait_for(lambda counters: counters.stalls == 1)
                # from now on each answer comes well within the limit for one answer, and there are too many
                case.archive.behaviour = Behaviour(response_delay_s=0.7, **switches)
                with pytest.raises((http.client.HTTPException, ConnectionError)):
                    response.read()
            case.archive.behaviour = Behaviour(**switches)
            assert site.get(SERIES, FILES).status == 200


def associations_that_carry_nothing_do_no_harm(case: Case) -> None:
    ct = (CTImageStorage, (ExplicitVRLittleEndian,))

    async def open_and_leave(port: int) -> None:
        async with request_association(port, ct) as first, request_association(port, ct) as second:
            await first.release()
            await second.abort()
        async with request_association(port, ct):
            pass  # cut without a word

    with case.site(refuse_get=True) as site:
        port = site.running.gateway.dimse_port
        for _ in range(3):
            asyncio.run(open_and_leave(port))
            assert len(site.get(SERIES, FILES).parts) == CT_COUNT


def an_unknown_move_destination_is_explained(case: Case) -> None:
    with case.site({"move_destination": "STRANGER", "retrieve": "c-move"}) as site:
        response = site.get(CT, FILES)
        assert response.status == 502
        assert response.json["dimse"]["status"] == "A801"
        assert "destination" in response.json["detail"].lower()
    with case.site(rejection=(1, 1, 3)) as site:
        assert "calling AE title" in site.get(CT, FILES).json["detail"]


# --- search ---


def no_search_has_a_hidden_limit(case: Case) -> None:
    with SandboxArchive(case.folder / "many") as archive:
        for number in range(1, 251):
            data_set = make_data_set(number, study=f"{STUDY}.{number}")
            archive.index.add(data_set, CTImageStorage, sop_uid(number), ExplicitVRLittleEndian)
        with open_site(archive) as site:
            response = site.get("/studies")
            assert len(response.json) == 250
            assert response.all_of("Warning") == []
        with open_site(archive, search={"max_results": 200}) as site:
            response = site.get("/studies")
            assert len(response.json) == 200
            assert "additional results" in response.header("Warning")


def the_character_set_is_asked_for_and_has_a_default(case: Case) -> None:
    path = f"/studies?StudyInstanceUID={CT_STUDY}"
    with case.site(omit_character_set=True) as site:  # it is in answers only if asked for
        assert "Müller^Anna" in site.get(path).body.decode()
    with case.site({"default_character_set": "ISO_IR 100"}, latin1_answers=True) as site:
        assert "Müller^Anna" in site.get(path).body.decode()


def archives_are_addressed_by_name(case: Case) -> None:
    with SandboxArchive(case.folder / "second", ae_title="SECOND") as second:
        second.index.add(make_data_set(1), CTImageStorage, sop_uid(1), ExplicitVRLittleEndian)
        backends = {"second": {"ae_title": "SECOND", "host": second.host, "port": second.port}}
        with open_site(case.archive, more_backends=backends) as site:
            url = f"{site.running.gateway.url}/backends/second/dicomweb"
            (study,) = ask(f"{url}/studies").json
            assert study["00081190"]["Value"] == [f"{url}/studies/{STUDY}"]
            assert ask(f"{url}{CT}").status == 404
            assert STUDY not in site.get("/studies").body.decode()
            assert ask(f"{site.running.gateway.url}/backends/main/dicomweb{CT}").status == 200


# --- retrieve ---


def each_frame_is_its_own(case: Case) -> None:
    with case.site() as site:
        bodies = [site.get(f"{LOOP}/frames/{n}", "*/*").parts[0].body for n in range(1, FRAMES + 1)]
        assert bodies == [bytes([number]) * 64 for number in range(1, FRAMES + 1)]
        (model,) = site.get(f"{LOOP}/metadata").json
        assert model["00280008"]["Value"] == [FRAMES]


def metadata_have_what_a_search_has_not(case: Case) -> None:
    with case.site() as site:
        (found,) = site.get(f"{SERIES}/instances?InstanceNumber=1").json
        (model,) = site.get(f"{CT}/metadata").json
    assert set(model) - set(found) >= {"00080008", "00280004", "00280103", "00290010"}
    assert "BulkDataURI" in model["7FE00010"]
    assert "InlineBinary" not in json.dumps(model["7FE00010"])


def series_metadata_move_the_series_only(case: Case) -> None:
    with case.site() as site:
        before = case.archive.counters.suboperations
        response = site.get(f"{SERIES}/metadata", JSON, Accept_Encoding="gzip")
        assert case.archive.counters.suboperations - before == CT_COUNT
        assert len(json.loads(gzip.decompress(response.body))) == CT_COUNT


def metadata_begin_before_the_last_instance_is_there(case: Case) -> None:
    stalled = Disturbance(Fault.STALL, Moment.AFTER_SUBOPERATIONS, count=1)
    with case.site(disturbance=stalled) as site:
        with begin(site, f"{SERIES}/metadata") as response:
            beginning = b""
            while not beginning.endswith(b"}}"):
                piece = response.read1(65_536)
                assert piece
                beginning += piece
            assert case.archive.wait_for(lambda counters: counters.stalls == 1)
            case.archive.behaviour = Behaviour()
            assert len(json.loads(beginning + response.read())) == CT_COUNT


@contextmanager
def begin(site: Site, path: str, accept: str = JSON) -> Iterator[http.client.HTTPResponse]:
    """A response whose body is still to be read."""
    host, _, port = site.url.split("/")[2].rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("GET", f"/dicomweb{path}", headers={"Accept": accept})
        response = connection.getresponse()
        assert response.status == 200
        yield response
    finally:
        connection.close()


def the_accept_header_is_read_liberally(case: Case) -> None:
    with case.site() as site:
        for accept in (
            "multipart/related; type=application/dicom; transfer-syntax=*",
            'multipart/related;type="application/dicom";transfer-syntax="*"',
            "multipart/related; type=application/dicom; transfer-syntax=*, multipart/related; type=image/jpeg;q=0.9",
            'image/jpeg, multipart/related; type="application/dicom"; transfer-syntax=*;q=0.3',
            "multipart/related",
            "*/*",
        ):
            assert site.get(CT, accept).status == 200, accept
        for accept in ("application/dicom+json, multipart/related; type=application/dicom", "application/json", "*/*"):
            assert site.get(f"{CT}/metadata", accept).status == 200, accept


def anything_means_as_stored_and_says_so(case: Case) -> None:
    with case.site() as site:
        (part,) = site.get(JPEG_2000, "*/*").parts
        assert part.content_type == f"application/dicom; transfer-syntax={JPEG2000Lossless}"
        (part,) = site.get(f"{JPEG_2000}/frames/1", "*/*").parts
        assert part.content_type == f"image/jp2; transfer-syntax={JPEG2000Lossless}"
        (part,) = site.get(IMPLICIT, "*/*").parts
        assert part.content_type == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"


def urls_are_those_of_the_client_behind_a_proxy(case: Case) -> None:
    public = "https://pacs.example/imaging/dicomweb"
    forwarded = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "pacs.example", "X_Forwarded_Prefix": "/imaging"}
    for settings, headers in (({"public_url": public}, {}), ({"trusted_proxies": ("127.0.0.1",)}, forwarded)):
        with open_site(case.archive, http=settings) as site:
            (study,) = site.get(f"/studies?StudyInstanceUID={CT_STUDY}", **headers).json
            (model,) = site.get(f"{CT}/metadata", **headers).json
            (part,) = site.get(CT, FILES, **headers).parts
            assert study["00081190"]["Value"] == [f"{public}/studies/{CT_STUDY}"]
            assert model["7FE00010"]["BulkDataURI"] == f"{public}{CT}/bulkdata/7FE00010"
            assert part.location == f"{public}{CT}"


def one_bad_value_does_not_spoil_the_rest(case: Case) -> None:
    bad = [
        element(0x00200013, "IS", b"1.5 "),
        element(0x00201041, "DS", b"n/a "),
        element(0x00280030, "DS", b"0.5\\x "),
        element(0x00290010, "LO", b"SOMEBODY"),
        element(0x00291001, "UN", b"\1\2\3\4"),
        element(0x7FE00010, "OW", bytes(64)),
    ]
    good = make_data_set(1)[: -len(bad[-1])]
    with SandboxArchive(case.folder / "bad") as archive:
        archive.index.add(good + b"".join(bad), CTImageStorage, sop_uid(1), ExplicitVRLittleEndian)
        with open_site(archive) as site:
            (model,) = site.get(f"/studies/{STUDY}/metadata").json
            assert site.get("/instances").status == 200
    assert model["00200013"] == {"vr": "IS", "Value": ["1.5"]}
    assert model["00201041"] == {"vr": "DS", "Value": ["n/a"]}
    assert model["00280030"] == {"vr": "DS", "Value": [0.5, "x"]}
    assert model["00291001"] == {"vr": "UN", "InlineBinary": "AQIDBA=="}
    assert model["00100020"]["Value"] == ["P1"]


def a_large_instance_leaves_while_it_arrives(case: Case) -> None:
    stalled = Disturbance(Fault.STALL, Moment.WITHIN_SUBOPERATION, count=2 * MEBIBYTE)
    with SandboxArchive(case.folder / "large", behaviour=Behaviour(disturbance=stalled)) as archive:
        data_set = make_data_set(1, pixels=bytes(8 * MEBIBYTE))
        archive.index.add(data_set, CTImageStorage, sop_uid(1), ExplicitVRLittleEndian)
        with open_site(archive) as site, begin(site, f"/studies/{STUDY}", FILES) as response:
            received = 0
            while received < MEBIBYTE:
                received += len(response.read1(65_536))
            assert archive.wait_for(lambda counters: counters.stalls == 1)
            archive.behaviour = Behaviour()
            rest = response.read()
    assert received + len(rest) > len(data_set)


COMPLAINTS: dict[int, list[tuple[str, Callable[[Case], None]]]] = {
    1: [("associations are reused, and never tried with an operation that was not negotiated",
         associations_are_reused_without_probing)],
    2: [("a rejected association must not cost a permit", a_rejection_costs_no_permit),
        ("what one instance was refused for, the others are refused for at once",
         a_class_refused_once_is_refused_at_once)],
    3: [("after days of failures the pool is as empty as at first, and shows it", the_pool_shows_that_nothing_leaks)],
    4: [("a search has no hidden limit, and one that is configured is told", no_search_has_a_hidden_limit)],
    7: [("an archive that allows one association is served by one, for ever", few_associations_are_enough_for_ever)],
    8: [("Study Root for retrieval: Patient Root wants a Patient ID", study_root_is_used_for_everything)],
    9: [("no C-GET is the commonest failure of the first hour", an_archive_without_c_get_is_asked_by_c_move)],
    10: [("frame 2 is not frame 1, and metadata tell how many there are", each_frame_is_its_own)],
    11: [("several archives, each by its name", archives_are_addressed_by_name)],
    12: [("viewers need attributes that C-FIND does not return, without the pixels",
          metadata_have_what_a_search_has_not)],
    13: [("metadata by series, compressed", series_metadata_move_the_series_only)],
    14: [("the first byte comes early", metadata_begin_before_the_last_instance_is_there)],
    15: [("lists, missing quotes and transfer-syntax in Accept are no reason for 406",
          the_accept_header_is_read_liberally)],
    16: [("anything means as stored, and the answer says what that is", anything_means_as_stored_and_says_so)],
    17: [("Retrieve and Bulkdata URLs have the client's scheme, host and prefix",
          urls_are_those_of_the_client_behind_a_proxy)],
    18: [("some archives name the character set only if asked, some never",
          the_character_set_is_asked_for_and_has_a_default)],
    19: [("one bad value must not fail the whole document", one_bad_value_does_not_spoil_the_rest)],
    20: [("an instance is not gathered before it is sent", a_large_instance_leaves_while_it_arrives)],
    21: [("an archive that says pending for ever", a_retrieval_that_is_always_pending_ends)],
    22: [("C-STORE of a C-MOVE without Move Originator", the_move_originator_may_be_missing)],
    23: [("associations that are opened, carry nothing and go", associations_that_carry_nothing_do_no_harm)],
    24: [("an unknown destination or calling AE is explained", an_unknown_move_destination_is_explained)],
    26: [("one instance after the other on one association is slow",
          instances_of_one_request_go_over_several_associations)],
    27: [("a context cannot be added later: classes that come later", classes_that_come_later_are_negotiated_later)],
    30: [("asynchronous operations are not offered, so no peer takes them for agreed",
          no_asynchronous_operations_are_offered)],
}  # fmt: skip

ROWS = [pytest.param(test, id=f"{number}: {lesson}") for number, rows in COMPLAINTS.items() for lesson, test in rows]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxArchive]:
    """An archive that no other gateway has an association with, since associations are counted."""
    with run_small_archive(tmp_path_factory.mktemp("complaints")) as archive:
        yield archive


@pytest.mark.parametrize("test", ROWS)
def test_complaint(test: Callable[[Case], None], archive: SandboxArchive, tmp_path: Path) -> None:
    test(Case(archive, tmp_path))


def test_each_complaint_has_a_test_or_a_reason() -> None:
    assert sorted([*COMPLAINTS, *NOT_HERE]) == list(range(1, 31))
