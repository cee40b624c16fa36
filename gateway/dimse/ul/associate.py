"""A-ASSOCIATE-RQ and -AC: their variable fields encoded and decoded, by pynetdicom's PDU and item classes.

These are untyped at this boundary and stay inside this module. The items themselves are walked here, because a
receiver skips items it does not recognize (PS3.8 §9.3.1) and pynetdicom refuses them. ``pdu.py``, the only caller,
imports this module for the first association: pynetdicom takes as long to import as all the rest of a start.

Source: PS3.8 §9.3.2, §9.3.3, Annex D; PS3.7 Annex D.3.3
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from enum import IntEnum
from typing import Any, Final

from pynetdicom import pdu as pynetdicom_pdu
from pynetdicom import pdu_items

from gateway.dimse.ul.events import (
    AssociateAccept,
    AssociateRequest,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
    UserIdentity,
)

__all__ = ["decode_accept", "decode_request", "encode_accept", "encode_request"]

_FIXED_LENGTH: Final = 68
"""Bytes of an A-ASSOCIATE body before its items: version, reserved, AE titles, reserved (Table 9-11)."""
_AE_TITLE_LENGTH: Final = 16
_ITEM_LENGTH: Final = struct.Struct(">2xH")
_USER_IDENTITY: Final = struct.Struct(">BBH")
_UINT16: Final = struct.Struct(">H")


class _ItemType(IntEnum):
    """First byte of an item or sub-item of an A-ASSOCIATE PDU (PS3.8 §9.3.2, Annex D; PS3.7 D.3.3)."""

    APPLICATION_CONTEXT = 0x10
    PROPOSED_CONTEXT = 0x20
    CONTEXT_RESULT = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS_UID = 0x52
    ROLE_SELECTION = 0x54
    IMPLEMENTATION_VERSION_NAME = 0x55
    EXTENDED_NEGOTIATION = 0x56
    USER_IDENTITY_RQ = 0x58
    USER_IDENTITY_AC = 0x59


# --- A-ASSOCIATE-RQ and -AC: encoding ---


def encode_request(event: AssociateRequest) -> bytes:
    """The whole A-ASSOCIATE-RQ; ValueError, TypeError or struct.error where a field does not fit."""
    pdu: Any = pynetdicom_pdu.A_ASSOCIATE_RQ()
    pdu.protocol_version = event.protocol_version
    pdu.called_ae_title = event.called_ae_title
    pdu.calling_ae_title = event.calling_ae_title
    application = pdu_items.ApplicationContextItem()
    application.application_context_name = event.application_context
    contexts = [_proposed_context_item(context) for context in event.contexts]
    identity = [] if event.user_identity is None else [_user_identity_item(event.user_identity)]
    pdu.variable_items = [application, *contexts, _user_information_item(event, identity)]
    return bytes(pdu.encode())


def encode_accept(event: AssociateAccept) -> bytes:
    """The whole A-ASSOCIATE-AC; ValueError, TypeError or struct.error where a field does not fit."""
    pdu: Any = pynetdicom_pdu.A_ASSOCIATE_AC()
    pdu.reserved_aet = _encode_echoed_title(event.called_ae_title)
    pdu.reserved_aec = _encode_echoed_title(event.calling_ae_title)
    results = [_context_result_item(result) for result in event.results]
    response = event.user_identity_response
    identity = [] if response is None else [_user_identity_response_item(response)]
    pdu.variable_items = [
        pdu_items.ApplicationContextItem(),
        *results,
        _user_information_item(event, identity),
    ]
    return bytes(pdu.encode())


def _encode_echoed_title(title: str) -> bytes:
    """Nobody tests it (Table 9-17): characters that a peer should not have sent do not stop the answer."""
    return title.encode("ascii", "replace")[:_AE_TITLE_LENGTH]


def _transfer_syntax_item(uid: str) -> Any:
    item: Any = pdu_items.TransferSyntaxSubItem()
    item.transfer_syntax_name = uid
    return item


def _proposed_context_item(context: ProposedContext) -> Any:
    abstract: Any = pdu_items.AbstractSyntaxSubItem()
    abstract.abstract_syntax_name = context.abstract_syntax
    item: Any = pdu_items.PresentationContextItemRQ()
    item.presentation_context_id = context.context_id
    transfer = [_transfer_syntax_item(uid) for uid in context.transfer_syntaxes]
    item.abstract_transfer_syntax_sub_items = [abstract, *transfer]
    return item


def _context_result_item(result: ContextResult) -> Any:
    item: Any = pdu_items.PresentationContextItemAC()
    item.presentation_context_id = result.context_id
    item.result_reason = result.result
    # The field is not significant when refused, but it is there (PS3.8 §9.3.3.2); some peers insist on a UID.
    item.transfer_syntax_sub_item = [_transfer_syntax_item(result.transfer_syntax or "1.2.840.10008.1.2")]
    return item


def _user_information_item(event: AssociateRequest | AssociateAccept, identity: list[Any]) -> Any:
    max_length: Any = pdu_items.MaximumLengthSubItem()
    max_length.maximum_length_received = event.max_length
    implementation: Any = pdu_items.ImplementationClassUIDSubItem()
    implementation.implementation_class_uid = event.implementation_class_uid
    version: Any = pdu_items.ImplementationVersionNameSubItem()
    version.implementation_version_name = event.implementation_version_name
    item: Any = pdu_items.UserInformationItem()
    item.user_data = [
        max_length,
        implementation,
        *(_role_item(role) for role in event.roles),
        *([version] if event.implementation_version_name else []),
        *(_extended_item(extended) for extended in event.extended),
        *identity,
    ]
    return item


def _role_item(role: RoleSelection) -> Any:
    item: Any = pdu_items.SCP_SCU_RoleSelectionSubItem()
    item.sop_class_uid = role.sop_class_uid
    item.scu_role = int(role.scu)
    item.scp_role = int(role.scp)
    return item


def _extended_item(extended: ExtendedNegotiation) -> Any:
    item: Any = pdu_items.SOPClassExtendedNegotiationSubItem()
    item.sop_class_uid = extended.sop_class_uid
    item.service_class_application_information = extended.information
    return item


def _user_identity_item(identity: UserIdentity) -> Any:
    item: Any = pdu_items.UserIdentitySubItemRQ()
    item.user_identity_type = identity.kind
    item.positive_response_requested = int(identity.response_requested)
    item.primary_field = identity.primary
    item.secondary_field = identity.secondary
    return item


def _user_identity_response_item(response: bytes) -> Any:
    item: Any = pdu_items.UserIdentitySubItemAC()
    item.server_response = response
    return item


# --- A-ASSOCIATE-RQ and -AC: decoding ---


def decode_request(body: bytes) -> AssociateRequest:
    """Read what follows the header of an A-ASSOCIATE-RQ; raises whatever pynetdicom does for what it cannot use."""
    items = _collect_items(body)
    contexts = tuple(_decode_proposed_context(item) for item in items[_ItemType.PROPOSED_CONTEXT])
    if len({context.context_id for context in contexts}) != len(contexts):
        raise ValueError("presentation context ID used twice")
    identities = items[_ItemType.USER_IDENTITY_RQ]
    return AssociateRequest(
        called_ae_title=_decode_title(body[4:20]),
        calling_ae_title=_decode_title(body[20:36]),
        contexts=contexts,
        max_length=_decode_max_length(items),
        implementation_class_uid=_decode_implementation_class_uid(items),
        implementation_version_name=_decode_version_name(items),
        roles=_decode_roles(items),
        extended=_decode_extended(items),
        user_identity=_decode_user_identity(identities[0]) if identities else None,
        application_context=_decode_application_context(items),
        protocol_version=int.from_bytes(body[:2], "big"),
    )


def decode_accept(body: bytes) -> AssociateAccept:
    """Read what follows the header of an A-ASSOCIATE-AC; raises as `decode_request`."""
    items = _collect_items(body)
    identities = items[_ItemType.USER_IDENTITY_AC]
    return AssociateAccept(
        called_ae_title=_decode_title(body[4:20]),
        calling_ae_title=_decode_title(body[20:36]),
        results=tuple(_decode_context_result(item) for item in items[_ItemType.CONTEXT_RESULT]),
        max_length=_decode_max_length(items),
        implementation_class_uid=_decode_implementation_class_uid(items),
        implementation_version_name=_decode_version_name(items),
        roles=_decode_roles(items),
        extended=_decode_extended(items),
        user_identity_response=_decode_item(identities[0]).server_response if identities else None,
    )


def _collect_items(body: bytes) -> defaultdict[int, list[bytes]]:
    """Sort the items of an A-ASSOCIATE body by type, those inside User Information among them.

    Each is whole, with its header. Types that nothing asks for are thereby skipped (PS3.8 §9.3.1): unknown
    ones, and 53H and 57H, which change nothing for a gateway that invokes one operation at a time.
    """
    if len(body) < _FIXED_LENGTH:
        raise ValueError("shorter than its fixed fields")
    items: defaultdict[int, list[bytes]] = defaultdict(list)
    for item in _iter_items(body[_FIXED_LENGTH:]):
        items[item[0]].append(item)
    for user_information in items[_ItemType.USER_INFORMATION]:
        for item in _iter_items(user_information[4:]):
            items[item[0]].append(item)
    return items


def _iter_items(encoded: bytes) -> Iterator[bytes]:
    offset = 0
    while offset < len(encoded):
        (length,) = _ITEM_LENGTH.unpack_from(encoded, offset)
        end = offset + 4 + length
        if end > len(encoded):
            raise ValueError("item longer than what holds it")
        yield encoded[offset:end]
        offset = end


def _decode_item(encoded: bytes) -> Any:
    item: Any = pdu_items.PDU_ITEM_TYPES[encoded[0]]()
    item.decode(encoded)
    return item


def _decode_context_item(encoded: bytes, known: Collection[int]) -> Any:
    """Decode a presentation context item (20H or 21H) without the sub-items that are not `known` in it."""
    item = _decode_item(encoded[:8] + b"".join(sub for sub in _iter_items(encoded[8:]) if sub[0] in known))
    if item.context_id % 2 == 0:
        raise ValueError("presentation context IDs are odd")
    return item


def _decode_proposed_context(encoded: bytes) -> ProposedContext:
    item = _decode_context_item(encoded, (_ItemType.ABSTRACT_SYNTAX, _ItemType.TRANSFER_SYNTAX))
    if not item.abstract_syntax:
        raise ValueError("presentation context without abstract syntax")
    transfer_syntaxes = tuple(str(uid) for uid in item.transfer_syntax if uid)
    return ProposedContext(item.context_id, str(item.abstract_syntax), transfer_syntaxes)


def _decode_context_result(encoded: bytes) -> ContextResult:
    item = _decode_context_item(encoded, (_ItemType.TRANSFER_SYNTAX,))
    if item.result != 0:
        return ContextResult(item.context_id, item.result, "")
    if not item.transfer_syntax:
        raise ValueError("accepted presentation context without transfer syntax")
    return ContextResult(item.context_id, 0, str(item.transfer_syntax))


def _decode_title(field: bytes) -> str:
    """Leading and trailing spaces are not significant (Table 9-11); some peers pad with NUL.

    Characters outside ASCII become replacement characters, so that the title matches none that is configured.
    """
    return field.decode("ascii", "replace").strip(" \0")


def _decode_application_context(items: Mapping[int, list[bytes]]) -> str:
    names = items[_ItemType.APPLICATION_CONTEXT]
    return str(_decode_item(names[0]).application_context_name) if names else ""


def _decode_max_length(items: Mapping[int, list[bytes]]) -> int:
    """No item means that the peer stated no limit: 0, as in the item itself (PS3.8 §D.1.1)."""
    lengths = items[_ItemType.MAXIMUM_LENGTH]
    return int(_decode_item(lengths[0]).maximum_length_received) if lengths else 0


def _decode_implementation_class_uid(items: Mapping[int, list[bytes]]) -> str:
    uids = items[_ItemType.IMPLEMENTATION_CLASS_UID]
    return str(_decode_item(uids[0]).implementation_class_uid or "") if uids else ""


def _decode_version_name(items: Mapping[int, list[bytes]]) -> str:
    """Read as text whatever it is: a name of 17 characters is no reason to refuse an association."""
    names = items[_ItemType.IMPLEMENTATION_VERSION_NAME]
    return _decode_title(names[0][4:]) if names else ""


def _decode_roles(items: Mapping[int, list[bytes]]) -> tuple[RoleSelection, ...]:
    decoded = [_decode_item(item) for item in items[_ItemType.ROLE_SELECTION]]
    return tuple(RoleSelection(str(item.sop_class_uid), bool(item.scu_role), bool(item.scp_role)) for item in decoded)


def _decode_extended(items: Mapping[int, list[bytes]]) -> tuple[ExtendedNegotiation, ...]:
    decoded = [_decode_item(item) for item in items[_ItemType.EXTENDED_NEGOTIATION]]
    return tuple(
        ExtendedNegotiation(str(item.sop_class_uid), bytes(item.service_class_application_information))
        for item in decoded
    )


def _decode_user_identity(encoded: bytes) -> UserIdentity:
    """Read by hand: pynetdicom takes what follows an empty primary field for that field (PS3.7 D.3.3.7.1)."""
    kind, response_requested, length = _USER_IDENTITY.unpack_from(encoded, 4)
    primary, rest = encoded[8 : 8 + length], encoded[8 + length :]
    (length_of_secondary,) = _UINT16.unpack_from(rest)
    if len(rest) != 2 + length_of_secondary:
        raise ValueError("user identity fields disagree with the item")
    return UserIdentity(kind, primary, rest[2:], bool(response_requested))
