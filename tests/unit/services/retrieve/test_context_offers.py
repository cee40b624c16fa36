"""Contexts for a C-GET: as many forms as there is room for, what matters most first."""

from __future__ import annotations

import pytest

from gateway.codecs.transfer_syntax import COMPRESSED, DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.services.retrieve.context_offers import (
    MAX_STORAGE_CONTEXTS,
    can_offer_all,
    list_single_forms,
    offer_contexts,
    offer_single_form,
)
from gateway.services.retrieve.inventories.storage_classes import ALL_STORAGE_CLASSES
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand

NATIVE = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)
RETIRED_JPEG = "1.2.840.10008.1.2.4.53"


def test_each_form_that_is_to_come_untouched_has_a_context_of_its_own() -> None:
    offered = offer_contexts(("*",), ["1.1", "1.2"])
    for name in ("1.1", "1.2"):
        forms = [context.transfer_syntaxes for context in offered if context.sop_class_uid == name]
        assert forms[0] == NATIVE and len(set(forms)) == len(forms)
        assert {uid for form in forms for uid in form} >= {*NATIVE, *COMPRESSED, DEFLATED, EXPLICIT_VR_BE, RETIRED_JPEG}
        assert all(len(form) == 1 for form in forms[1:])


@pytest.mark.parametrize("classes", [1, 2, 3, 5, 30, 63, 64, 127, 128, len(ALL_STORAGE_CLASSES)])
def test_never_more_than_an_association_holds(classes: int) -> None:
    names = ALL_STORAGE_CLASSES[:classes]
    offered = offer_contexts(("*",), names, [COMPRESSED[-1]])
    assert len(offered) <= MAX_STORAGE_CONTEXTS
    assert {context.sop_class_uid for context in offered} == set(names[:MAX_STORAGE_CONTEXTS])
    if classes <= MAX_STORAGE_CONTEXTS // 2:  # what the archive says it holds comes before the commonest
        assert (COMPRESSED[-1],) in {context.transfer_syntaxes for context in offered}


def test_whether_there_is_room_for_all_that_archives_hold() -> None:
    for choice, most in ((("*",), 3), ((EXPLICIT_VR_LE,), MAX_STORAGE_CONTEXTS // 3), ((COMPRESSED[3],), 124)):
        assert can_offer_all(choice, ALL_STORAGE_CLASSES[:most])
        assert not can_offer_all(choice, ALL_STORAGE_CLASSES[: most + 1])
    forms = {context.transfer_syntaxes for context in offer_contexts(("*",), ALL_STORAGE_CLASSES[:3])}
    assert forms >= {NATIVE, (DEFLATED,), (EXPLICIT_VR_BE,), *((uid,) for uid in COMPRESSED)}


def test_the_order_of_classes_makes_no_other_offer() -> None:
    assert offer_contexts(("*",), ["1.2", "1.1"]) == offer_contexts(("*",), ["1.1", "1.2"])
    assert offer_single_form(NATIVE, ["1.2", "1.1"]) == offer_single_form(NATIVE, ["1.1", "1.2"])


def test_only_what_is_demanded() -> None:
    offered = offer_contexts((EXPLICIT_VR_LE,), ["1.1"])
    assert [context.transfer_syntaxes for context in offered] == [NATIVE, (DEFLATED,), (EXPLICIT_VR_BE,)]
    assert [context.transfer_syntaxes for context in offer_contexts((COMPRESSED[3],), ["1.1"])] == [(COMPRESSED[3],)]


def test_single_forms() -> None:
    forms = list_single_forms(TransferDemand(((EXPLICIT_VR_LE,), (COMPRESSED[0], COMPRESSED[1]))))
    assert forms == (NATIVE, (DEFLATED,), (EXPLICIT_VR_BE,), (COMPRESSED[0],), (COMPRESSED[1],))
    assert len(set(list_single_forms(AS_STORED))) == len(list_single_forms(AS_STORED))
    offered = offer_single_form(NATIVE, ["1.1", "1.2"])
    assert [(it.sop_class_uid, it.transfer_syntaxes) for it in offered] == [("1.1", NATIVE), ("1.2", NATIVE)]
