"""Our application entity as a whole: the listener for what archives send us, and one archive a backend.

Everything DIMSE that a gateway needs, for the length of a block, without any HTTP. The gateway stands on it, and
``check`` probes with it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.config import GatewaySettings
from gateway.dimse.acceptor import Acceptor
from gateway.dimse.archive import Archive
from gateway.dimse.event_reports import TakeEvent
from gateway.dimse.move_routing import MoveRegistry
from gateway.dimse.scp.commitment import CommitmentEventProvider
from gateway.dimse.scp.provider import ServiceProvider
from gateway.dimse.scp.storage import MoveStorageProvider
from gateway.dimse.scp.verification import VerificationProvider
from gateway.errors import ConfigurationError

__all__ = ["ApplicationEntity", "run_application_entity"]


@dataclass(frozen=True, slots=True)
class ApplicationEntity:
    """The listener, and the archives by backend name, in the order of the configuration."""

    acceptor: Acceptor
    archives: dict[str, Archive]


@asynccontextmanager
async def run_application_entity(
    settings: GatewaySettings, *, take_event: TakeEvent | None = None
) -> AsyncIterator[ApplicationEntity]:
    """Listen and know the archives for the length of the block; then release associations and stop listening.

    The listener is ready before any archive is, so that no C-MOVE is asked for that could not come back.

    Parameters
    ----------
    take_event
        Takes the results of Storage Commitment that archives report; None refuses them.

    Raises
    ------
    ConfigurationError
        The address of ``dimse.listen`` cannot be listened on.
    """
    registry = MoveRegistry()
    our_ae_titles = _name_our_ae_titles(settings)
    providers: list[ServiceProvider] = [MoveStorageProvider(registry), VerificationProvider()]
    if take_event is not None:
        providers.append(CommitmentEventProvider(take_event))
    acceptor = Acceptor(settings.dimse, lambda: our_ae_titles, providers)
    try:
        await acceptor.start()
    except OSError as error:
        raise ConfigurationError(
            "dimse.listen", f"cannot listen on {settings.dimse.listen}: {error.strerror}"
        ) from error
    archives = {
        name: Archive(name, backend, ae_title=settings.ae_title, registry=registry, can_receive=acceptor.is_listening)
        for name, backend in settings.backends.items()
    }
    try:
        yield ApplicationEntity(acceptor, archives)
    finally:
        for archive in archives.values():
            await archive.close()
        await acceptor.close()


def _name_our_ae_titles(settings: GatewaySettings) -> frozenset[str]:
    """Every called AE title that means us: the gateway's own and those each backend knows us by."""
    by_backend = (
        title
        for backend in settings.backends.values()
        for title in (backend.move_destination, backend.calling_ae_title)
    )
    return frozenset({settings.ae_title, *(title for title in by_backend if title)})
