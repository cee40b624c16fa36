"""What a client takes, as a retrieval needs to know it."""

from __future__ import annotations

import pytest

from gateway.codecs.transfer_syntax import COMPRESSED, DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.services.retrieve.transfer_demand import ANY_STORED, AS_STORED, TransferDemand

BASELINE, J2K = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"


def test_wishes_in_order_then_what_is_taken_besides() -> None:
    demand = TransferDemand.from_wishes([J2K, EXPLICIT_VR_LE, J2K], lambda uid: uid in (BASELINE, J2K))
    assert demand.choices == ((J2K,), (EXPLICIT_VR_LE,), (BASELINE,))
    assert not demand.prefers_native and not demand.admits_anything


def test_a_star_needs_no_others() -> None:
    demand = TransferDemand.from_wishes([EXPLICIT_VR_LE, ANY_STORED], lambda uid: True)
    assert demand.choices == ((EXPLICIT_VR_LE,), (ANY_STORED,))
    assert demand.prefers_native and demand.admits_anything


def test_by_test_alone() -> None:
    assert TransferDemand.from_test(lambda uid: True) is AS_STORED
    assert TransferDemand.from_test(lambda uid: uid == J2K).choices == ((J2K,),)


@pytest.mark.parametrize("uid", [EXPLICIT_VR_LE, IMPLICIT_VR_LE, EXPLICIT_VR_BE, DEFLATED])
def test_every_native_form_counts_as_one(uid: str) -> None:
    assert TransferDemand().admits(uid) and AS_STORED.admits(uid)
    assert not TransferDemand(((J2K,),)).admits(uid)


@pytest.mark.parametrize("uid", [*COMPRESSED, "1.2.3.4"])
def test_a_compressed_form_must_be_named(uid: str) -> None:
    assert not TransferDemand().admits(uid)
    assert TransferDemand(((EXPLICIT_VR_LE,), (uid,))).admits(uid) and AS_STORED.admits(uid)
