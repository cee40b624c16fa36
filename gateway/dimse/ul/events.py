"""What passes between the upper layer and its user: service primitives of PS3.8 §7 as plain values.

The same types go both ways: `Connection.send` takes them as requests and responses, `Connection.next_event`
returns them as indications and confirmations. They hold no bytes of a PDU apart from `PDataFragment.data` and
the opaque fields of negotiation items. Used by `gateway.dimse` only.

Source: PS3.8 §7.1-§7.5, §9.3, Annex D; PS3.7 Annex D.3.3
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

__all__ = [
    "Abort",
    "AssociateAccept",
    "AssociateReject",
    "AssociateRequest",
    "ContextResult",
    "ExtendedNegotiation",
    "IndicationEvent",
    "PDataFragment",
    "ProposedContext",
    "ReleaseReply",
    "ReleaseRequest",
    "RequestEvent",
    "RoleSelection",
    "TransportClosed",
    "UserIdentity",
]

DICOM_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context as proposed (item 20H, PS3.8 §9.3.2.2).

    Parameters
    ----------
    context_id : int
        Odd, 1 to 255, unique in the request.
    abstract_syntax : str
        UID, usually of a SOP class.
    transfer_syntaxes : tuple[str, ...]
        UIDs in order of preference, at least one.
    """

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ContextResult:
    """The answer to one proposed context (item 21H, PS3.8 §9.3.3.2).

    Parameters
    ----------
    context_id : int
        As proposed.
    result : int
        0 acceptance, 1 user rejection, 2 no reason, 3 abstract syntax, 4 transfer syntaxes not supported.
    transfer_syntax : str
        UID; empty when refused, since the field is then not significant.
    """

    context_id: int
    result: int
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class RoleSelection:
    """SCP/SCU role selection for one SOP class (item 54H, PS3.7 D.3.3.4): the roles of the requestor."""

    sop_class_uid: str
    scu: bool
    scp: bool


@dataclass(frozen=True, slots=True)
class ExtendedNegotiation:
    """SOP class extended negotiation (item 56H, PS3.7 D.3.3.5); the service class defines `information`."""

    sop_class_uid: str
    information: bytes


@dataclass(frozen=True, slots=True)
class UserIdentity:
    """User identity negotiation (item 58H, PS3.7 D.3.3.7).

    Parameters
    ----------
    kind : int
        1 user name, 2 user name and passcode, 3 Kerberos ticket, 4 SAML assertion, 5 JSON web token.
    primary : bytes
        User name (UTF-8), ticket, assertion or token.
    secondary : bytes
        Passcode, for kind 2 only.
    response_requested : bool
        Whether the acceptor shall answer with item 59H.
    """

    kind: int
    primary: bytes
    secondary: bytes = b""
    response_requested: bool = False

    def __repr__(self) -> str:
        """Without the credentials, so that a logged event gives none away."""
        return f"UserIdentity(kind={self.kind}, response_requested={self.response_requested})"


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """A-ASSOCIATE request or indication (A-ASSOCIATE-RQ, PS3.8 §9.3.2).

    `max_length` is the longest P-DATA-TF variable field (bytes) that the requestor will take; 0 = no limit.
    AE titles come without padding. `protocol_version` is a bit field; the acceptor tests bit 0 only.
    """

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[ProposedContext, ...]
    max_length: int
    implementation_class_uid: str
    implementation_version_name: str = ""
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    user_identity: UserIdentity | None = None
    application_context: str = DICOM_APPLICATION_CONTEXT
    protocol_version: int = 1


@dataclass(frozen=True, slots=True)
class AssociateAccept:
    """A-ASSOCIATE response or confirmation, accepting (A-ASSOCIATE-AC, PS3.8 §9.3.3).

    `max_length` is what the acceptor will take (bytes, 0 = no limit). The AE titles are echoed and not to be
    tested (PS3.8 Table 9-17).
    """

    called_ae_title: str
    calling_ae_title: str
    results: tuple[ContextResult, ...]
    max_length: int
    implementation_class_uid: str
    implementation_version_name: str = ""
    roles: tuple[RoleSelection, ...] = ()
    extended: tuple[ExtendedNegotiation, ...] = ()
    user_identity_response: bytes | None = None


@dataclass(frozen=True, slots=True)
class AssociateReject:
    """A-ASSOCIATE-RJ (PS3.8 §9.3.4, Table 9-21).

    `result` 1 permanent, 2 transient; `source` 1 user, 2 provider (ACSE), 3 provider (presentation);
    the meaning of `reason` depends on `source`.
    """

    result: int
    source: int
    reason: int


class PDataFragment(NamedTuple):
    """A piece of one command set or data set, as it arrived (PS3.8 §9.3.5, Annex E).

    Parameters
    ----------
    context_id : int
        Presentation context of the PDV.
    is_command : bool
        Command set rather than data set (bit 0 of the message control header).
    data : memoryview or bytes
        Payload bytes, a view of what was fed; empty only when `last`.
    last : bool
        This piece ends the command set or data set (bit 1, and the PDV is complete).

    A named tuple because it is made for every piece on the hot path: a frozen dataclass costs three times as
    much to construct.
    """

    context_id: int
    is_command: bool
    data: memoryview | bytes
    last: bool


@dataclass(frozen=True, slots=True)
class ReleaseRequest:
    """A-RELEASE request or indication (PS3.8 §7.2)."""


@dataclass(frozen=True, slots=True)
class ReleaseReply:
    """A-RELEASE response or confirmation (PS3.8 §7.2)."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A-ABORT (PS3.8 §9.3.8): `source` 0 service user, 2 service provider; `reason` counts for 2 only."""

    source: int
    reason: int


@dataclass(frozen=True, slots=True)
class TransportClosed:
    """The transport connection ended; while an association stands this is an A-P-ABORT (PS3.8 §7.4)."""


RequestEvent: TypeAlias = AssociateRequest | AssociateAccept | AssociateReject | ReleaseRequest | ReleaseReply | Abort
IndicationEvent: TypeAlias = RequestEvent | PDataFragment | TransportClosed
