"""Proposals and what came of them."""

from __future__ import annotations

import pytest

from gateway.dimse.contexts import MAX_CONTEXTS, Negotiated, Proposal, ProposedSyntax
from gateway.dimse.ul.events import ContextResult, ExtendedNegotiation, ProposedContext, RoleSelection
from tests.support.upper_layer import make_accept

CT, MR, US = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.6.1"
EXPLICIT, IMPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"
FIND = ProposedSyntax("1.2.840.10008.5.1.4.1.2.2.1", (EXPLICIT, IMPLICIT))


def storage(uid: str, *syntaxes: str, scp: bool = False) -> ProposedSyntax:
    return ProposedSyntax(uid, syntaxes or (EXPLICIT,), scp)


class TestProposal:
    def test_ids_are_the_odd_numbers(self) -> None:
        proposal = Proposal(tuple(storage(f"1.2.{n}") for n in range(MAX_CONTEXTS)))
        ids = [context.context_id for context in proposal.number_contexts()]
        assert ids == list(range(1, 256, 2))

    @pytest.mark.parametrize("count", [0, MAX_CONTEXTS + 1])
    def test_none_or_too_many_contexts(self, count: int) -> None:
        with pytest.raises(ValueError, match=str(count)):
            Proposal(tuple(storage(f"1.2.{n}") for n in range(count)))

    def test_one_role_item_per_class_that_needs_it(self) -> None:
        proposal = Proposal((FIND, storage(CT, scp=True), storage(CT, JPEG, scp=True), storage(MR)))
        assert proposal.select_roles() == (RoleSelection(CT, True, True),)

    def test_a_larger_proposal_serves_a_smaller_one(self) -> None:
        large = Proposal((FIND, storage(CT), storage(MR)))
        small = Proposal((storage(MR), FIND))
        assert large.serves(small)
        assert not small.serves(large)
        assert small.serves(small)

    def test_syntaxes_and_roles_must_agree(self) -> None:
        assert not Proposal((storage(CT, EXPLICIT, IMPLICIT),)).serves(Proposal((storage(CT, EXPLICIT),)))
        assert not Proposal((storage(CT, scp=True),)).serves(Proposal((storage(CT),)))

    def test_extended_negotiation_must_agree(self) -> None:
        relational = ExtendedNegotiation(FIND.abstract_syntax, b"\1")
        assert Proposal((FIND,), (relational,)).serves(Proposal((FIND,)))
        assert not Proposal((FIND,)).serves(Proposal((FIND,), (relational,)))

    def test_an_exact_one_is_served_by_its_equal_only(self) -> None:
        exact = Proposal((FIND, storage(CT, scp=True)), exact=True)
        assert exact.serves(Proposal((FIND, storage(CT, scp=True)), exact=True))
        assert exact.serves(Proposal((FIND,)))
        assert not Proposal((FIND, storage(CT, scp=True))).serves(exact)
        assert not Proposal((FIND, storage(CT, scp=True), storage(MR, scp=True)), exact=True).serves(exact)


class TestNegotiated:
    proposed = (
        ProposedContext(1, CT, (EXPLICIT,)),
        ProposedContext(3, CT, (JPEG,)),
        ProposedContext(5, MR, (EXPLICIT,)),
        ProposedContext(7, US, (EXPLICIT,)),
        ProposedContext(9, US, (JPEG,)),
    )

    def negotiate(self, *results: tuple[int, int, str], roles: tuple[RoleSelection, ...] = ()) -> Negotiated:
        answers = tuple(ContextResult(*result) for result in results)
        extended = (ExtendedNegotiation(FIND.abstract_syntax, b"\1\0"),)
        return Negotiated(self.proposed, make_accept(results=answers, roles=roles, extended=extended))

    def test_finds_by_class_syntax_and_role(self) -> None:
        negotiated = self.negotiate(
            (1, 0, EXPLICIT), (3, 0, JPEG), (5, 0, EXPLICIT), roles=(RoleSelection(CT, False, True),)
        )
        assert negotiated.find(CT).context_id == 1
        assert negotiated.find(CT, JPEG).context_id == 3
        assert negotiated.find(CT, IMPLICIT) is None
        assert negotiated.find(CT, scp=True).context_id == 1
        assert negotiated.find(MR, scp=True) is None
        assert negotiated.find(MR).scp is False
        assert negotiated.by_id(3).transfer_syntax == JPEG
        assert negotiated.by_id(7) is None
        assert negotiated.extended == {FIND.abstract_syntax: b"\1\0"}

    def test_a_role_that_was_not_granted(self) -> None:
        negotiated = self.negotiate((1, 0, EXPLICIT), roles=(RoleSelection(CT, True, False),))
        assert negotiated.find(CT, scp=True) is None
        assert negotiated.worst_result(CT) == 0

    def test_why_nothing_was_accepted(self) -> None:
        negotiated = self.negotiate((1, 0, EXPLICIT), (3, 4, ""), (5, 1, ""), (7, 3, ""), (9, 4, ""))
        assert negotiated.worst_result(CT) == 0
        assert negotiated.worst_result(MR) == 1
        assert negotiated.worst_result(US) == 4
        assert negotiated.worst_result("1.2.3") == 3

    def test_contexts_the_acceptor_left_out_or_made_up(self) -> None:
        negotiated = self.negotiate((1, 0, EXPLICIT), (99, 0, EXPLICIT))
        assert negotiated.worst_result(MR) == 2
        assert negotiated.by_id(99) is None
        assert [context.context_id for context in negotiated.accepted] == [1]
