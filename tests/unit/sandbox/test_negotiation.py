"""gateway/sandbox/negotiation.py"""

from __future__ import annotations

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom.presentation import build_context

from gateway.sandbox import Behaviour
from gateway.sandbox.negotiation import answer_extended_negotiation, choose_contexts
from tests.unit.sandbox.conftest import CT, MR, STUDY_FIND, STUDY_GET, STUDY_MOVE

VERIFICATION = "1.2.840.10008.1.1"
PRIVATE = "1.2.826.0.1.3680043.9.9999.1"
PROCEDURE_STEP = "1.2.840.10008.3.1.2.3.3"


def choose(*proposals, **switches):
    requested = [build_context(abstract, list(syntaxes)) for abstract, *syntaxes in proposals]
    return {
        str(context.abstract_syntax): [str(uid) for uid in context.transfer_syntax]
        for context in choose_contexts(requested, Behaviour(**switches))
    }


def test_every_storage_class_is_taken_in_every_syntax_proposed():
    proposals = [(CT, JPEGBaseline8Bit), (CT, ExplicitVRLittleEndian), (PRIVATE, ImplicitVRLittleEndian)]
    assert choose(*proposals) == {
        CT: [JPEGBaseline8Bit, ExplicitVRLittleEndian],
        PRIVATE: [ImplicitVRLittleEndian],
    }


def test_other_services_than_the_archive_has_are_not_taken():
    proposals = [(uid, ImplicitVRLittleEndian) for uid in (VERIFICATION, PROCEDURE_STEP, STUDY_FIND)]
    assert set(choose(*proposals)) == {VERIFICATION, STUDY_FIND}


def test_both_roles_are_offered_for_storage_unless_refused():
    requested = [build_context(CT, [ExplicitVRLittleEndian]), build_context(STUDY_GET)]
    storage, get = choose_contexts(requested, Behaviour())
    assert (storage.scu_role, storage.scp_role, get.scu_role) == (True, True, None)
    (storage, _) = choose_contexts(requested, Behaviour(refuse_role=True))
    assert storage.scp_role is None


@pytest.mark.parametrize(("switch", "refused"), [("refuse_get", STUDY_GET), ("refuse_move", STUDY_MOVE)])
def test_a_retrieve_service_can_be_refused(switch, refused):
    proposals = [(STUDY_GET, ImplicitVRLittleEndian), (STUDY_MOVE, ImplicitVRLittleEndian)]
    assert set(choose(*proposals, **{switch: True})) == {STUDY_GET, STUDY_MOVE} - {refused}


def test_compressed_syntaxes_can_be_refused():
    chosen = choose((CT, JPEGBaseline8Bit, ExplicitVRLittleEndian), (MR, JPEGBaseline8Bit), refuse_compressed=True)
    assert chosen[CT] == [ExplicitVRLittleEndian]
    assert JPEGBaseline8Bit not in chosen[MR]  # known class, no syntax: result 4, not 3


def test_syntaxes_can_be_limited():
    chosen = choose(
        (CT, ExplicitVRLittleEndian, ImplicitVRLittleEndian), accepted_transfer_syntaxes=(ImplicitVRLittleEndian,)
    )
    assert chosen[CT] == [ImplicitVRLittleEndian]


@pytest.mark.parametrize(
    ("offered", "switches", "answered"),
    [
        (b"\x01", {}, b"\x01"),
        (b"\x00\x01", {}, b"\x00\x01"),
        (b"\x01\x01\x01\x01\x01\x01\x01", {}, b"\x01\x01\x01\x00\x00\x00\x00"),
        (b"\x01\x01\x01", {"refuse_relational": True}, b"\x00\x01\x01"),
        (b"\x01\x01\x01", {"refuse_combined_datetime": True}, b"\x01\x00\x01"),
        (b"\x01\x01\x01", {"refuse_fuzzy": True}, b"\x01\x01\x00"),
    ],
)
def test_extended_negotiation_for_queries(offered, switches, answered):
    assert answer_extended_negotiation({STUDY_FIND: offered}, Behaviour(**switches)) == {STUDY_FIND: answered}


def test_extended_negotiation_for_retrieval_is_about_relational_only():
    assert answer_extended_negotiation({STUDY_GET: b"\x01\x01"}, Behaviour()) == {STUDY_GET: b"\x01\x00"}


def test_extended_negotiation_can_be_left_unanswered():
    behaviour = Behaviour(refuse_extended_negotiation=True)
    assert answer_extended_negotiation({STUDY_FIND: b"\x01"}, behaviour) == {}
    assert answer_extended_negotiation({CT: b"\x01"}, Behaviour()) == {}


def test_storage_classes_can_be_refused():
    proposals = [(CT, ExplicitVRLittleEndian), (MR, ExplicitVRLittleEndian)]
    assert set(choose(*proposals, refused_classes=frozenset({MR}))) == {CT}
