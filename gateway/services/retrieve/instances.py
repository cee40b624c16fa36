"""What a retrieval gives, whether it has an operation of its own or shares one (PS3.18 §10.4).

The one protocol that the readers of instances rely on: handlers, metadata, frames. ``service.py`` and
``sharing/turns.py`` provide it.
"""

from __future__ import annotations

from typing import Protocol, Self

from gateway.services.retrieve.received_instance import ReceivedInstance

__all__ = ["Instances"]


class Instances(Protocol):
    """The instances of one target, iterated once; the first has arrived when it is handed out."""

    @property
    def expected(self) -> int:
        """Instances of the target."""

    @property
    def unavailable(self) -> tuple[str, ...]:
        """SOP Instance UIDs known to be missing before the first byte."""

    @property
    def first(self) -> ReceivedInstance:
        """The instance that has arrived; not yet read, and iterating gives it again."""

    def __aiter__(self) -> Self:
        """Itself."""

    async def __anext__(self) -> ReceivedInstance:
        """Give the next instance; asking for it tells the archive that the one before was taken."""
