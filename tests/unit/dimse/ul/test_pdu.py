"""Encoding and decoding of PDUs: reference byte strings of pynetdicom, every item, tolerance, refusals."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.tests import encoded_pdu_items as reference

from gateway.dimse.ul.events import (
    Abort,
    AssociateAccept,
    AssociateReject,
    AssociateRequest,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    ReleaseReply,
    ReleaseRequest,
    RequestEvent,
    RoleSelection,
    UserIdentity,
)
from gateway.dimse.ul.pdu import (
    P_DATA_HEADER_LENGTH,
    AbortReason,
    PduType,
    decode_pdu,
    encode_p_data_header,
    encode_pdu,
)
from gateway.errors import LocalProtocolError, RemoteProtocolError
from tests.support.upper_layer import make_accept, make_request


def decode(wire: bytes) -> Any:
    pdu_type, length = struct.unpack_from(">BxI", wire)
    assert len(wire) == 6 + length
    return decode_pdu(PduType(pdu_type), wire[6:])


REFERENCE_REQUEST = AssociateRequest(
    called_ae_title="ANY-SCP",
    calling_ae_title="ECHOSCU",
    contexts=(ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),),
    max_length=16_382,
    implementation_class_uid="1.2.826.0.1.3680043.9.3811.0.9.0",
    implementation_version_name="PYNETDICOM_090",
)
REFERENCE_ACCEPT = AssociateAccept(
    called_ae_title="ANY-SCP",
    calling_ae_title="ECHOSCU",
    results=(ContextResult(1, 0, "1.2.840.10008.1.2"),),
    max_length=16_384,
    implementation_class_uid="1.2.276.0.7230010.3.0.3.6.0",
    implementation_version_name="OFFIS_DCMTK_360",
)


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (reference.a_associate_rq, REFERENCE_REQUEST),
        (reference.a_associate_ac, REFERENCE_ACCEPT),
        (reference.a_associate_rj, AssociateReject(1, 1, 1)),
        (reference.a_release_rq, ReleaseRequest()),
        (reference.a_release_rp, ReleaseReply()),
        (reference.a_abort, Abort(0, 0)),
        (reference.a_p_abort, Abort(2, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_reference_bytes_both_ways(wire: bytes, event: RequestEvent) -> None:
    assert decode(wire) == event
    assert encode_pdu(event) == wire


def test_async_operations_window_is_tolerated() -> None:
    assert b"\x53\0\0\4" in reference.a_associate_rq_user_async
    decoded = decode(reference.a_associate_rq_user_async)
    assert decoded.contexts == REFERENCE_REQUEST.contexts


def test_common_extended_negotiation_is_tolerated() -> None:
    assert b"\x57\0" in reference.a_associate_rq_com_ext_neg
    assert decode(reference.a_associate_rq_com_ext_neg).extended == ()


def test_reference_roles() -> None:
    assert decode(reference.a_associate_rq_role).roles == (RoleSelection("1.2.840.10008.5.1.4.1.1.2", False, True),)


def test_reference_user_identity() -> None:
    decoded = decode(reference.a_associate_rq_user_id_user_pass)
    assert decoded.user_identity == UserIdentity(2, b"pynetdicom", b"p4ssw0rd", False)
    # this reference states a PDU length that is 14 short of its bytes
    accept = decode_pdu(PduType.ASSOCIATE_AC, reference.a_associate_ac_user[6:])
    assert isinstance(accept, AssociateAccept)
    assert accept.user_identity_response == b"Accepted"


def test_reference_extended_negotiation() -> None:
    decoded = decode(reference.a_associate_rq_user_id_ext_neg)
    assert decoded.extended == (
        ExtendedNegotiation("1.2.840.10008.5.1.4.1.1.2", b"\2\0\3\0\1\0"),
        ExtendedNegotiation("1.2.840.10008.5.1.4.1.1.4", b"\2\0\3\0\1\0"),
    )


@pytest.mark.parametrize("wire", [reference.a_associate_ac_zero_ts, reference.a_associate_ac_no_ts])
def test_refused_context_without_transfer_syntax(wire: bytes) -> None:
    assert decode(wire).results[-1].result == 3
    assert decode(wire).results[-1].transfer_syntax == ""


@pytest.mark.parametrize("wire", [reference.a_associate_rq_called, reference.a_associate_rq_calling])
def test_blank_titles_are_left_to_the_acceptor(wire: bytes) -> None:
    decoded = decode(wire)
    assert "" in (decoded.called_ae_title, decoded.calling_ae_title)


def test_p_data_header_is_that_of_pynetdicom() -> None:
    payload = reference.p_data_tf[P_DATA_HEADER_LENGTH:]
    assert encode_p_data_header(1, True, True, len(payload)) + payload == reference.p_data_tf
    for is_command, last, control in ((False, False, 0), (True, False, 1), (False, True, 2), (True, True, 3)):
        pdu = P_DATA_TF()
        pdu.decode(encode_p_data_header(5, is_command, last, 3) + b"abc")
        (item,) = pdu.presentation_data_value_items
        assert (item.context_id, item.presentation_data_value) == (5, bytes([control]) + b"abc")


# --- round trips ---

uids = st.lists(st.integers(0, 99_999), min_size=2, max_size=10).map(lambda parts: ".".join(map(str, parts)))
titles = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.", min_size=1, max_size=16)
context_ids = st.integers(0, 127).map(lambda number: 2 * number + 1)
lengths = st.integers(0, 0xFFFF_FFFF)
roles = st.lists(st.builds(RoleSelection, uids, st.booleans(), st.booleans()), max_size=4).map(tuple)
extended = st.lists(st.builds(ExtendedNegotiation, uids, st.binary(max_size=20)), max_size=3).map(tuple)
fields = st.binary(max_size=300)
proposed = st.lists(
    st.builds(ProposedContext, context_ids, uids, st.lists(uids, min_size=1, max_size=4).map(tuple)),
    max_size=6,
    unique_by=lambda context: context.context_id,
).map(tuple)
accepted = st.builds(ContextResult, context_ids, st.just(0), uids)
refused = st.builds(ContextResult, context_ids, st.integers(1, 4), st.just(""))


@given(
    st.builds(
        AssociateRequest,
        titles,
        titles,
        proposed,
        lengths,
        uids,
        titles | st.just(""),
        roles,
        extended,
        st.none() | st.builds(UserIdentity, st.integers(1, 5), fields, fields, st.booleans()),
        uids,
        st.integers(0, 0xFFFF),
    )
)
def test_requests_survive_the_wire(event: AssociateRequest) -> None:
    assert decode(encode_pdu(event)) == event


@given(
    st.builds(
        AssociateAccept,
        titles,
        titles,
        st.lists(accepted | refused, max_size=6).map(tuple),
        lengths,
        uids,
        titles | st.just(""),
        roles,
        extended,
        st.none() | fields,
    )
)
def test_accepts_survive_the_wire(event: AssociateAccept) -> None:
    assert decode(encode_pdu(event)) == event


def test_128_contexts() -> None:
    contexts = tuple(ProposedContext(2 * n + 1, f"1.2.{n}", ("1.2.840.10008.1.2",)) for n in range(128))
    assert decode(encode_pdu(make_request(contexts=contexts))).contexts == contexts


# --- what is tolerated ---


def make_item(item_type: int, body: bytes) -> bytes:
    return struct.pack(">BBH", item_type, 0, len(body)) + body


def make_body(*items: bytes, called: bytes = b"ARCHIVE", calling: bytes = b"GATEWAY") -> bytes:
    return b"\0\1\0\0" + called.ljust(16) + calling.ljust(16) + bytes(32) + b"".join(items)


IMPLICIT = make_item(0x40, b"1.2.840.10008.1.2")
ABSTRACT = make_item(0x30, b"1.2.840.10008.1.1")


def make_proposal(context_id: int, *items: bytes) -> bytes:
    return make_item(0x20, bytes([context_id, 0, 0, 0]) + b"".join(items))


def make_result(context_id: int, result: int, *items: bytes) -> bytes:
    return make_item(0x21, bytes([context_id, 0, result, 0]) + b"".join(items))


def test_everything_optional_missing() -> None:
    assert decode_pdu(PduType.ASSOCIATE_RQ, make_body()) == AssociateRequest(
        "ARCHIVE", "GATEWAY", (), 0, "", application_context=""
    )
    assert decode_pdu(PduType.ASSOCIATE_AC, make_body()) == AssociateAccept("ARCHIVE", "GATEWAY", (), 0, "")


def test_unrecognized_items_are_skipped_at_every_level() -> None:
    odd = make_item(0x7A, b"whatever")
    user = make_item(0x50, odd + make_item(0x51, b"\0\0\x40\0") + odd)
    request = decode_pdu(
        PduType.ASSOCIATE_RQ, make_body(odd, make_proposal(1, odd, ABSTRACT, odd, IMPLICIT), user, odd)
    )
    assert isinstance(request, AssociateRequest)
    assert request.contexts == (ProposedContext(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",)),)
    assert request.max_length == 16_384
    accept = decode_pdu(PduType.ASSOCIATE_AC, make_body(odd, make_result(1, 0, odd, IMPLICIT), user))
    assert isinstance(accept, AssociateAccept)
    assert accept.results == (ContextResult(1, 0, "1.2.840.10008.1.2"),)


def test_abstract_syntax_in_an_answer_is_skipped() -> None:
    event = decode_pdu(PduType.ASSOCIATE_AC, make_body(make_result(1, 0, ABSTRACT, IMPLICIT)))
    assert isinstance(event, AssociateAccept)
    assert event.results == (ContextResult(1, 0, "1.2.840.10008.1.2"),)


@pytest.mark.parametrize("padded", [b"  ARCHIVE", b"ARCHIVE\0\0", b"ARCHIVE"])
def test_titles_are_stripped(padded: bytes) -> None:
    event = decode_pdu(PduType.ASSOCIATE_RQ, make_body(called=padded))
    assert isinstance(event, AssociateRequest)
    assert event.called_ae_title == "ARCHIVE"


def test_titles_outside_ascii_match_nothing_and_can_be_echoed() -> None:
    event = decode_pdu(PduType.ASSOCIATE_RQ, make_body(calling=b"J\xfcrgen"))
    assert isinstance(event, AssociateRequest)
    assert event.calling_ae_title == "J\ufffdrgen"
    echoed = encode_pdu(make_accept(calling_ae_title=event.calling_ae_title))
    assert echoed[26:42] == b"J?rgen          "


def test_version_name_may_break_its_rules() -> None:
    user = make_item(0x50, make_item(0x55, b"A_NAME_OF_MORE_THAN_16\0"))
    event = decode_pdu(PduType.ASSOCIATE_AC, make_body(user))
    assert isinstance(event, AssociateAccept)
    assert event.implementation_version_name == "A_NAME_OF_MORE_THAN_16"


def test_uids_padded_with_nul() -> None:
    abstract = make_item(0x30, b"1.2.840.10008.1.1\0")
    event = decode_pdu(PduType.ASSOCIATE_RQ, make_body(make_proposal(1, abstract, IMPLICIT)))
    assert isinstance(event, AssociateRequest)
    assert event.contexts[0].abstract_syntax == "1.2.840.10008.1.1"


def test_no_transfer_syntax_is_left_to_the_acceptor() -> None:
    event = decode_pdu(PduType.ASSOCIATE_RQ, make_body(make_proposal(1, ABSTRACT, make_item(0x40, b""))))
    assert isinstance(event, AssociateRequest)
    assert event.contexts == (ProposedContext(1, "1.2.840.10008.1.1", ()),)


def test_user_identity_with_empty_primary_field() -> None:
    user = make_item(0x50, make_item(0x58, b"\2\1\0\0\0\2pw"))
    event = decode_pdu(PduType.ASSOCIATE_RQ, make_body(user))
    assert isinstance(event, AssociateRequest)
    assert event.user_identity == UserIdentity(2, b"", b"pw", True)


# --- what is refused ---


@pytest.mark.parametrize(
    ("pdu_type", "body"),
    [
        pytest.param(1, make_body()[:67], id="short"),
        pytest.param(1, make_body(b"\x10\0\0"), id="item header cut"),
        pytest.param(1, make_body(b"\x10\0\0\5abc"), id="item cut"),
        pytest.param(1, make_body(make_item(0x10, b"1" * 65)), id="UID of 65 characters"),
        pytest.param(1, make_body(make_item(0x20, b"\1\0")), id="context cut"),
        pytest.param(1, make_body(make_proposal(2, ABSTRACT, IMPLICIT)), id="even context ID"),
        pytest.param(1, make_body(make_proposal(1, IMPLICIT)), id="no abstract syntax"),
        pytest.param(1, make_body(*[make_proposal(1, ABSTRACT, IMPLICIT)] * 2), id="context ID twice"),
        pytest.param(1, make_body(make_item(0x50, make_item(0x51, b"\0"))), id="max length cut"),
        pytest.param(1, make_body(make_item(0x50, make_item(0x54, b"\0\0031.2\2\0"))), id="role of 2"),
        pytest.param(1, make_body(make_item(0x50, make_item(0x54, b"\0\0031.2"))), id="roles missing"),
        pytest.param(1, make_body(make_item(0x50, make_item(0x56, b"\0"))), id="extended cut"),
        pytest.param(1, make_body(make_item(0x50, make_item(0x58, b"\1\0\0\5ab\0\0"))), id="identity cut"),
        pytest.param(1, make_body(make_item(0x50, make_item(0x58, b"\1\0\0\1a"))), id="no secondary length"),
        pytest.param(1, make_body(make_item(0x50, make_item(0x58, b"\2\0\0\0\0\1ab"))), id="byte left over"),
        pytest.param(2, make_body(make_result(1, 0)), id="accepted without transfer syntax"),
        pytest.param(2, make_body(make_result(4, 3)), id="even context ID in the answer"),
        pytest.param(3, b"\0\1\1", id="A-ASSOCIATE-RJ of three bytes"),
        pytest.param(7, b"", id="A-ABORT of nothing"),
    ],
)
def test_bodies_that_are_refused(pdu_type: int, body: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_pdu(PduType(pdu_type), body)
    assert caught.value.reason == AbortReason.INVALID_PARAMETER_VALUE


@pytest.mark.parametrize(
    "event",
    [
        make_request(called_ae_title=""),
        make_request(calling_ae_title="X" * 17),
        make_request(calling_ae_title="Jürgen"),
        make_request(contexts=(ProposedContext(257, "1.2", ("1.2",)),)),
        make_request(contexts=(ProposedContext(1, "1" * 65, ("1.2",)),)),
        make_request(max_length=1 << 32),
        make_request(implementation_version_name="X" * 17),
        make_request(user_identity=UserIdentity(5, bytes(65_530))),
        make_accept(results=(ContextResult(1, 0, "1" * 65),)),
        AssociateReject(256, 1, 1),
        Abort(2, -1),
    ],
    ids=lambda event: type(event).__name__,
)
def test_events_that_do_not_fit(event: RequestEvent) -> None:
    with pytest.raises(LocalProtocolError):
        encode_pdu(event)


def test_echoed_title_is_cut_to_its_field() -> None:
    assert decode(encode_pdu(make_accept(called_ae_title="X" * 17))).called_ae_title == "X" * 16
