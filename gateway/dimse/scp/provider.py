"""What the acceptor asks of a service provider (SCP)."""

from __future__ import annotations

from typing import Protocol

from gateway.codecs.transfer_syntax import DEFLATED, EXPLICIT_VR_BE, EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.dimse.association import Association
from gateway.dimse.commands import CommandField
from gateway.dimse.messages import MessageStart
from gateway.dimse.ul.events import ProposedContext

__all__ = ["NATIVE_PREFERENCE", "ServiceProvider"]

NATIVE_PREFERENCE = (EXPLICIT_VR_LE, IMPLICIT_VR_LE, DEFLATED, EXPLICIT_VR_BE)
"""Native transfer syntaxes as we like them: the first needs no conversion on its way to the web."""


class ServiceProvider(Protocol):
    """One service in the SCP role."""

    @property
    def request(self) -> CommandField:
        """The request it answers."""

    @property
    def is_scu(self) -> bool:
        """Whether we are the SCU of its class although the other side opened the association (PS3.7 §D.3.3.4)."""

    def serves(self, abstract_syntax: str) -> bool:
        """Whether contexts of that abstract syntax are its own."""

    def choose(self, context: ProposedContext, calling_ae_title: str) -> str | None:
        """The transfer syntax to accept of `context`; None refuses them all."""

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        """Answer one request, its data set unread so far."""
