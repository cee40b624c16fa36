"""The instances of one store request to C-STOREs, streamed, and what became of each (PS3.18 §10.5, PS3.4 Annex B).

The head of an instance chooses the presentation context; then it passes to the archive piece by piece, as
``outgoing_instance.py`` does it. The next one leaves on the same association the moment C-STORE-RSP is there; where
several associations are allowed, it is sent on another one meanwhile. Nothing is reported as stored that the archive
has not acknowledged (invariant 9). Used by ``service.py``, which reads requests; this file does not.

Associations: a request holds at most one that waits for its client; its others only wait for a C-STORE-RSP, which is
bounded. So a request that waits for the pool never waits for what it blocks itself. It keeps none for its next
instance while another request waits for one.

What fails, fails alone as long as that is possible: an instance the archive refuses, a part that is no instance.
An instance that comes twice is stored twice, one after the other, if its content is the same; other content under the
UID of what the archive has acknowledged in this request is a duplicate (0111), and not stored.
A data set whose transfer syntax is refused is written in Explicit VR Little Endian if that loses nothing.
A class or transfer syntax refused once is refused at once for the rest of the request, and so is everything once the
archive cannot be reached or no longer answers: each further try would cost another time limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection

import structlog

from gateway.codecs import Buffer
from gateway.codecs.head import InstanceHead
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, IMPLICIT_VR_LE, get_transfer_syntax
from gateway.config import StoreSettings
from gateway.dimse.archive import Archive, StorageContext
from gateway.errors import (
    AssociationRejected,
    BackendError,
    ConnectionLost,
    DecodeError,
    DimseTimeout,
    GatewayError,
    MalformedBody,
    NoAcceptedContext,
    PoolTimeout,
    RequestError,
    ShuttingDown,
    TooLarge,
)
from gateway.resources import is_valid_uid
from gateway.services.store.coercion import Coercion
from gateway.services.store.incoming import (
    Fingerprint,
    InstanceData,
    InstanceEnd,
    InstanceEvent,
    InstanceStart,
    NoInstance,
)
from gateway.services.store.outgoing_instance import NotSent, OutgoingInstance
from gateway.services.store.results import (
    CANNOT_UNDERSTAND,
    CLASS_NOT_SUPPORTED,
    DUPLICATE_INSTANCE,
    OTHER_STUDY,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    TRANSFER_SYNTAX_NOT_SUPPORTED,
    Failed,
    Stored,
    StoreResult,
    Unreadable,
)
from gateway.tasks import start_task

__all__ = ["StoreRequest"]

_NATIVE = (EXPLICIT_VR_LE, IMPLICIT_VR_LE)
_CONTEXT_REASONS = {3: CLASS_NOT_SUPPORTED, 4: TRANSFER_SYNTAX_NOT_SUPPORTED}
"""What a refused context (PS3.8 Table 9-18) means as a Failure Reason."""

_log = structlog.get_logger(__name__)


class StoreRequest:
    """The state of one request; :meth:`take` is called for each event in turn.

    `_part` is what the next bytes belong to: an instance under way, or None in a part of which all is known already.
    """

    def __init__(
        self,
        archive: Archive,
        settings: StoreSettings,
        study: str | None,
        note_change: Callable[[str], None],
        coercion: Coercion | None,
    ) -> None:
        self._archive = archive
        self._settings = settings
        self._coercion = coercion
        self._note_change = note_change
        self._study = study
        self._part: OutgoingInstance | None = None
        self._results: list[StoreResult | asyncio.Task[StoreResult]] = []
        self._unanswered: dict[asyncio.Task[StoreResult], OutgoingInstance] = {}
        self._most_unanswered = min(archive.settings.store_associations, archive.settings.max_associations) - 1
        self._offered: dict[StorageContext, None] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._reencoded: set[tuple[str, str]] = set()
        self._unreachable: GatewayError | None = None
        self._ended_by: RequestError | None = None
        self._acknowledged: dict[str, Fingerprint] = {}

    async def take(self, event: InstanceEvent, *, more: bool) -> None:
        """Go on with the next event; `more` says that the one after it is at hand.

        Raises
        ------
        BackendError, ShuttingDown
            The archive cannot be reached, and nothing was or may yet be stored: the rest need not be read.
        TooLarge
            More parts than are taken.
        """
        if isinstance(event, InstanceStart | NoInstance):
            self._check_count()
        match event:
            case InstanceStart(head=head):
                await self._begin(head)
            case InstanceData(data=data) if self._part is not None:
                await self._forward(self._part, data, more)
            case InstanceEnd() if self._part is not None:
                await self._finish(self._part, event)
            case NoInstance(reason=reason):
                _log.info("store_part_unreadable", reason=reason)
                self._results.append(Unreadable())
        if self._unreachable is not None and not self._acknowledged and not self._unanswered:
            raise self._unreachable.with_traceback(None)  # or each raise would add to it

    def _check_count(self) -> None:
        limit = self._settings.max_instances
        if limit and len(self._results) >= limit:
            raise TooLarge("the number of parts", limit, "parts")

    # --- an instance ---

    async def _begin(self, head: InstanceHead) -> None:
        form = (head.sop_class_uid, head.transfer_syntax_uid)
        if self._study is not None and head.study_uid != self._study:
            self._fail(head, OTHER_STUDY)
        elif not is_valid_uid(head.transfer_syntax_uid):
            self._fail(head, TRANSFER_SYNTAX_NOT_SUPPORTED)
        elif form in self._refused:
            self._fail(head, self._refused[form])
        else:
            await self._wait_for_same(head.sop_instance_uid)
            await self._open(head)

    async def _open(self, head: InstanceHead) -> None:
        """Begin the C-STORE of an instance, unless the archive does not take it."""
        self._note_offer(head)
        form = (head.sop_class_uid, head.transfer_syntax_uid)
        try:
            self._part = await self._lease(head, reencodes=form in self._reencoded)
        except NoAcceptedContext as error:
            if error.result == 4 and form not in self._reencoded and self._may_reencode(head.transfer_syntax_uid):
                self._reencoded.add(form)
                await self._open(head)
                return
            self._fail(head, self._note_refusal(head, error))
        except (BackendError, ShuttingDown) as error:
            self._give_up(error)
            self._fail(head, _describe_fault(error), error)

    def _note_refusal(self, head: InstanceHead, error: NoAcceptedContext) -> int:
        """Ask no more for a context that was refused; the Failure Reason."""
        reason = _CONTEXT_REASONS.get(error.result, PROCESSING_FAILURE)
        self._refused[head.sop_class_uid, head.transfer_syntax_uid] = reason
        return reason

    def _may_reencode(self, transfer_syntax_uid: str) -> bool:
        """Whether the data set can be written in Explicit VR Little Endian without loss, and may."""
        syntax = get_transfer_syntax(transfer_syntax_uid)
        is_other = syntax.deflated or not (syntax.explicit_vr and syntax.little_endian)
        return self._settings.reencode and is_other and not syntax.encapsulated

    async def _lease(self, head: InstanceHead, *, reencodes: bool) -> OutgoingInstance:
        """Begin on the association of an instance before it, or on another one."""
        if (instance := self._follow(head, reencodes)) is not None:
            return instance
        return await self._lease_another(
            lambda offered: OutgoingInstance.open(
                self._archive, head, offered, reencodes=reencodes, coercion=self._coercion
            )
        )

    def _follow(self, head: InstanceHead, reencodes: bool) -> OutgoingInstance | None:
        """Begin behind the instance that is being answered, where there is but one association.

        Of several, the one to be free next is not known.
        """
        if self._most_unanswered or not self._archive.lets_stores_follow or self._unreachable:
            return None
        for before in self._unanswered.values():
            if (instance := before.follow(head, reencodes=reencodes, coercion=self._coercion)) is not None:
                return instance
        return None

    async def _lease_another(
        self, begin: Callable[[Collection[StorageContext]], Awaitable[OutgoingInstance]]
    ) -> OutgoingInstance:
        """Lease an association, on fewer side by side than before if the archive gives no more."""
        while True:
            await self._wait_for_room()
            if self._unreachable is not None:
                raise self._unreachable.with_traceback(None)
            unanswered = len(self._unanswered)
            try:
                return await begin(tuple(reversed(self._offered)))  # what does not fit into 128 contexts is cut off
            except BackendError as error:
                if not unanswered or not _is_for_want_of_associations(error):
                    raise
                self._most_unanswered = unanswered - 1

    async def _reopen(self, instance: OutgoingInstance) -> None:
        """Send on another association what cannot follow the instance before it; cut it if there is none."""
        try:
            await self._lease_another(lambda offered: instance.reopen(self._archive, offered))
        except NoAcceptedContext as error:
            await self._cut(instance, self._note_refusal(instance.head, error))
        except (BackendError, ShuttingDown) as error:
            self._give_up(error)
            await self._cut(instance, _describe_fault(error), error)

    async def _forward(self, instance: OutgoingInstance, data: Buffer, more: bool) -> None:
        limit = self._settings.max_instance_bytes
        if limit and instance.size + len(data) > limit:
            await self._cut(instance, OUT_OF_RESOURCES, TooLarge("an instance", limit))
            return
        try:
            await instance.write(data, more=more)
        except NotSent:
            await self._reopen(instance)
        except (BackendError, DecodeError) as error:
            await self._break_off(instance, error)
        else:
            if instance.is_answered:
                self._part = None
                self._results.append(await instance.take_early_answer())

    async def _finish(self, instance: OutgoingInstance, end: InstanceEnd) -> None:
        uid = instance.head.sop_instance_uid
        if end.fault:
            _log.info("store_instance_truncated", reason=end.fault)
            await self._cut(instance, CANNOT_UNDERSTAND)
            return
        if self._acknowledged.get(uid, end.fingerprint) != end.fingerprint:
            await self._cut(instance, DUPLICATE_INSTANCE)
            return
        try:
            await instance.end()  # here and not in the task, before which the next instance would be read
        except NotSent:
            await self._reopen(instance)
            if self._part is not None:
                await self._finish(instance, end)
            return
        except (BackendError, DecodeError) as error:
            await self._break_off(instance, error)
            return
        task = start_task(self._await_answer(instance, end.fingerprint), name="C-STORE response")
        self._part = None
        place = len(self._results)
        self._results.append(task)
        self._unanswered[task] = instance
        task.add_done_callback(lambda done: self._settle(place, done))

    def _settle(self, place: int, task: asyncio.Task[StoreResult]) -> None:
        """An answer has come: keep what it says in the place of the task, which takes more."""
        del self._unanswered[task]
        if not task.cancelled() and task.exception() is None:
            self._results[place] = task.result()

    async def _await_answer(self, instance: OutgoingInstance, fingerprint: Fingerprint) -> StoreResult:
        try:
            result = await instance.finish()
        finally:
            self._note_change(instance.head.study_uid)
        if isinstance(result, Stored):
            self._acknowledged[instance.head.sop_instance_uid] = fingerprint
        else:
            self._note_loss(instance, result.error)
        return result

    async def _break_off(self, instance: OutgoingInstance, error: BackendError | DecodeError) -> None:
        """The archive takes no more of the instance under way, or it cannot be written as the archive wants it."""
        if isinstance(error, DecodeError):
            _log.info("store_instance_not_reencoded", reason=error.reason)
            await self._cut(instance, CANNOT_UNDERSTAND)
            return
        self._note_loss(instance, error)
        await self._cut(instance, PROCESSING_FAILURE, error)

    def _note_loss(self, instance: OutgoingInstance, error: GatewayError | None) -> None:
        """What an instance without an answer says of those to come."""
        if isinstance(error, DimseTimeout):
            self._give_up(error)
        elif isinstance(error, ConnectionLost) and instance.has_followed:
            self._archive.note_follower_lost()

    async def _cut(self, instance: OutgoingInstance, reason: int, error: GatewayError | None = None) -> None:
        """Do not store the instance under way; what is left of its part is skipped."""
        self._part = None
        await instance.cut()
        self._note_change(instance.head.study_uid)
        self._fail(instance.head, reason, error)

    def _fail(self, head: InstanceHead, reason: int, error: GatewayError | None = None) -> None:
        self._results.append(Failed(head.sop_class_uid, head.sop_instance_uid, reason, error))

    def _give_up(self, error: GatewayError) -> None:
        """Try no further instance: it would wait as long and in vain."""
        if self._unreachable is None:
            _log.warning("store_archive_unreachable", ae_title=self._archive.ae_title, error=type(error).__name__)
            self._unreachable = error

    def _note_offer(self, head: InstanceHead) -> None:
        """Propose what this request has brought so far on each association opened for it.

        The native syntaxes are proposed with every class: whether they are accepted tells a refused transfer syntax
        from a refused class, which some archives (dcmqrscp) do not tell apart in their result.
        """
        for uid in (*_NATIVE, head.transfer_syntax_uid):
            context = StorageContext(head.sop_class_uid, (uid,))
            self._offered.pop(context, None)
            self._offered[context] = None

    # --- waiting ---

    async def _wait_for_room(self) -> None:
        """Keep within the associations a request may use side by side."""
        while len(self._unanswered) > self._most_unanswered:
            await asyncio.wait(set(self._unanswered), return_when=asyncio.FIRST_COMPLETED)

    async def _wait_for_same(self, sop_instance_uid: str) -> None:
        """Let an instance that came twice be stored one after the other, as it came."""
        if same := [task for task, it in self._unanswered.items() if it.head.sop_instance_uid == sop_instance_uid]:
            await asyncio.wait(same)

    # --- the end ---

    async def end_early(self, error: RequestError) -> None:
        """The body cannot be read further: what was under way was not stored, and something may be missing."""
        _log.warning("store_request_cut_short", error=type(error).__name__)
        self._ended_by = error
        reason = OUT_OF_RESOURCES if isinstance(error, TooLarge) else CANNOT_UNDERSTAND
        if self._part is not None:
            await self._cut(self._part, reason)
        else:
            self._results.append(Unreadable(reason))

    async def abandon(self) -> None:
        """Nobody waits for the answer: cut the instance under way, let those already sent be answered."""
        if self._part is not None:
            self._note_change(self._part.head.study_uid)
            await self._part.cut()
        self._part = None
        _log.info("store_request_abandoned", unanswered=len(self._unanswered))

    async def conclude(self) -> list[StoreResult]:
        """Wait for the outstanding responses and give the results in order."""
        if self._unanswered:
            await asyncio.wait(set(self._unanswered))  # if this is cancelled, the responses are still awaited
        results = [result.result() if isinstance(result, asyncio.Task) else result for result in self._results]
        if not any(isinstance(result, Stored) for result in results):
            self._raise_common_cause(results)
        return results

    def _raise_common_cause(self, results: list[StoreResult]) -> None:
        """Nothing was stored: say what stood in the way of all, where it was no fault of single instances."""
        if self._ended_by is not None:
            raise self._ended_by
        for result in results:
            if isinstance(result, Failed) and result.error is not None:
                raise result.error
        if not results:
            raise MalformedBody("the request body holds no part")


def _is_for_want_of_associations(error: GatewayError) -> bool:
    """Whether the archive, or the pool, would give an association when another has ended."""
    return isinstance(error, PoolTimeout) or (isinstance(error, AssociationRejected) and error.result == 2)


def _describe_fault(error: GatewayError) -> int:
    """The Failure Reason of an instance that was not tried: transient refusals may pass."""
    return OUT_OF_RESOURCES if _is_for_want_of_associations(error) else PROCESSING_FAILURE
