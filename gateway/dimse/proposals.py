"""What the settings of a backend and the needs of a request mean in association negotiation.

Pure: settings and contexts in, proposals out. ``archive.py`` alone leases by them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.config import BackendSettings
from gateway.dimse.association import Association
from gateway.dimse.contexts import MAX_CONTEXTS, Proposal, ProposedSyntax
from gateway.dimse.pool import PoolLimits
from gateway.dimse.requestor import Peer
from gateway.dimse.uids import (
    COMPOSITE_ROOT_GET,
    QR_TRANSFER_SYNTAXES,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
    WITHOUT_BULK_DATA_GET,
)
from gateway.dimse.ul.events import ExtendedNegotiation, UserIdentity
from gateway.errors import NoAcceptedContext

__all__ = [
    "PARTIAL_GETS",
    "QueryCapabilities",
    "RetrieveAbilities",
    "StorageContext",
    "check_roles",
    "describe_peer",
    "limit_pool",
    "propose_get",
    "propose_query",
]


PARTIAL_GETS = (WITHOUT_BULK_DATA_GET, COMPOSITE_ROOT_GET)
"""Services that retrieve less than whole instances."""


@dataclass(frozen=True, slots=True)
class QueryCapabilities:
    """What C-FIND options the archive accepted in extended negotiation (PS3.4 §C.5.1)."""

    relational: bool = False
    combined_datetime: bool = False
    fuzzy: bool = False
    timezone: bool = False


@dataclass(frozen=True, slots=True)
class RetrieveAbilities:
    """Which ways of retrieving the archive accepted; a C-GET may still fail for want of the SCP role."""

    can_get: bool
    can_move: bool


@dataclass(frozen=True, slots=True)
class StorageContext:
    """A storage class and transfer syntaxes to offer for it in one context of a C-GET, preferred first."""

    sop_class_uid: str
    transfer_syntaxes: tuple[str, ...]


def describe_peer(settings: BackendSettings, calling_ae_title: str) -> Peer:
    """Where the archive is, and as whom we call it; with user identity where configured (PS3.7 §D.3.3.7)."""
    identity = None
    if settings.user_name is not None:
        kind = 2 if settings.password is not None else 1
        identity = UserIdentity(kind, settings.user_name.encode(), (settings.password or "").encode())
    return Peer(
        settings.host,
        settings.port,
        settings.ae_title,
        calling_ae_title,
        settings.max_pdu_bytes,
        settings.connect_timeout_s,
        settings.associate_timeout_s,
        settings.silence_timeout_s,
        identity,
    )


def limit_pool(settings: BackendSettings) -> PoolLimits:
    """The pool's share of the settings."""
    return PoolLimits(
        settings.max_associations,
        settings.max_idle_s,
        settings.max_age_s,
        settings.pool_timeout_s,
        settings.stop_early,
    )


def propose_query(settings: BackendSettings, *, fuzzy: bool = False) -> Proposal:
    """One proposal for everything without storage contexts, so that any query association serves any query.

    C-GET stands in it only to learn whether the archive knows it. Of the options of C-FIND (PS3.4 §C.5.1.1) those
    that change nothing unless used are asked for always; fuzzy matching changes what names match.
    """
    classes = (VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET)
    asked = bytes([settings.relational is not False, True, fuzzy, True, False, False, False])
    flags = asked[: settings.extended_negotiation_bytes]
    return Proposal(
        tuple(ProposedSyntax(uid, QR_TRANSFER_SYNTAXES) for uid in classes),
        (ExtendedNegotiation(STUDY_ROOT_FIND, flags),) if flags else (),
    )


def propose_get(contexts: Sequence[StorageContext], query: Proposal) -> Proposal:
    """What `query` proposes, C-GET in it, and the classes to receive with the SCP role (PS3.4 §C.5.3.1).

    Such an association serves queries too: where all are taken, one need not be closed to open another kind. Where
    there is room, the services that retrieve less than whole instances are proposed besides, to learn whether the
    archive has them, and to use them.
    """
    storage_syntaxes = (
        ProposedSyntax(context.sop_class_uid, context.transfer_syntaxes, scp=True) for context in contexts
    )
    has_room = len(query.syntaxes) + len(PARTIAL_GETS) + len(contexts) <= MAX_CONTEXTS
    partial = (ProposedSyntax(uid, QR_TRANSFER_SYNTAXES) for uid in PARTIAL_GETS if has_room)
    return Proposal((*query.syntaxes, *partial, *storage_syntaxes), query.extended, exact=True)


def check_roles(association: Association, contexts: Sequence[StorageContext]) -> None:
    """See that some storage context was accepted with the SCP role, else nothing could arrive.

    Raises
    ------
    NoAcceptedContext
        None was; carries the worst result, 0 where only the role was refused.
    """
    if any(association.contexts.find(context.sop_class_uid, scp=True) for context in contexts):
        return
    worst = max(association.contexts.worst_result(context.sop_class_uid) for context in contexts)
    raise NoAcceptedContext(association.ae_title, contexts[0].sop_class_uid, worst)
