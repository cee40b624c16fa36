"""C-STORE as SCP, for moves we asked for and for nothing else (PS3.4 Annex B, PS3.7 §9.1.1).

An instance is not taken here: it is offered to the retrieval that asked for it, at whose pace the data set is
read. A store nobody asked for is refused with 0124 and logged.
"""

from __future__ import annotations

import asyncio

import structlog

from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.dimse.association import Association
from gateway.dimse.commands import CommandField
from gateway.dimse.messages import MessageStart
from gateway.dimse.move_routing import MoveRegistry
from gateway.dimse.scp.provider import NATIVE_PREFERENCE
from gateway.dimse.status import NOT_AUTHORIZED, OUT_OF_RESOURCES
from gateway.dimse.suboperation import StoreSubOperation
from gateway.dimse.ul.events import ProposedContext
from gateway.errors import UndecodableResponse

__all__ = ["MoveStorageProvider"]

REFUSAL_DRAIN_S = 1.5
"""How long the rest of an unwanted instance is read before the association is cut."""

_STANDARD_ROOT = "1.2.840.10008."
_STORAGE_ROOTS = (
    "1.2.840.10008.5.1.4.1.1.",  # the storage classes
    "1.2.840.10008.5.1.4.34.",  # RT treatment objects
    "1.2.840.10008.5.1.4.38.",  # hanging protocols
    "1.2.840.10008.5.1.4.39.",  # colour palettes
    "1.2.840.10008.5.1.4.43.",  # implants
    "1.2.840.10008.5.1.4.44.",
    "1.2.840.10008.5.1.4.45.",
)

_log = structlog.get_logger(__name__)


class MoveStorageProvider:
    """Takes C-STOREs for the moves in `registry`."""

    request = CommandField.C_STORE_RQ
    is_scu = False

    def __init__(self, registry: MoveRegistry) -> None:
        self._registry = registry

    def serves(self, abstract_syntax: str) -> bool:
        """Standard storage classes, and private classes, which are taken for storage (PS3.4 §B.5)."""
        return not abstract_syntax.startswith(_STANDARD_ROOT) or abstract_syntax.startswith(_STORAGE_ROOTS)

    def choose(self, context: ProposedContext, calling_ae_title: str) -> str | None:
        """The sender's first compressed syntax, in which it probably holds the instance, else a native one.

        The move under way may want it the other way round, or certain transfer syntaxes only.
        """
        self._registry.note_offer(calling_ae_title, context.transfer_syntaxes)
        move = self._registry.latest_from(calling_ae_title)
        only = move.only if move is not None else frozenset()
        proposed = [uid for uid in context.transfer_syntaxes if not only or uid in only]
        native = next((uid for uid in NATIVE_PREFERENCE if uid in proposed), None)
        compressed = next((uid for uid in proposed if get_transfer_syntax(uid).encapsulated), None)
        if move is not None and move.prefers_native:
            return native or compressed
        return compressed or native

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        """Offer the instance to its move and wait until that is done with it; else refuse."""
        context = association.contexts.by_id(message.context_id)
        if context is None:
            raise UndecodableResponse(calling_ae_title, "a C-STORE on a context never accepted")
        instance = StoreSubOperation(association, context, message.command)
        reception = self._registry.match(calling_ae_title, instance)
        if reception is None:
            _log.warning("unsolicited_store_refused", calling_ae_title=calling_ae_title)
            await _refuse(instance, NOT_AUTHORIZED)
        elif not await reception.offer(instance):
            await _refuse(instance, OUT_OF_RESOURCES)


async def _refuse(instance: StoreSubOperation, status: int) -> None:
    """Answer with a failure; an archive that goes on sending a large instance is cut after a while."""
    try:
        async with asyncio.timeout(REFUSAL_DRAIN_S):
            await instance.respond(status)
    except TimeoutError:
        instance.abort()
