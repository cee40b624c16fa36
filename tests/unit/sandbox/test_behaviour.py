"""gateway/sandbox/behaviour.py: each switch that no other test file of the sandbox turns."""

from __future__ import annotations

import threading

import pytest
from pynetdicom import build_role, evt

from gateway.sandbox import Behaviour
from tests.unit.sandbox.conftest import CT, STUDY_FIND, STUDY_GET, STUDY_MOVE, find, identifier, make_instance
from tests.unit.sandbox.test_retrieve import ROLES, SERIES, count, destination, retrieve


def test_the_default_is_a_well_behaved_archive():
    assert not any(
        getattr(Behaviour(), name) for name in Behaviour.__slots__ if name not in ("max_associations", "commitment")
    )


@pytest.mark.parametrize("status", [0xA700, 0xC001, 0x0122])
def test_find_status(archive, associate, status):
    archive.behaviour = Behaviour(find_status=status)
    with associate(STUDY_FIND) as assoc:
        assert find(assoc, identifier("STUDY", PatientID="P1")) == ([], [status])
        archive.behaviour = Behaviour()
        assert len(find(assoc, identifier("STUDY", PatientID="P1"))[0]) == 1


@pytest.mark.parametrize("status", [0xA700, 0x0122])
def test_store_status(archive, associate, status):
    archive.behaviour = Behaviour(store_status=status)
    with associate(CT) as assoc:
        assert assoc.send_c_store(make_instance("1.2.5.1.1")).Status == status
    assert archive.index.select({"study_instance_uid": ["1.2.5"]}) == []


@pytest.mark.parametrize("model", [STUDY_GET, STUDY_MOVE])
def test_retrieve_status(archive, associate, model):
    archive.behaviour = Behaviour(retrieve_status=0xA701)
    with associate(model) as assoc:
        assert retrieve(assoc, SERIES, [], model)[0] == [0xA701]


def test_failing_suboperations(archive, associate):
    archive.behaviour = Behaviour(failing_suboperations=frozenset({2}))
    received = []
    with associate(STUDY_GET, CT, ext_neg=ROLES[:1]) as assoc:
        statuses, last, found = retrieve(assoc, SERIES, received)
    assert (statuses[-1], count(last), len(received)) == (0xB000, (2, 1, 0), 2)
    assert found.FailedSOPInstanceUIDList == "1.2.1.1.2"


def test_omit_pending_responses(archive, associate):
    archive.behaviour = Behaviour(omit_pending_responses=True)
    with associate(STUDY_GET, CT, ext_neg=ROLES[:1]) as assoc:
        assert retrieve(assoc, SERIES, [])[0] == [0x0000]


def test_omit_move_originator(archive, associate):
    archive.behaviour = Behaviour(omit_move_originator=True)
    with destination(archive) as received, associate(STUDY_MOVE) as assoc:
        retrieve(assoc, SERIES, model=STUDY_MOVE)
    assert {event.request.MoveOriginatorMessageID for event in received} == {None}
    assert {event.request.MoveOriginatorApplicationEntityTitle for event in received} == {None}


def test_late_store(archive, associate):
    archive.behaviour = Behaviour(late_store=True)
    final_response = threading.Event()
    seen_before_store = []

    def store(event):
        is_last = event.request.AffectedSOPInstanceUID == "1.2.1.1.3"
        seen_before_store.append(final_response.wait(10 if is_last else 0))
        all_stored.release()
        return 0

    all_stored = threading.Semaphore(0)
    with destination(archive, store), associate(STUDY_MOVE) as assoc:
        _, last, _ = retrieve(assoc, SERIES, model=STUDY_MOVE)
        final_response.set()
        assert all(all_stored.acquire(timeout=10) for _ in range(3))
    assert seen_before_store == [False, False, True]
    assert count(last) == (3, 0, 0)


def test_refuse_role(archive, associate):
    archive.behaviour = Behaviour(refuse_role=True)
    with associate(STUDY_GET, CT, ext_neg=[build_role(CT, scp_role=True)]) as assoc:
        assert assoc.acceptor.role_selection == {}
        assert retrieve(assoc, SERIES, [])[0][-1] == 0xA702


def test_ignore_cancel(archive, associate):
    archive.behaviour = Behaviour(ignore_cancel=True)

    def cancel(event):
        event.assoc.send_c_cancel(5, query_model=STUDY_GET)
        return 0

    with associate(STUDY_GET, CT, ext_neg=ROLES[:1]) as assoc:
        assoc.bind(evt.EVT_C_STORE, cancel)
        *_, (last, _) = assoc.send_c_get(SERIES, STUDY_GET, msg_id=5)
    assert (last.Status, count(last)) == (0x0000, (3, 0, 0))


def test_response_delay_ends_with_the_peer(archive, associate):
    archive.behaviour = Behaviour(response_delay_s=60)
    with associate(STUDY_FIND) as assoc:
        responses = assoc.send_c_find(identifier("STUDY", StudyInstanceUID=""), STUDY_FIND)
        assert archive.wait_for(lambda counters: counters.finds == 1)
        assoc.abort()
        assert archive.wait_for(lambda counters: counters.associations_open == 0)
        responses.close()
    assert archive.counters.responses == 0
