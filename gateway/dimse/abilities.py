"""What an archive has shown that it can do: read off each association, and off what it refused.

Nothing is asked here; ``archive.py`` opens associations and tells of them.
"""

from __future__ import annotations

from collections.abc import Collection

from gateway.config import BackendSettings, RetrieveMethod
from gateway.dimse.association import Association
from gateway.dimse.contexts import Proposal
from gateway.dimse.proposals import PARTIAL_GETS, QueryCapabilities, RetrieveAbilities, propose_query
from gateway.dimse.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE

__all__ = ["Abilities"]


class Abilities:
    """Of one archive, as far as they are known.

    Parameters
    ----------
    settings
        Its section of the configuration.
    can_receive
        Whether we listen, so that C-MOVE is of any use.

    Attributes
    ----------
    query_proposal, fuzzy_proposal
        Of the associations that tell about C-FIND, C-GET and C-MOVE; the second asks for fuzzy matching of names too.
    capabilities, fuzzy_capabilities
        What each of the two was told about C-FIND; None before there was one.
    retrieve
        Which operations were accepted; None before an association was proposed them.
    """

    def __init__(self, settings: BackendSettings, *, can_receive: bool) -> None:
        self.query_proposal = propose_query(settings)
        self.fuzzy_proposal = propose_query(settings, fuzzy=True)
        self.capabilities: QueryCapabilities | None = None
        self.fuzzy_capabilities: QueryCapabilities | None = None
        self.retrieve: RetrieveAbilities | None = None
        self._can_receive = can_receive
        self._classes_moved: set[str] = set()
        self._partial_gets: set[str] = set()
        self._refused_services: set[str] = set()

    def learn(self, association: Association) -> None:
        """Read off an association what was negotiated."""
        self._learn_partial_gets(association)
        flags = association.extended.get(STUDY_ROOT_FIND, b"").ljust(4, b"\0")
        capabilities = QueryCapabilities(*(flag == 1 for flag in flags[:4]))
        if association.proposal is self.fuzzy_proposal:
            self.fuzzy_capabilities = capabilities
        elif self.capabilities is None and _serves(association, self.query_proposal):
            self.capabilities = capabilities
            self.retrieve = RetrieveAbilities(
                can_get=association.contexts.find(STUDY_ROOT_GET) is not None,
                can_move=association.contexts.find(STUDY_ROOT_MOVE) is not None and self._can_receive,
            )

    def _learn_partial_gets(self, association: Association) -> None:
        if association.proposal is None or not association.proposal.exact:
            return  # they are proposed for C-GET only
        for uid in PARTIAL_GETS:
            if association.contexts.find(uid) is None or uid in self._refused_services:
                self._partial_gets.discard(uid)
            else:
                self._partial_gets.add(uid)

    # --- C-GET or C-MOVE ---

    def order_methods(self, abilities: RetrieveAbilities, sop_classes: Collection[str]) -> tuple[RetrieveMethod, ...]:
        """C-GET, C-MOVE or both, preferred first, for instances of these classes; C-GET if there is neither.

        Some archives give certain classes by C-MOVE alone.
        """
        get = (RetrieveMethod.C_GET,) if abilities.can_get else ()
        move = (RetrieveMethod.C_MOVE,) if abilities.can_move else ()
        prefers_move = bool(sop_classes) and self._classes_moved.issuperset(sop_classes)
        return ((*move, *get) if prefers_move else (*get, *move)) or (RetrieveMethod.C_GET,)

    def note_get_refused(self, sop_classes: Collection[str]) -> None:
        """Remember that C-MOVE gave instances of these classes where C-GET did not, so that it comes first for them."""
        self._classes_moved.update(sop_classes)

    # --- parts of instances ---

    def offers(self, sop_class: str) -> bool:
        """Whether the archive has accepted a service of ``PARTIAL_GETS`` on the last association for a C-GET."""
        return sop_class in self._partial_gets

    def note_service_refused(self, sop_class: str) -> None:
        """Do without a service of ``PARTIAL_GETS`` from now on: the archive accepts it, and does not do it."""
        self._refused_services.add(sop_class)
        self._partial_gets.discard(sop_class)


def _serves(association: Association, proposal: Proposal) -> bool:
    return association.proposal is not None and association.proposal.serves(proposal)
