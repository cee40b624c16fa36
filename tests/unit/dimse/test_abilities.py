"""What is learnt of an archive, from associations with one that is scripted in its answers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from gateway.config import BackendSettings, RetrieveMethod
from gateway.dimse.abilities import Abilities
from gateway.dimse.association import Association
from gateway.dimse.contexts import Proposal, ProposedSyntax
from gateway.dimse.proposals import PARTIAL_GETS, QueryCapabilities, RetrieveAbilities, StorageContext, propose_get
from gateway.dimse.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE

SETTINGS = BackendSettings(ae_title="PACS", host="none")
CT, US = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.6.1"
GET, MOVE = RetrieveMethod.C_GET, RetrieveMethod.C_MOVE


@dataclass
class FakeAssociation:
    """What `Abilities.learn` looks at."""

    proposal: Proposal | None
    accepted: tuple[str, ...] = (STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE)
    extended: dict[str, bytes] = field(default_factory=dict)

    @property
    def contexts(self) -> FakeAssociation:
        return self

    def find(self, abstract_syntax: str, *_: Any, **__: Any) -> object | None:
        return abstract_syntax if abstract_syntax in self.accepted else None


def learn(abilities: Abilities, **fields: Any) -> None:
    fields.setdefault("proposal", abilities.query_proposal)
    abilities.learn(cast(Association, FakeAssociation(**fields)))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (b"", QueryCapabilities()),
        (b"\1", QueryCapabilities(True)),
        (b"\0\1\0\1", QueryCapabilities(False, True, False, True)),
        (b"\1\1\1\1\1", QueryCapabilities(True, True, True, True)),
    ],
)
def test_what_was_negotiated_for_queries(flags: bytes, expected: QueryCapabilities) -> None:
    abilities = Abilities(SETTINGS, can_receive=True)
    assert abilities.capabilities is None and abilities.fuzzy_capabilities is None
    learn(abilities, extended={STUDY_ROOT_FIND: flags})
    assert abilities.capabilities == expected and abilities.fuzzy_capabilities is None
    learn(abilities, extended={STUDY_ROOT_FIND: b"\1\1\1\1"})
    assert abilities.capabilities == expected  # the first association tells
    learn(abilities, extended={STUDY_ROOT_FIND: b"\1\1\1"}, proposal=abilities.fuzzy_proposal)
    assert abilities.fuzzy_capabilities == QueryCapabilities(True, True, True)


def test_an_association_for_something_else_tells_nothing() -> None:
    abilities = Abilities(SETTINGS, can_receive=True)
    learn(abilities, proposal=None)
    learn(abilities, proposal=Proposal((ProposedSyntax(CT, ("1.2.840.10008.1.2.1",)),)))
    assert abilities.capabilities is None and abilities.retrieve is None


@pytest.mark.parametrize("can_receive", [True, False])
@pytest.mark.parametrize("accepted", [(STUDY_ROOT_GET,), (STUDY_ROOT_MOVE,), (STUDY_ROOT_GET, STUDY_ROOT_MOVE)])
def test_which_operations_are_of_use(accepted: tuple[str, ...], can_receive: bool) -> None:
    abilities = Abilities(SETTINGS, can_receive=can_receive)
    learn(abilities, accepted=accepted)
    assert abilities.retrieve == RetrieveAbilities(
        can_get=STUDY_ROOT_GET in accepted, can_move=can_receive and STUDY_ROOT_MOVE in accepted
    )


@pytest.mark.parametrize(
    ("can_get", "can_move", "expected"),
    [(True, True, (GET, MOVE)), (True, False, (GET,)), (False, True, (MOVE,)), (False, False, (GET,))],
)
def test_get_comes_before_move(can_get: bool, can_move: bool, expected: tuple[RetrieveMethod, ...]) -> None:
    abilities = Abilities(SETTINGS, can_receive=True)
    assert abilities.order_methods(RetrieveAbilities(can_get=can_get, can_move=can_move), [CT]) == expected


def test_move_comes_first_for_classes_that_only_it_gave() -> None:
    abilities, both = Abilities(SETTINGS, can_receive=True), RetrieveAbilities(can_get=True, can_move=True)
    abilities.note_get_refused([US])
    assert abilities.order_methods(both, [US]) == (MOVE, GET)
    assert abilities.order_methods(both, [US, CT]) == (GET, MOVE)
    assert abilities.order_methods(both, []) == (GET, MOVE)


def test_services_for_parts_of_instances_are_as_the_last_association_has_them() -> None:
    abilities = Abilities(SETTINGS, can_receive=True)
    first, second = PARTIAL_GETS
    proposal = propose_get([StorageContext(CT, ("1.2.840.10008.1.2.1",))], abilities.query_proposal)
    assert proposal.exact
    learn(abilities, proposal=proposal, accepted=(first, second))
    assert abilities.offers(first) and abilities.offers(second)
    learn(abilities, proposal=replace(proposal, exact=False), accepted=())
    assert abilities.offers(first)  # not proposed there
    learn(abilities, proposal=proposal, accepted=(first,))
    assert abilities.offers(first) and not abilities.offers(second)
    abilities.note_service_refused(first)
    assert not abilities.offers(first)
    learn(abilities, proposal=proposal, accepted=(first, second))
    assert not abilities.offers(first) and abilities.offers(second)
