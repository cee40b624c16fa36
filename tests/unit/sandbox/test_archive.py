"""gateway/sandbox/archive.py"""

from __future__ import annotations

import socket
import threading

import pytest
from pynetdicom import AE, _config, evt

from gateway.dimse.ul.connection import Connection, Role
from gateway.dimse.ul.events import AssociateRequest, ProposedContext
from gateway.sandbox import Behaviour, SandboxArchive
from gateway.sandbox.counters import Observations
from gateway.sandbox.session import prepare_transport
from tests.unit.sandbox.conftest import CT, STUDY_FIND, find, identifier, make_instance, save

VERIFICATION = "1.2.840.10008.1.1"


def test_it_starts_and_stops_without_leaving_threads(tmp_path):
    before = set(threading.enumerate())
    for _ in range(3):
        with SandboxArchive(tmp_path) as archive:
            ae = AE()
            ae.add_requested_context(VERIFICATION)
            handlers = [(evt.EVT_CONN_OPEN, lambda event: prepare_transport(event.assoc))]
            assoc = ae.associate("127.0.0.1", archive.port, evt_handlers=handlers)
            assert assoc.send_c_echo().Status == 0
            idle = socket.create_connection(("127.0.0.1", archive.port))  # never sends A-ASSOCIATE-RQ
        assoc.join(5)
        idle.close()
        archive.stop()  # a second time does nothing
    assert set(threading.enumerate()) <= before


def test_the_port_is_free_after_stopping(tmp_path):
    with SandboxArchive(tmp_path) as archive:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", archive.port))


def test_what_was_stored_is_there_after_a_restart(tmp_path):
    with SandboxArchive(tmp_path / "archive") as archive:
        archive.index.add_file(save(make_instance(), tmp_path))
    with SandboxArchive(tmp_path / "archive") as archive:
        assert len(archive.index) == 1


def test_a_folder_is_loaded_without_what_is_no_dicom(tmp_path):
    save(make_instance("1.2.1.1.1"), tmp_path / "files")
    save(make_instance("1.2.1.1.2"), tmp_path / "files" / "below")
    (tmp_path / "files" / "README").write_text("not DICOM")
    with SandboxArchive(tmp_path / "archive") as archive:
        assert archive.load(tmp_path / "files") == 2
        assert len(archive.index) == 2


def test_requestors_that_leave_at_once_are_not_counted_as_open(archive):
    connection = Connection(Role.REQUESTOR, max_length=16_384)
    connection.transport_connected()
    context = ProposedContext(1, VERIFICATION, ("1.2.840.10008.1.2",))
    request = connection.send(AssociateRequest("SANDBOX", "TEST", (context,), 16_384, "1.2.3"))
    for number in range(60):
        with socket.create_connection(("127.0.0.1", archive.port)) as requestor:
            requestor.sendall(request)
            requestor.settimeout(5)
            if number % 2:
                requestor.recv(1)  # in the middle of the acceptance
    assert archive.wait_for(lambda counters: counters.associations_total >= 30)
    assert archive.wait_for(lambda counters: counters.associations_open == 0)


def test_associations_are_counted(archive, associate):
    with associate(STUDY_FIND), associate(STUDY_FIND):
        assert archive.wait_for(lambda counters: counters.associations_open == 2)
    assert archive.wait_for(lambda counters: counters.associations_open == 0)
    counters = archive.counters
    assert (counters.associations_total, counters.aborts, counters.connections_lost) == (2, 0, 0)


def test_the_number_of_associations_is_limited(archive, associate):
    archive.behaviour = Behaviour(max_associations=1)
    with associate(STUDY_FIND) as first, associate(STUDY_FIND) as second:
        assert (first.is_established, second.is_rejected) == (True, True)
        rejection = second.acceptor.primitive
        assert (rejection.result, rejection.result_source, rejection.diagnostic) == (2, 3, 2)
    assert archive.wait_for(lambda counters: counters.associations_open == 0)
    with associate(STUDY_FIND) as third:
        assert third.is_established
    assert archive.counters.associations_rejected == 1


@pytest.mark.parametrize("rejection", [(1, 1, 3), (1, 1, 7), (2, 3, 1)])
def test_associations_can_be_rejected(archive, associate, rejection):
    archive.behaviour = Behaviour(rejection=rejection)
    with associate(STUDY_FIND) as assoc:
        answer = assoc.acceptor.primitive
        assert assoc.is_rejected
        assert (answer.result, answer.result_source, answer.diagnostic) == rejection


def test_many_associations_at_once(archive, associate):
    results = []

    def ask():
        with associate(STUDY_FIND) as assoc:
            results.append(len(find(assoc, identifier("STUDY", StudyInstanceUID=""))[0]))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [2] * 20


def test_several_operations_on_one_association(associate):
    with associate(STUDY_FIND, CT, VERIFICATION) as assoc:
        for number in (1, 2, 3):
            assert assoc.send_c_store(make_instance(f"1.2.7.1.{number}")).Status == 0
            assert assoc.send_c_echo().Status == 0
            answers, _ = find(assoc, identifier("STUDY", StudyInstanceUID="1.2.7", NumberOfStudyRelatedInstances=""))
            assert answers[0].NumberOfStudyRelatedInstances == number


def test_open_associations_can_be_dropped(archive, associate):
    with associate(STUDY_FIND) as assoc:
        archive.drop_associations()
        assoc.join(5)
        assert assoc.is_aborted
    with associate(STUDY_FIND) as assoc:
        assert assoc.is_established


def test_a_connection_that_closes_without_a_request_leaves_no_thread(archive):
    with socket.create_connection(("127.0.0.1", archive.port)):
        Observations().wait_while(lambda: not archive.associations, 0.005, 5)
        (assoc,) = archive.associations
        Observations().wait_while(lambda: assoc.ident is None, 0.005, 5)  # listed before its thread starts
    assoc.join(5)
    assoc.dul.join(5)
    assert not assoc.is_alive()
    assert not assoc.dul.is_alive()
    assert archive.counters.associations_total == 0


def test_nothing_of_pynetdicom_is_changed_for_the_process(archive):
    assert _config.UNRESTRICTED_STORAGE_SERVICE is False
    assert _config.STORE_RECV_CHUNKED_DATASET is False
    assert evt.EVT_C_FIND.name == "EVT_C_FIND"


def test_small_segments_are_sent_at_once(archive, associate):
    with associate(STUDY_FIND):
        (accepted,) = archive.associations
        transport = accepted.dul.socket.socket
        assert transport.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
