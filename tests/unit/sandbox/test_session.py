"""gateway/sandbox/session.py: faults at every moment, and a peer that leaves or is slow."""

from __future__ import annotations

import subprocess
import threading

import pytest
from pynetdicom import evt

from gateway.sandbox import Behaviour, Disturbance, Fault, Moment
from gateway.sandbox.counters import Observations
from tests.unit.sandbox.conftest import CT, STUDY_FIND, STUDY_GET, find, identifier, make_instance, save
from tests.unit.sandbox.test_retrieve import ROLES, SERIES, retrieve

STUDIES = identifier("STUDY", StudyInstanceUID="")


def disturb(archive, fault, moment, count=0, **more):
    archive.behaviour = Behaviour(disturbance=Disturbance(fault, moment, count, **more))


@pytest.fixture(params=[Fault.ABORT, Fault.DROP])
def fault(request):
    return request.param


def assert_over(archive, assoc, fault):
    """The association ended the way the fault says, and the archive goes on."""
    assoc.join(5)
    assert assoc.is_aborted
    assert archive.wait_for(lambda counters: counters.associations_open == 0)
    aborts = [primitive for primitive in assoc.seen if type(primitive).__name__ == "A_ABORT_RQ"]
    assert len(aborts) == (fault is Fault.ABORT)
    archive.behaviour = Behaviour()


def watch(assoc):
    assoc.seen = []
    assoc.bind(evt.EVT_PDU_RECV, lambda event: assoc.seen.append(event.pdu))
    return assoc


def test_before_the_association_answer(archive, associate, fault):
    disturb(archive, fault, Moment.BEFORE_ASSOCIATION_ANSWER)
    with associate(STUDY_FIND) as assoc:
        assert not assoc.is_established
    archive.behaviour = Behaviour()
    with associate(STUDY_FIND) as assoc:
        assert assoc.is_established


def test_before_the_first_response(archive, associate, fault):
    disturb(archive, fault, Moment.BEFORE_FIRST_RESPONSE)
    with associate(STUDY_FIND) as assoc:
        assert find(watch(assoc), STUDIES) == ([], [-1])
        assert_over(archive, assoc, fault)


def test_after_responses(archive, associate, fault):
    disturb(archive, fault, Moment.AFTER_RESPONSES, 1)
    with associate(STUDY_FIND) as assoc:
        assert find(watch(assoc), STUDIES)[1] == [0xFF00, -1]
        assert_over(archive, assoc, fault)


def test_after_suboperations(archive, associate, fault):
    disturb(archive, fault, Moment.AFTER_SUBOPERATIONS, 2)
    received = []
    with associate(STUDY_GET, CT, ext_neg=ROLES[:1]) as assoc:
        assert retrieve(watch(assoc), SERIES, received)[0][-1] == -1
        assert_over(archive, assoc, fault)
    assert len(received) == 2


def test_within_a_suboperation(archive, associate, fault):
    with associate(CT) as assoc:
        assert assoc.send_c_store(make_instance("1.2.1.1.2", PixelData=bytes(1_000_000))).Status == 0
    disturb(archive, fault, Moment.WITHIN_SUBOPERATION, 100_000, suboperation=3)
    received = []
    with associate(STUDY_GET, CT, ext_neg=ROLES[:1], max_pdu=16_382) as assoc:
        assert retrieve(watch(assoc), SERIES, received)[0][-1] == -1
        pieces = [pdu for pdu in assoc.seen if type(pdu).__name__ == "P_DATA_TF" and pdu.pdu_length > 16_000]
        assert_over(archive, assoc, fault)
    assert len(received) == 2
    assert 6 <= len(pieces) <= 8


def test_before_the_store_response(archive, associate, fault):
    disturb(archive, fault, Moment.BEFORE_STORE_RESPONSE)
    with associate(CT) as assoc:
        assert "Status" not in watch(assoc).send_c_store(make_instance("1.2.5.1.1"))
        assert_over(archive, assoc, fault)
    assert archive.index.select({"study_instance_uid": ["1.2.5"]}) == []


