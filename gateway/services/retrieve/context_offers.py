"""What to offer an archive so that instances arrive in the transfer syntaxes demanded (PS3.8 §9.3.2.2).

One transfer syntax is accepted per context, so each form that is to come through untouched needs a context of its
own, and 128 contexts are all there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.codecs.transfer_syntax import COMPRESSED, DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.dimse.archive import StorageContext
from gateway.services.retrieve.transfer_demand import ANY_STORED, TransferDemand

__all__ = ["MAX_STORAGE_CONTEXTS", "can_offer_all", "list_single_forms", "offer_contexts", "offer_single_form"]

MAX_STORAGE_CONTEXTS = 124
"""128 contexts of an association less those for C-GET itself and the queries it serves besides."""

_NATIVE = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)
_NATIVE_FORMS = (_NATIVE, (DEFLATED,), (EXPLICIT_VR_BE,))
_COMPRESSED_FORMS = tuple((uid,) for uid in COMPRESSED)
_RETIRED_FORMS = tuple((f"1.2.840.10008.1.2.4.{number}",) for number in (52, 53, 54, 55, 56, *range(58, 67)))
"""JPEG processes that are no longer in PS3.5, but in archives."""

_STORED_FORMS = (_NATIVE, *_COMPRESSED_FORMS, *_NATIVE_FORMS[1:], *_RETIRED_FORMS)


def offer_contexts(
    choice: Sequence[str], classes: Sequence[str], stored: Sequence[str] = ()
) -> tuple[StorageContext, ...]:
    """Contexts for one C-GET: one a class and form, as many forms as there is room for.

    Parameters
    ----------
    choice
        A group of ``TransferDemand.choices``.
    classes
        SOP Class UIDs of what is to come, at least one; 124 at most are offered. Their order does not matter.
    stored
        Transfer syntaxes the archive says it holds, offered before the others.
    """
    names = sorted(classes[:MAX_STORAGE_CONTEXTS])  # the same classes make the same offer, which pooled ones serve
    forms = _list_forms(choice)
    known = [form for form in forms if form[0] in stored]
    ordered = list(dict.fromkeys((*forms[:1], *known, *forms)))[: MAX_STORAGE_CONTEXTS // len(names)]
    return tuple(StorageContext(name, form) for form in ordered for name in names)


def can_offer_all(choice: Sequence[str], classes: Sequence[str]) -> bool:
    """Whether there is room for all `classes` in every form that archives hold, the retired ones aside."""
    forms = [form for form in _list_forms(choice) if form not in _RETIRED_FORMS]
    return len(forms) * len(classes) <= MAX_STORAGE_CONTEXTS


def offer_single_form(form: tuple[str, ...], classes: Sequence[str]) -> tuple[StorageContext, ...]:
    """One context a class, for archives that use their first accepted context whatever they hold."""
    return tuple(StorageContext(name, form) for name in sorted(classes[:MAX_STORAGE_CONTEXTS]))


def list_single_forms(demand: TransferDemand) -> tuple[tuple[str, ...], ...]:
    """The forms to try one at a time when an archive loses instances among many contexts."""
    return tuple(dict.fromkeys(form for choice in demand.choices for form in _list_forms(choice)))


def _list_forms(choice: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(dict.fromkeys(form for uid in choice for form in _forms_of(uid)))


def _forms_of(uid: str) -> tuple[tuple[str, ...], ...]:
    if uid == ANY_STORED:
        return _STORED_FORMS
    return _NATIVE_FORMS if uid == EXPLICIT_VR_LE else ((uid,),)
