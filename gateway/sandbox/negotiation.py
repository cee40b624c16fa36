"""What a sandbox archive accepts of an association request (PS3.7 Annex D, PS3.4 §C.5).

Every storage SOP class, known or private, in every transfer syntax proposed, in both roles, so that instances
come and go in the form in which they are stored; the supported contexts are built from the request itself, which
needs none of pynetdicom's process-wide settings. Everything can be narrowed by the behaviour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.service_class import ServiceClass, StorageServiceClass
from pynetdicom.sop_class import uid_to_service_class

from gateway.sandbox.behaviour import Behaviour
from gateway.sandbox.commitment import STORAGE_COMMITMENT

__all__ = [
    "COMPOSITE_ROOT_GET",
    "FIND_MODELS",
    "GET_MODELS",
    "MOVE_MODELS",
    "PATIENT_ROOT",
    "ROOT_GET_MODELS",
    "VERIFICATION",
    "answer_extended_negotiation",
    "choose_contexts",
]

VERIFICATION = "1.2.840.10008.1.1"
FIND_MODELS = frozenset({"1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"})
MOVE_MODELS = frozenset({"1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.2.2"})
GET_MODELS = frozenset({"1.2.840.10008.5.1.4.1.2.1.3", "1.2.840.10008.5.1.4.1.2.2.3"})
COMPOSITE_ROOT_GET = "1.2.840.10008.5.1.4.1.2.4.3"
ROOT_GET_MODELS = frozenset({COMPOSITE_ROOT_GET, "1.2.840.10008.5.1.4.1.2.5.3"})
PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1."

_NATIVE = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


def choose_contexts(requested: Iterable[PresentationContext], behaviour: Behaviour) -> list[PresentationContext]:
    """Return the supported contexts for one request, one per abstract syntax, requestor's preference first."""
    proposed: dict[str, list[str]] = {}
    for context in requested:
        syntaxes = proposed.setdefault(str(context.abstract_syntax), [])
        syntaxes += [str(uid) for uid in context.transfer_syntax if str(uid) not in syntaxes]
    contexts = (_support(abstract, syntaxes, behaviour) for abstract, syntaxes in proposed.items())
    return [context for context in contexts if context is not None]


def _support(abstract_syntax: str, proposed: list[str], behaviour: Behaviour) -> PresentationContext | None:
    is_storage = _is_storage(abstract_syntax)
    if abstract_syntax in behaviour.refused_classes:
        return None
    if not is_storage and abstract_syntax not in _list_services(behaviour):
        return None
    accepted = [uid for uid in proposed if _is_accepted(uid, is_storage, behaviour)]
    if not accepted:
        accepted = ["1.2.840.10008.1.2.4.0"]  # matches no proposal: result 4, transfer syntaxes not supported
    context = build_context(UID(abstract_syntax), accepted)
    if is_storage and not behaviour.refuse_role:
        context.scu_role = context.scp_role = True
    return context


def _list_services(behaviour: Behaviour) -> set[str]:
    services = {VERIFICATION} | FIND_MODELS
    return (
        services
        | (frozenset() if behaviour.refuse_get else GET_MODELS)
        | (frozenset() if behaviour.refuse_move else MOVE_MODELS)
        | (ROOT_GET_MODELS if behaviour.offer_root_retrieve else frozenset())
        | (frozenset() if behaviour.refuse_commitment else {STORAGE_COMMITMENT})
    )


def _is_storage(abstract_syntax: str) -> bool:
    """Known storage classes, and what pynetdicom does not know: private classes and newer ones."""
    if abstract_syntax in (VERIFICATION, STORAGE_COMMITMENT):
        return False
    return uid_to_service_class(abstract_syntax) in (StorageServiceClass, ServiceClass)


def _is_accepted(transfer_syntax: str, is_storage: bool, behaviour: Behaviour) -> bool:
    if not is_storage:
        return transfer_syntax in _NATIVE
    if behaviour.refuse_compressed and transfer_syntax not in _NATIVE:
        return False
    allowed = behaviour.accepted_transfer_syntaxes
    return allowed is None or transfer_syntax in allowed


def answer_extended_negotiation(requested: Mapping[str, bytes], behaviour: Behaviour) -> dict[str, bytes]:
    """Return the application information to answer, by SOP Class UID, as long as it was offered.

    Timezone query adjustment and the bytes after it are never accepted (PS3.4 §C.5.1.1, §C.5.2.1).
    """
    if behaviour.refuse_extended_negotiation:
        return {}
    find = (not behaviour.refuse_relational, not behaviour.refuse_combined_datetime, not behaviour.refuse_fuzzy)
    retrieve = (not behaviour.refuse_relational,)
    answers = {}
    for uid, offered in requested.items():
        if uid in FIND_MODELS | MOVE_MODELS | GET_MODELS:
            able = find if uid in FIND_MODELS else retrieve
            padded = able + (False,) * (len(offered) - len(able))
            answers[str(uid)] = bytes(int(bool(ask) and can) for ask, can in zip(offered, padded, strict=False))
    return answers
