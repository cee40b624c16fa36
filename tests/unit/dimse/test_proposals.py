"""Settings and needs as peers, limits and proposals."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import BackendSettings
from gateway.dimse.contexts import ProposedSyntax
from gateway.dimse.proposals import PARTIAL_GETS, StorageContext, describe_peer, limit_pool, propose_get, propose_query
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, STUDY_ROOT_FIND, STUDY_ROOT_GET, VERIFICATION


def make_settings(**values: Any) -> BackendSettings:
    return BackendSettings(ae_title="ARCHIVE", host="pacs", port=104, **values)


@pytest.mark.parametrize(
    ("values", "fuzzy", "flags"),
    [
        ({}, False, b"\1\1\0\1"),
        ({}, True, b"\1\1\1\1"),
        ({"relational": False}, True, b"\0\1\1\1"),
        ({"extended_negotiation_bytes": 1}, True, b"\1"),
        # nothing is asked for that is not used: enhanced conversion, empty value and multiple value matching
        ({"extended_negotiation_bytes": 7}, True, b"\1\1\1\1\0\0\0"),
    ],
)
def test_the_options_of_a_query(values: dict[str, Any], fuzzy: bool, flags: bytes) -> None:
    proposal = propose_query(make_settings(**values), fuzzy=fuzzy)
    assert [(item.sop_class_uid, item.information) for item in proposal.extended] == [(STUDY_ROOT_FIND, flags)]


def test_no_option_is_asked_of_an_archive_that_chokes_on_them() -> None:
    assert propose_query(make_settings(extended_negotiation_bytes=0)).extended == ()


def test_a_query_association_can_verify() -> None:
    assert ProposedSyntax(VERIFICATION, QR_TRANSFER_SYNTAXES) in propose_query(make_settings()).syntaxes


def test_a_get_offers_to_receive_and_is_not_shared_with_other_offers() -> None:
    query = propose_query(make_settings())
    proposal = propose_get([StorageContext("1.2.3", ("1.2", "1.3"))], query)
    partial = tuple(ProposedSyntax(uid, QR_TRANSFER_SYNTAXES) for uid in PARTIAL_GETS)
    assert proposal.syntaxes == (*query.syntaxes, *partial, ProposedSyntax("1.2.3", ("1.2", "1.3"), scp=True))
    assert ProposedSyntax(STUDY_ROOT_GET, QR_TRANSFER_SYNTAXES) in proposal.syntaxes
    assert not proposal.serves(propose_get([StorageContext("1.2.3", ("1.2",))], query))
    assert not query.serves(proposal)


def test_what_retrieves_less_is_left_out_where_there_is_no_room() -> None:
    query = propose_query(make_settings())
    contexts = [StorageContext(f"1.2.{number}", ("1.2",)) for number in range(128 - len(query.syntaxes))]
    assert len(propose_get(contexts, query).syntaxes) == 128
    assert not {syntax.abstract_syntax for syntax in propose_get(contexts, query).syntaxes} & set(PARTIAL_GETS)


def test_an_association_for_a_get_serves_queries() -> None:
    query = propose_query(make_settings())
    assert query.extended
    assert propose_get([StorageContext("1.2.3", ("1.2",))], query).serves(query)


@pytest.mark.parametrize(
    ("values", "identity"),
    [({}, None), ({"user_name": "u"}, (1, b"u", b"")), ({"user_name": "u", "password": "p"}, (2, b"u", b"p"))],
)
def test_who_calls(values: dict[str, Any], identity: tuple[int, bytes, bytes] | None) -> None:
    peer = describe_peer(make_settings(**values), "GATEWAY")
    assert (peer.host, peer.port, peer.ae_title, peer.calling_ae_title) == ("pacs", 104, "ARCHIVE", "GATEWAY")
    told = peer.user_identity
    assert (told and (told.kind, told.primary, told.secondary)) == identity


def test_the_limits_of_the_pool() -> None:
    limits = limit_pool(make_settings(max_associations=3, max_idle_s=4, max_age_s=5, pool_timeout_s=6))
    assert (limits.max_associations, limits.max_idle_s, limits.max_age_s, limits.wait_s) == (3, 4, 5, 6)
    assert limits.may_cut and not limit_pool(make_settings(stop_early=False)).may_cut
