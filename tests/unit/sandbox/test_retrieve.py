"""gateway/sandbox/retrieve.py: C-GET and C-MOVE with pynetdicom and DCMTK."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_role, evt

from gateway.sandbox import Behaviour, Disturbance, Fault, Moment
from tests.support.peers import find_free_port
from tests.unit.sandbox.conftest import CT, MR, STUDY_GET, STUDY_MOVE, identifier

STUDY = identifier("STUDY", StudyInstanceUID="1.2.1")
SERIES = identifier("SERIES", StudyInstanceUID="1.2.1", SeriesInstanceUID="1.2.1.1")


def retrieve(assoc, keys, received=None, model=STUDY_GET, **options):
    """Run a C-GET or C-MOVE and return statuses, the final response and its identifier."""
    if model == STUDY_GET:
        assoc.bind(evt.EVT_C_STORE, lambda event: (received.append(event), 0)[1])
        responses = assoc.send_c_get(keys, model, **options)
    else:
        responses = assoc.send_c_move(keys, "DESTINATION", model, **options)
    answers = list(responses)
    return [status.Status if status else -1 for status, _ in answers], *answers[-1]


def count(response):
    return tuple(int(response.get(f"NumberOf{kind}Suboperations", -1)) for kind in ("Completed", "Failed", "Warning"))


ROLES = [build_role(CT, scp_role=True), build_role(MR, scp_role=True)]


@pytest.fixture
def get(associate):
    """Run one C-GET with CT and MR contexts; returns statuses, final response, identifier and C-STOREs."""

    def run(keys=STUDY, classes=(CT, MR), roles=ROLES, **options):
        received = []
        with associate(STUDY_GET, *classes, ext_neg=roles, **options) as assoc:
            return *retrieve(assoc, keys, received), received

    return run


@contextmanager
def destination(archive, on_store=lambda event: 0) -> Iterator[list]:
    """A storage SCP that the archive knows as DESTINATION; yields its C-STORE events."""
    received = []

    def store(event):
        received.append(event)
        return on_store(event)

    ae = AE("DESTINATION")
    for uid in (CT, MR):
        ae.add_supported_context(uid, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    archive.add_move_destination("DESTINATION", "127.0.0.1", server.server_address[1])
    try:
        yield received
    finally:
        server.shutdown()


def test_get_sends_what_is_stored(archive, get):
    statuses, last, _, received = get()
    assert statuses == [0xFF00] * 3 + [0x0000]
    assert count(last) == (4, 0, 0)
    stored = {row.sop_instance_uid: row for row in archive.index.select({"study_instance_uid": ["1.2.1"]})}
    assert {str(event.request.AffectedSOPInstanceUID) for event in received} == set(stored)
    for event in received:
        row = stored[str(event.request.AffectedSOPInstanceUID)]
        with open(row.path, "rb") as file:
            assert event.request.DataSet.getvalue() == file.read()[row.data_offset :]


def test_get_sends_exactly_what_was_asked_for(get):
    assert len(get(SERIES)[3]) == 3
    image = identifier(
        "IMAGE",
        StudyInstanceUID="1.2.1",
        SeriesInstanceUID="1.2.1.1",
        SOPInstanceUID=["1.2.1.1.1", "1.2.1.1.3"],
    )
    assert [str(event.request.AffectedSOPInstanceUID) for event in get(image)[3]] == image.SOPInstanceUID


def test_nothing_found_is_success_without_suboperations(get):
    statuses, last, _, received = get(identifier("STUDY", StudyInstanceUID="9.9"))
    assert (statuses, count(last), received) == ([0x0000], (0, 0, 0), [])


@pytest.mark.parametrize("keys", [identifier("IMAGE", SOPInstanceUID="1.2.1.1.1"), identifier("STUDY")])
def test_an_incomplete_identifier_is_refused(get, keys):
    assert get(keys)[0] == [0xA900]


def test_a_class_without_context_fails_and_is_listed(get):
    statuses, last, found, received = get(classes=(CT,), roles=ROLES[:1])
    assert statuses[-1] == 0xB000
    assert count(last) == (3, 1, 0)
    assert found.FailedSOPInstanceUIDList == "1.2.1.2.1"
    assert len(received) == 3


def test_no_context_at_all_is_a_failure(get):
    statuses, last, _, received = get(SERIES, roles=[])
    assert (statuses[-1], count(last), received) == (0xA702, (0, 3, 0), [])


def test_native_instances_are_converted(get):
    _, last, _, received = get(transfer_syntax=[ImplicitVRLittleEndian])
    assert count(last) == (4, 0, 0)
    assert received[0].context.transfer_syntax == ImplicitVRLittleEndian
    assert received[0].dataset.PixelData == bytes(range(128))


@pytest.mark.parametrize(("status", "expected"), [(0xB000, (0, 0, 3)), (0xA700, (0, 3, 0)), (0x0124, (0, 3, 0))])
def test_statuses_of_suboperations_are_counted(associate, status, expected):
    with associate(STUDY_GET, CT, ext_neg=ROLES[:1]) as assoc:
        assoc.bind(evt.EVT_C_STORE, lambda event: status)
        *_, (last, _) = assoc.send_c_get(SERIES, STUDY_GET)
    assert count(last) == expected


def test_cancelled_get(archive, associate):
    archive.behaviour = Behaviour(disturbance=Disturbance(Fault.STALL, Moment.AFTER_SUBOPERATIONS, 1))

    def cancel(event):
        event.assoc.send_c_cancel(5, query_model=STUDY_GET)
        return 0

    def go_on():
        archive.wait_for(lambda counters: counters.cancels == 1)
        archive.behaviour = Behaviour()

    thread = threading.Thread(target=go_on)
    thread.start()
    with associate(STUDY_GET, CT, ext_neg=ROLES[:1]) as assoc:
        assoc.bind(evt.EVT_C_STORE, cancel)
        *_, (last, _) = assoc.send_c_get(SERIES, STUDY_GET, msg_id=5)
    thread.join()
    assert last.Status == 0xFE00
    assert (last.NumberOfRemainingSuboperations, *count(last)) == (2, 1, 0, 0)


def test_move_sends_to_the_destination_and_names_its_originator(archive, associate):
    with destination(archive) as received, associate(STUDY_MOVE) as assoc:
        statuses, last, _ = retrieve(assoc, STUDY, model=STUDY_MOVE, msg_id=77)
    assert statuses == [0xFF00] * 3 + [0x0000]
    assert count(last) == (4, 0, 0)
    assert {event.request.MoveOriginatorMessageID for event in received} == {77}
    assert {event.request.MoveOriginatorApplicationEntityTitle for event in received} == {"REQUESTOR"}
    assert {event.assoc.requestor.ae_title for event in received} == {"SANDBOX"}


def test_an_unknown_destination(associate):
    with associate(STUDY_MOVE) as assoc:
        assert retrieve(assoc, STUDY, model=STUDY_MOVE)[0] == [0xA801]


def test_a_destination_that_does_not_listen(archive, associate):
    with destination(archive):
        pass
    with associate(STUDY_MOVE) as assoc:
        statuses, last, _ = retrieve(assoc, SERIES, model=STUDY_MOVE)
    assert (statuses[-1], count(last)) == (0xA702, (0, 3, 0))


def test_a_destination_that_leaves(archive, associate):
    def leave(event):
        event.assoc.abort()
        return 0

    with destination(archive, leave), associate(STUDY_MOVE) as assoc:
        statuses, last, found = retrieve(assoc, SERIES, model=STUDY_MOVE)
    assert (statuses[-1], count(last)) == (0xA702, (0, 3, 0))
    assert len(found.FailedSOPInstanceUIDList) == 3


def test_getscu(archive, tmp_path):
    command = ["/usr/bin/getscu", "-S", "+B", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY"]
    command += ["-k", "StudyInstanceUID=1.2.1", "127.0.0.1", str(archive.port)]
    subprocess.run(command, check=True, capture_output=True)
    received = [pydicom.dcmread(path) for path in tmp_path.iterdir() if path.is_file()]
    assert sum(str(instance.StudyInstanceUID) == "1.2.1" for instance in received) == 4


def test_movescu(archive, tmp_path):
    port = find_free_port()
    archive.add_move_destination("MOVESCU", "127.0.0.1", port)
    command = ["/usr/bin/movescu", "-S", "+P", str(port), "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY"]
    command += ["-k", "StudyInstanceUID=1.2.1", "127.0.0.1", str(archive.port)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    assert archive.counters.suboperations == 4