def test_within_a_store(archive, fault, tmp_path):
    disturb(archive, fault, Moment.WITHIN_STORE, 300_000)
    path = save(make_instance("1.2.5.1.1", PixelData=bytes(20_000_000)), tmp_path)
    command = ["/usr/bin/storescu", "127.0.0.1", str(archive.port), str(path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode != 0
    assert archive.wait_for(lambda counters: counters.associations_open == 0)
    assert archive.counters.stores == 0
    archive.behaviour = Behaviour()
    assert subprocess.run(command, timeout=30, check=False).returncode == 0


@pytest.mark.parametrize(("moment", "count"), [(Moment.BEFORE_FIRST_RESPONSE, 0), (Moment.AFTER_RESPONSES, 1)])
def test_a_stall_lasts_until_the_behaviour_changes(archive, associate, moment, count):
    disturb(archive, Fault.STALL, moment, count)
    result = []
    with associate(STUDY_FIND) as assoc:
        thread = threading.Thread(target=lambda: result.append(find(assoc, STUDIES)))
        thread.start()
        assert archive.wait_for(lambda counters: counters.stalls == 1)
        assert result == []
        archive.behaviour = Behaviour()
        thread.join(5)
    assert len(result[0][0]) == 2
    assert archive.counters.stalls == 0


def test_a_stalled_store_is_not_read_on(archive, associate):
    disturb(archive, Fault.STALL, Moment.WITHIN_STORE, 100_000)
    statuses = []
    instance = make_instance("1.2.5.1.1", PixelData=bytes(20_000_000))
    with associate(CT) as assoc:
        thread = threading.Thread(target=lambda: statuses.append(assoc.send_c_store(instance).Status))
        thread.start()
        assert archive.wait_for(lambda counters: counters.stalls == 1)
        archive.behaviour = Behaviour()
        thread.join(20)
    assert statuses == [0]


@pytest.mark.parametrize("how", ["abort", "close"])
def test_a_stall_ends_when_the_peer_leaves(archive, associate, how):
    disturb(archive, Fault.STALL, Moment.BEFORE_FIRST_RESPONSE)
    with associate(STUDY_FIND) as assoc:
        responses = assoc.send_c_find(STUDIES, STUDY_FIND)
        assert archive.wait_for(lambda counters: counters.stalls == 1)
        if how == "abort":
            assoc.abort()
        else:
            assoc.dul.socket.close()
        assert archive.wait_for(lambda counters: counters.stalls == 0)
        assert archive.wait_for(lambda counters: counters.associations_open == 0)
        responses.close()
    assert (archive.counters.aborts, archive.counters.connections_lost) == ((1, 0) if how == "abort" else (0, 1))


def test_what_waits_for_a_slow_peer_is_bounded(archive, associate, tmp_path):
    """The requestor stops reading in the middle of a large instance: the archive does not gather it."""
    archive.index.add_file(save(make_instance("1.2.5.1.1", PixelData=bytes(40_000_000)), tmp_path))
    keys = identifier("STUDY", StudyInstanceUID="1.2.5")
    go_on = threading.Event()
    with associate(STUDY_GET, CT, ext_neg=ROLES[:1]) as assoc:
        assoc.bind(evt.EVT_PDU_RECV, lambda event: go_on.wait(20))
        assoc.bind(evt.EVT_C_STORE, lambda event: 0)
        thread = threading.Thread(target=lambda: list(assoc.send_c_get(keys, STUDY_GET)))
        thread.start()
        assert archive.wait_for(lambda counters: counters.suboperations == 1)
        (accepted,) = archive.associations
        waiting = accepted.dul.to_provider_queue
        Observations().wait_while(lambda: waiting.qsize() < 16, 0.005, 10)
        assert waiting.qsize() == 16
        go_on.set()
        thread.join(20)
        assert not thread.is_alive()
