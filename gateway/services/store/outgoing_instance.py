"""One instance on its way from a web client to the archive: a C-STORE fed piece by piece (PS3.4 §B.2).

It holds the association leased for it, from the head of the instance to C-STORE-RSP; :meth:`OutgoingInstance.finish`
and :meth:`OutgoingInstance.cut` give it back. An instance may follow another on its association; then the last of them
gives it back. Used by ``service.py``, which knows of parts and requests; this file does not.

The last fragment is always held back until the end is known to be right: of what is cut the archive never sees an
end, and keeps nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from sys import intern
from typing import Self

import structlog

from gateway.codecs import Buffer
from gateway.codecs.head import InstanceHead
from gateway.codecs.reencode import ExplicitLittleEndianEncoder
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.dimse.archive import Archive, StorageContext
from gateway.dimse.scu.storage import InstanceToStore, NotSent, StoreOperation
from gateway.dimse.status import Category, status_category
from gateway.errors import BackendError
from gateway.resources import ResourcePath
from gateway.services.store.coercion import CoercingEncoder, Coercion
from gateway.services.store.results import COERCED, PROCESSING_FAILURE, Failed, Stored

__all__ = ["NotSent", "OutgoingInstance"]

_log = structlog.get_logger(__name__)


class _Loan:
    """An association lent for a C-STORE and those that follow it; the last to leave gives it back."""

    def __init__(self, stack: AsyncExitStack, max_age_s: float) -> None:
        self._stack = stack
        self._users = 1
        self._until = time.monotonic() + max_age_s

    @property
    def is_over(self) -> bool:
        """Whether it has lasted long enough, so that nobody else is to join."""
        return time.monotonic() >= self._until

    def join(self) -> Self:
        self._users += 1
        return self

    async def leave(self) -> None:
        self._users -= 1
        if not self._users:
            await self._stack.aclose()


class OutgoingInstance:
    """A C-STORE under way; made by :meth:`open` and :meth:`follow`.

    Attributes
    ----------
    head : InstanceHead
        What the instance says of itself.
    size : int
        Bytes of the data set sent so far.
    has_followed : bool
        Whether it is sent behind another instance on the association of that.
    """

    def __init__(self, form: _Form, ae_title: str, loan: _Loan, operation: StoreOperation) -> None:
        self.head = form.head
        self.size = 0
        self._instance = form.instance
        self._encoder = form.encoder
        self._is_encoded = False
        self._unsent = deque[Buffer]()
        self._ae_title = ae_title
        self.has_followed = False
        self._loan: _Loan | None = loan
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
        form = _choose_form(head, reencodes, coercion)
        loan, operation = await _borrow(archive, form.instance, offered)
        return cls(form, archive.ae_title, loan, operation)

    def follow(
        self, head: InstanceHead, *, reencodes: bool = False, coercion: Coercion | None = None
    ) -> OutgoingInstance | None:
        """Begin a C-STORE on the same association, to be sent once this one is answered; parameters as `open`.

        Returns
        -------
        OutgoingInstance or None
            None if it cannot follow, see ``StoreOperation.follow``. One that does raises `NotSent` from `write` and
            `end` where this one is not answered, and then wants to be opened anew by `reopen`.
        """
        if self._loan is None or self._loan.is_over:
            return None
        form = _choose_form(head, reencodes, coercion)
        operation = self._operation.follow(form.instance)
        if operation is None:
            return None
        following = OutgoingInstance(form, self._ae_title, self._loan.join(), operation)
        following.has_followed = True
        return following

    async def reopen(self, archive: Archive, offered: Collection[StorageContext]) -> Self:
        """Go on after `NotSent`, on an association of its own; what was written so far leaves with the next `write`.

        Raises
        ------
        NoAcceptedContext, BackendError, ShuttingDown
            As ``Archive.store``; the instance is to be cut.
        """
        self._unsent.extend(self._operation.take_back())
        await self._leave()  # first: the pool may have no other association to give
        self._loan, self._operation = await _borrow(archive, self._instance, offered)
        self.has_followed = False
        return self

    async def _leave(self) -> None:
        """Give up the association; without effect the second time."""
        loan, self._loan = self._loan, None
        if loan is not None:
            await loan.leave()

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
        NotSent
            It follows another that was not answered; what was written is kept for `reopen`.
        """
        await self._send((data,) if self._encoder is None else self._encoder.feed(data), more)

    async def _send_unsent(self) -> None:
        """Send what `reopen` has brought over."""
        while self._unsent:
            await self._operation.write(self._unsent.popleft(), more=True)

    async def _send(self, pieces: Iterable[Buffer], more: bool) -> None:
        await self._send_unsent()
        unsent: NotSent | None = None
        for piece in pieces:
            self.size += len(piece)
            try:
                await self._operation.write(piece, more=more)
            except NotSent as error:  # this operation takes the rest all the same, and gives it back
                unsent = error
        if unsent is not None:
            raise unsent

    async def end(self) -> None:
        """Send the last fragment: from here on the archive may keep the instance.

        Raises
        ------
        BackendError, DecodeError, NotSent
            As :meth:`write`.
        """
        if self._encoder is not None and not self._is_encoded:
            self._is_encoded = True
            await self._send(self._encoder.finish(), more=True)
        await self._send_unsent()
        await self._operation.end()

    async def finish(self) -> Failed | Stored:
        """Wait for C-STORE-RSP and give the association back."""
        head = self.head
        try:
            command = await self._operation.finish()
        except BackendError as error:
            _log.warning("store_unacknowledged", ae_title=self._ae_title, error=type(error).__name__)
            return Failed(head.sop_class_uid, head.sop_instance_uid, PROCESSING_FAILURE, error)
        finally:
            await self._leave()
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
        """End without the last fragment, of which the archive keeps nothing.

        The association is aborted, unless the instance was to follow another and its turn had not come.
        """
        self._operation.withdraw()
        await self._leave()


@dataclass(frozen=True, slots=True)
class _Form:
    """How an instance is to be sent."""

    head: InstanceHead
    instance: InstanceToStore
    encoder: ExplicitLittleEndianEncoder | CoercingEncoder | None


def _choose_form(head: InstanceHead, reencodes: bool, coercion: Coercion | None) -> _Form:
    encoder: ExplicitLittleEndianEncoder | CoercingEncoder | None = None
    transfer_syntax = head.transfer_syntax_uid
    if coercion is not None:
        encoder = CoercingEncoder(coercion, transfer_syntax)
        transfer_syntax = coercion.choose_transfer_syntax(transfer_syntax)
    elif reencodes:
        encoder = ExplicitLittleEndianEncoder(transfer_syntax)
        transfer_syntax = EXPLICIT_VR_LE
    return _Form(head, InstanceToStore(head.sop_class_uid, head.sop_instance_uid, transfer_syntax), encoder)


async def _borrow(
    archive: Archive, instance: InstanceToStore, offered: Collection[StorageContext]
) -> tuple[_Loan, StoreOperation]:
    """Lease an association and begin a C-STORE on it; raises as ``Archive.store``, and holds nothing then."""
    stack = AsyncExitStack()
    operation = await stack.enter_async_context(archive.store(instance, offered))
    return _Loan(stack, archive.settings.max_age_s), operation
