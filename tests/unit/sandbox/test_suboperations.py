"""gateway/sandbox/suboperations.py"""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless
from pynetdicom import build_role, evt

from gateway.sandbox.suboperations import Tally
from tests.unit.sandbox.conftest import CT, STUDY_GET, identifier, make_instance

ROLE = build_role(CT, scp_role=True)
KEYS = identifier("STUDY", StudyInstanceUID="1.2.5")


@pytest.mark.parametrize(
    ("status", "field"),
    [
        (0x0000, "completed"),
        (0x0001, "warning"),
        (0xB000, "warning"),
        (0xB007, "warning"),
        (0xA700, "failed"),
        (0xC000, "failed"),
        (0x0122, "failed"),
        (0xFE00, "failed"),
    ],
)
def test_a_tally_sorts_statuses_by_kind(status, field):
    tally = Tally(2)
    tally.add(SimpleNamespace(sop_instance_uid="1.2"), status)
    assert (tally.remaining, getattr(tally, field)) == (1, 1)
    assert tally.failed_uids == (["1.2"] if field == "failed" else [])


def test_only_a_response_with_remaining_suboperations_names_their_number():
    response = SimpleNamespace()
    Tally(3, completed=1).write(response, final=False)
    assert response.NumberOfRemainingSuboperations == 3
    Tally(0, completed=1).write(response, final=True)
    assert response.NumberOfRemainingSuboperations is None
    assert response.NumberOfCompletedSuboperations == 1


def run_get(associate, contexts):
    """C-GET the study 1.2.5 with one CT context for each transfer syntax."""
    received = []
    with associate(STUDY_GET) as probe:
        ae = probe.ae
        for syntax in contexts:
            ae.add_requested_context(CT, syntax)
        assoc = ae.associate("127.0.0.1", probe.acceptor.port, ext_neg=[ROLE])
        assoc.bind(evt.EVT_C_STORE, lambda event: (received.append(event), 0)[1])
        *_, (last, _) = assoc.send_c_get(KEYS, STUDY_GET)
        assoc.release()
    return last.Status, received


def store_compressed(archive, associate):
    instance = make_instance("1.2.5.1.1")
    instance.compress(RLELossless, generate_instance_uid=False)
    with associate(CT, transfer_syntax=RLELossless) as assoc:
        assert assoc.send_c_store(instance).Status == 0
    return instance


def test_a_compressed_instance_leaves_as_it_is_stored(archive, associate):
    instance = store_compressed(archive, associate)
    status, (event,) = run_get(associate, [RLELossless])
    assert status == 0
    assert event.context.transfer_syntax == RLELossless
    assert event.dataset.PixelData == instance.PixelData


def test_a_compressed_instance_is_not_converted(archive, associate):
    store_compressed(archive, associate)
    status, received = run_get(associate, [ExplicitVRLittleEndian])
    assert (status, received) == (0xA702, [])


@pytest.mark.parametrize("accepted", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_native_instance_takes_the_form_that_is_accepted(archive, associate, accepted):
    with associate(CT) as assoc:
        assert assoc.send_c_store(make_instance("1.2.5.1.1")).Status == 0
    status, (event,) = run_get(associate, [accepted])
    assert status == 0
    assert event.context.transfer_syntax == accepted
    assert event.dataset.PatientID == "P5"
