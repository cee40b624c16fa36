"""Store: the parts of a request to C-STOREs, streamed (PS3.18 §10.5, PS3.4 Annex B).

Of each instance only the head is held, up to its UIDs; they choose the presentation context, then the rest passes
from the request to the archive piece by piece. While one instance waits for its C-STORE-RSP the next is already
sent on another association, so the archive's own pace is the limit. Nothing is reported as stored that the
archive has not acknowledged (invariant 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import structlog

from gateway.codecs import Buffer
from gateway.codecs.head import HeadReader, InstanceHead
from gateway.codecs.multipart import PartChunk, PartEnd, PartStart
from gateway.codecs.tokens import Tokenizer
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, IMPLICIT_VR_LE
from gateway.config import StoreSettings
from gateway.dimse.archive import Archive, StorageContext
from gateway.dimse.scu.storage import InstanceToStore, StoreOperation
from gateway.dimse.status import Category, status_category
from gateway.errors import BackendError, DecodeError, MalformedBody, NoAcceptedContext, TooLarge
from gateway.resources import ResourcePath
from gateway.services.store_results import (
    CLASS_NOT_SUPPORTED,
    OTHER_STUDY,
    PROCESSING_FAILURE,
    TRANSFER_SYNTAX_NOT_SUPPORTED,
    Failed,
    Stored,
    StoreResult,
    Unreadable,
)
from gateway.tasks import cancel_and_wait, start_task

__all__ = ["BodyEvent", "StoreService"]

BodyEvent = PartStart | PartChunk | PartEnd
"""What a multipart reader makes of a request body."""

_NATIVE = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)
_CONTEXT_REASONS = {3: CLASS_NOT_SUPPORTED, 4: TRANSFER_SYNTAX_NOT_SUPPORTED}
"""What a refused context (PS3.8 Table 9-18) means as a Failure Reason."""

_log = structlog.get_logger(__name__)


class StoreService:
    """Stores into one archive."""

    def __init__(self, archive: Archive, settings: StoreSettings) -> None:
        self._archive = archive
        self._settings = settings

    async def store_instances(self, body: AsyncIterator[BodyEvent], study: str | None) -> list[StoreResult]:
        """Send every instance in `body` to the archive, as it arrives.

        Parameters
        ----------
        body
            Events of the request body; pulled at the pace of the archive.
        study
            The Study Instance UID all instances must have, from the path; None if any will do.

        Returns
        -------
        list[StoreResult]
            One entry per part, in their order.

        Raises
        ------
        MalformedBody
            The body breaks multipart grammar and nothing was stored.
        BackendError
            The archive cannot be reached and nothing was stored.
        """
        request = _StoreRequest(self._archive, self._settings, study)
        try:
            async for event in body:
                await request.take(event)
        except MalformedBody as error:
            await request.end_early()
            if not request.has_stored:
                raise
            _log.warning("store_request_cut_short", reason=str(error))
        except BaseException:
            await request.abandon()
            raise
        return await request.conclude()


@dataclass(slots=True)
class _Sending:
    """An instance between its head and its end."""

    head: InstanceHead
    stack: AsyncExitStack
    operation: StoreOperation
    check: Tokenizer | None
    size: int = 0


class _StoreRequest:
    """The state of one request; :meth:`take` is called for each event in turn."""

    def __init__(self, archive: Archive, settings: StoreSettings, study: str | None) -> None:
        self._archive = archive
        self._settings = settings
        self._study = study
        self._results: list[StoreResult | asyncio.Task[StoreResult]] = []
        self._head: HeadReader | None = None
        self._sending: _Sending | None = None
        self._offered: dict[StorageContext, None] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._unreachable: BackendError | None = None

    @property
    def has_stored(self) -> bool:
        """Whether the archive holds, or may come to hold, something of this request."""
        return any(isinstance(result, (Stored, asyncio.Task)) for result in self._results)

    async def take(self, event: BodyEvent) -> None:
        """Go on with the next event."""
        match event:
            case PartStart():
                self._head = HeadReader(self._settings.max_head_bytes)
            case PartChunk(data=data):
                await self._take_data(data)
            case PartEnd():
                await self._end_part()

    # --- a part ---

    async def _take_data(self, data: Buffer) -> None:
        if self._sending is not None:
            await self._forward(self._sending, data)
        elif self._head is not None:
            try:
                head = self._head.feed(data)
            except DecodeError as error:
                self._refuse_part(error)
                return
            if head is not None:
                self._head = None
                await self._begin(head)

    async def _end_part(self) -> None:
        sending, head = self._sending, self._head
        self._sending = self._head = None
        if sending is not None:
            await self._finish(sending)
        elif head is not None:
            try:
                head.finish()
            except DecodeError as error:
                self._refuse_part(error)

    def _refuse_part(self, error: DecodeError) -> None:
        _log.info("store_part_unreadable", reason=error.reason)
        self._head = None
        self._results.append(Unreadable())

    # --- an instance ---

    async def _begin(self, head: InstanceHead) -> None:
        form = (head.sop_class_uid, head.transfer_syntax_uid)
        if self._study is not None and head.study_uid != self._study:
            self._fail(head, OTHER_STUDY)
        elif form in self._refused:
            self._fail(head, self._refused[form])
        elif self._unreachable is not None:
            self._fail(head, PROCESSING_FAILURE)
        else:
            await self._open(head)

    async def _open(self, head: InstanceHead) -> None:
        await self._wait_for_room()
        self._note_offer(head)
        instance = InstanceToStore(head.sop_class_uid, head.sop_instance_uid, head.transfer_syntax_uid)
        stack = AsyncExitStack()
        try:
            operation = await stack.enter_async_context(self._archive.store(instance, self._offered))
        except NoAcceptedContext as error:
            reason = _CONTEXT_REASONS.get(error.result, PROCESSING_FAILURE)
            self._refused[head.sop_class_uid, head.transfer_syntax_uid] = reason
            self._fail(head, reason)
            return
        except BackendError as error:
            self._unreachable = error
            self._fail(head, PROCESSING_FAILURE)
            return
        self._sending = _Sending(head, stack, operation, Tokenizer(head.transfer_syntax_uid, gather_limit=0))
        for piece in head.data_set:
            if self._sending is not None:
                await self._forward(self._sending, piece)

    async def _forward(self, sending: _Sending, data: Buffer) -> None:
        sending.size += len(data)
        limit = self._settings.max_instance_bytes
        if limit and sending.size > limit:
            raise TooLarge("an instance", limit)
        _check(sending, data)
        try:
            await sending.operation.write(data)
        except BackendError as error:
            await self._drop(sending, error)

    async def _finish(self, sending: _Sending) -> None:
        try:
            for _ in sending.check.finish() if sending.check is not None else ():
                pass
        except DecodeError as error:
            # the last fragment is still held back: the archive never sees an end, and keeps nothing
            _log.info("store_instance_truncated", reason=error.reason)
            await sending.stack.aclose()
            self._fail(sending.head, 0xC000)
            return
        task = start_task(_await_answer(sending, self._archive.ae_title), name="C-STORE response")
        self._results.append(task)

    async def _drop(self, sending: _Sending, error: BackendError) -> None:
        _log.warning("store_failed", ae_title=self._archive.ae_title, error=type(error).__name__)
        self._sending = None
        await sending.stack.aclose()
        self._fail(sending.head, PROCESSING_FAILURE)

    def _fail(self, head: InstanceHead, reason: int) -> None:
        self._results.append(Failed(head.sop_class_uid, head.sop_instance_uid, reason))

    def _note_offer(self, head: InstanceHead) -> None:
        """Propose what this request has brought so far on each association opened for it."""
        syntaxes = dict.fromkeys((head.transfer_syntax_uid, *(_NATIVE if head.transfer_syntax_uid in _NATIVE else ())))
        for uid in syntaxes:
            self._offered[StorageContext(head.sop_class_uid, (uid,))] = None

    async def _wait_for_room(self) -> None:
        """Keep within the associations a request may use side by side."""
        limit = min(self._archive.settings.store_associations, self._archive.settings.max_associations)
        while len(waiting := [task for task in self._tasks() if not task.done()]) >= limit:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    def _tasks(self) -> list[asyncio.Task[StoreResult]]:
        return [result for result in self._results if isinstance(result, asyncio.Task)]

    # --- the end ---

    async def end_early(self) -> None:
        """The body ended in the middle: what was under way was not stored."""
        if self._sending is not None:
            sending, self._sending = self._sending, None
            await sending.stack.aclose()
            self._fail(sending.head, PROCESSING_FAILURE)
        elif self._head is not None:
            self._head = None
            self._results.append(Unreadable())

    async def abandon(self) -> None:
        """Nobody waits for the answer: cut the instance under way, let those already sent be answered."""
        await self.end_early()
        _log.info("store_request_abandoned", awaiting_response=len(self._tasks()))

    async def conclude(self) -> list[StoreResult]:
        """Wait for the outstanding responses and give the results in order."""
        try:
            results = [await result if isinstance(result, asyncio.Task) else result for result in self._results]
        except asyncio.CancelledError:
            for task in self._tasks():
                await cancel_and_wait(task)
            raise
        if self._unreachable is not None and not any(isinstance(result, Stored) for result in results):
            raise self._unreachable
        if not results:
            raise MalformedBody("the request body holds no part")
        return results


def _check(sending: _Sending, data: Buffer) -> None:
    """Follow the structure of the data set so that a truncated one is noticed; what is merely odd passes on."""
    if sending.check is not None:
        try:
            for _ in sending.check.feed(data):
                pass
        except DecodeError:
            sending.check = None


async def _await_answer(sending: _Sending, ae_title: str) -> StoreResult:
    head = sending.head
    try:
        async with sending.stack:
            command = await sending.operation.finish()
    except BackendError as error:
        _log.warning("store_unacknowledged", ae_title=ae_title, error=type(error).__name__)
        return Failed(head.sop_class_uid, head.sop_instance_uid, PROCESSING_FAILURE)
    status = command.status if command.status is not None else PROCESSING_FAILURE
    match status_category(status):
        case Category.SUCCESS | Category.WARNING as category:
            path = ResourcePath(head.study_uid, head.series_uid, head.sop_instance_uid)
            return Stored(path, head.sop_class_uid, status if category is Category.WARNING else None)
    return Failed(head.sop_class_uid, head.sop_instance_uid, status)
