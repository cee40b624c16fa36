"""One instance on its way from a web client to the archive: a C-STORE fed piece by piece (PS3.4 §B.2).

It owns the association leased for it, from the head of the instance to C-STORE-RSP; :meth:`OutgoingInstance.finish`
and :meth:`OutgoingInstance.cut` give it back. Used by ``store.py``, which knows of parts and requests; this file
does not.

The last fragment is always held back until the end is known to be right: of what is cut the archive never sees an
end, and keeps nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import AsyncExitStack
from sys import intern
from typing import Self

import structlog

from gateway.codecs import Buffer
from gateway.codecs.head import InstanceHead
from gateway.codecs.reencode import ExplicitLittleEndianEncoder
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.dimse.archive import Archive, StorageContext
from gateway.dimse.scu.storage import InstanceToStore, StoreOperation
from gateway.dimse.status import Category, status_category
from gateway.errors import BackendError
from gateway.resources import ResourcePath
from gateway.services.store.coercion import CoercingEncoder, Coercion
from gateway.services.store.results import COERCED, PROCESSING_FAILURE, Failed, Stored

__all__ = ["OutgoingInstance"]

_log = structlog.get_logger(__name__)


class OutgoingInstance:
    """A C-STORE under way; made by :meth:`open`.

    Attributes
    ----------
    head : InstanceHead
        What the instance says of itself.
    size : int
        Bytes of the data set sent so far.
    """

    def __init__(
        self,
        head: InstanceHead,
        ae_title: str,
        stack: AsyncExitStack,
        operation: StoreOperation,
        encoder: ExplicitLittleEndianEncoder | CoercingEncoder | None,
    ) -> None:
        self.head = head
        self._encoder = encoder
        self.size = 0
        self._ae_title = ae_title
        self._stack = stack
        self._operation = operation

    @classmethod
    async def open(
        cls,
        archive: Archive,
        head: InstanceHead,
        offered: Collection[StorageContext],
        *,
        reencodes: bool = False,
        coercion: Coercion | None = None,
    ) -> Self:
        """Lease an association and begin a C-STORE; the data set, its head included, is still to be written.

        Parameters
        ----------
        reencodes
            Send the data set in Explicit VR Little Endian; it is in another native or in the deflated syntax.
        coercion
            What attributes are given other values; what is not encapsulated is sent in Explicit VR Little Endian then.

        Raises
        ------
        NoAcceptedContext, BackendError, ShuttingDown
            As ``Archive.store``; nothing is held then.
        """
        encoder: ExplicitLittleEndianEncoder | CoercingEncoder | None = None
        transfer_syntax = head.transfer_syntax_uid
        if coercion is not None:
            encoder = CoercingEncoder(coercion, transfer_syntax)
            transfer_syntax = coercion.choose_transfer_syntax(transfer_syntax)
        elif reencodes:
            encoder = ExplicitLittleEndianEncoder(transfer_syntax)
            transfer_syntax = EXPLICIT_VR_LE
        instance = InstanceToStore(head.sop_class_uid, head.sop_instance_uid, transfer_syntax)
        stack = AsyncExitStack()
        operation = await stack.enter_async_context(archive.store(instance, offered))
        return cls(head, archive.ae_title, stack, operation, encoder)

    @property
    def is_answered(self) -> bool:
        """Whether the archive has answered before the end: it wants no more."""
        return self._operation.is_answered

    async def write(self, data: Buffer, *, more: bool = False) -> None:
        """Send more of the data set; waits while the archive is slow. `more`: the next piece or the end is at hand.

        Raises
        ------
        BackendError
            The archive is gone or takes nothing; the instance is to be cut.
        DecodeError
            It cannot be written in another transfer syntax; the same.
        """
        await self._send((data,) if self._encoder is None else self._encoder.feed(data), more)

    async def _send(self, pieces: Iterable[Buffer], more: bool) -> None:
        for piece in pieces:
            self.size += len(piece)
            await self._operation.write(piece, more=more)

    async def end(self) -> None:
        """Send the last fragment: from here on the archive may keep the instance.

        Raises
        ------
        BackendError, DecodeError
            As :meth:`write`.
        """
        if self._encoder is not None:
            await self._send(self._encoder.finish(), more=True)
        await self._operation.end()

    async def finish(self) -> Failed | Stored:
        """Wait for C-STORE-RSP and give the association back."""
        head = self.head
        try:
            async with self._stack:
                command = await self._operation.finish()
        except BackendError as error:
            _log.warning("store_unacknowledged", ae_title=self._ae_title, error=type(error).__name__)
            return Failed(head.sop_class_uid, head.sop_instance_uid, PROCESSING_FAILURE, error)
        status = PROCESSING_FAILURE if command.status is None else command.status
        match status_category(status):
            case Category.SUCCESS | Category.WARNING as category:
                return self._describe_stored(status if category is Category.WARNING else None)
        return Failed(head.sop_class_uid, head.sop_instance_uid, status)

    def _describe_stored(self, warning: int | None) -> Stored:
        """The success to be told; what many instances have in common is kept once."""
        head = self.head
        path = ResourcePath(intern(head.study_uid), intern(head.series_uid), head.sop_instance_uid)
        originals = self._encoder.describe_originals() if isinstance(self._encoder, CoercingEncoder) else None
        if originals is not None and warning is None:
            warning = COERCED
        return Stored(path, intern(head.sop_class_uid), warning, originals)

    async def take_early_answer(self) -> Failed:
        """Take the answer that came before the end, and break off; what the archive has not had whole is not stored."""
        result = await self.finish()
        if isinstance(result, Failed):
            return result
        return Failed(self.head.sop_class_uid, self.head.sop_instance_uid, PROCESSING_FAILURE)

    async def cut(self) -> None:
        """End without the last fragment: the association is aborted, and the archive keeps nothing."""
        await self._stack.aclose()
