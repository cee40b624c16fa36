"""Presentation contexts and roles: what an association proposes, what came of it, and how to look it up.

Pure values over the events of the upper layer (PS3.7 Annex D, PS3.8 §9.3.2). A :class:`Proposal` says what an
association is for, so the pool can compare two of them; a :class:`Negotiated` answers "which context carries
this class in this transfer syntax, in this role".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gateway.dimse.ul.events import (
    AssociateAccept,
    ContextResult,
    ExtendedNegotiation,
    ProposedContext,
    RoleSelection,
)

__all__ = ["MAX_CONTEXTS", "AcceptedContext", "Negotiated", "ProposedSyntax", "Proposal"]

MAX_CONTEXTS = 128
"""Context IDs are the odd numbers 1 to 255 (PS3.8 §9.3.2.2)."""


@dataclass(frozen=True, slots=True)
class ProposedSyntax:
    """One presentation context to propose; `scp` asks for the SCP role too, as C-GET needs (PS3.7 §D.3.3.4)."""

    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]
    scp: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """What an association is opened for.

    Parameters
    ----------
    syntaxes
        At most 128 contexts, in order of preference.
    extended
        SOP Class Extended Negotiation items (PS3.7 §D.3.3.5).
    exact
        Whether only an association opened with the same proposal will do. A C-GET SCP may use any accepted
        context, so a surplus one changes what arrives. For others such an association is as good as any.
    """

    syntaxes: tuple[ProposedSyntax, ...]
    extended: tuple[ExtendedNegotiation, ...] = ()
    exact: bool = False
    _set: frozenset[ProposedSyntax] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 < len(self.syntaxes) <= MAX_CONTEXTS:
            raise ValueError(f"{len(self.syntaxes)} presentation contexts, 1 to {MAX_CONTEXTS} are possible")
        object.__setattr__(self, "_set", frozenset(self.syntaxes))

    def serves(self, other: Proposal) -> bool:
        """Whether an association opened with this proposal can do what `other` wants."""
        if other.exact:
            return self == other
        return other._set <= self._set and set(other.extended) <= set(self.extended)

    def number_contexts(self) -> tuple[ProposedContext, ...]:
        """The contexts with their odd IDs."""
        return tuple(
            ProposedContext(2 * index + 1, syntax.abstract_syntax, syntax.transfer_syntaxes)
            for index, syntax in enumerate(self.syntaxes)
        )

    def select_roles(self) -> tuple[RoleSelection, ...]:
        """One role item per class that needs the SCP role; both roles are offered (PS3.7 §D.3.3.4)."""
        classes = dict.fromkeys(syntax.abstract_syntax for syntax in self.syntaxes if syntax.scp)
        return tuple(RoleSelection(uid, scu=True, scp=True) for uid in classes)


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """An accepted context: `scp` tells whether we may act as SCP on it."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    scp: bool = False


class Negotiated:
    """The outcome of negotiation, as the requestor sees it."""

    def __init__(self, proposed: Iterable[ProposedContext], accept: AssociateAccept) -> None:
        roles = {role.sop_class_uid: role for role in accept.roles}
        abstract = {context.context_id: context.abstract_syntax for context in proposed}
        self._results = {result.context_id: result for result in accept.results if result.context_id in abstract}
        self._abstract = abstract
        self.accepted: tuple[AcceptedContext, ...] = tuple(
            AcceptedContext(
                result.context_id,
                abstract[result.context_id],
                result.transfer_syntax,
                (role := roles.get(abstract[result.context_id])) is not None and role.scp,
            )
            for result in self._results.values()
            if result.result == 0
        )
        self._by_id = {context.context_id: context for context in self.accepted}
        self.extended = {item.sop_class_uid: item.information for item in accept.extended}

    def by_id(self, context_id: int) -> AcceptedContext | None:
        """The accepted context with that ID."""
        return self._by_id.get(context_id)

    def find(
        self, abstract_syntax: str, transfer_syntax: str | None = None, *, scp: bool = False
    ) -> AcceptedContext | None:
        """The first accepted context for a class, in that transfer syntax and role if named."""
        return next(self._iter_matching(abstract_syntax, transfer_syntax, scp), None)

    def worst_result(self, abstract_syntax: str) -> int:
        """Why no context of a class will do: 1–4 of PS3.8 Table 9-18; 0 if accepted (without the role)."""
        results = [
            self._results.get(context_id, ContextResult(context_id, 2, "")).result
            for context_id, uid in self._abstract.items()
            if uid == abstract_syntax
        ]
        return 0 if 0 in results else max(results, default=3)

    def _iter_matching(self, abstract_syntax: str, transfer_syntax: str | None, scp: bool) -> Iterator[AcceptedContext]:
        for context in self.accepted:
            if context.abstract_syntax == abstract_syntax and (context.scp or not scp):
                if transfer_syntax is None or context.transfer_syntax == transfer_syntax:
                    yield context
