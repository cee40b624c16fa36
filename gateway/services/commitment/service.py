"""Storage Commitment for web clients: ask the archive, keep its word, tell it (PS3.18 §13, PS3.4 Annex J).

The archive is asked in a task of its own, so that a client that leaves stops nothing. It may answer on the same
association, on one it opens, soon, in days or never; all ways end in ``results.py``. After a restart what had
perhaps not been asked is asked again, under another UID, since the archive may know the first one. An
archive that lost a request is asked again when a client looks for the result after `repeat_after_s`.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from gateway.codecs.identifier import encode_identifier
from gateway.config import CommitmentSettings
from gateway.dimse.archive import Archive
from gateway.dimse.scu.commitment import CommitmentExchange
from gateway.errors import BackendError, ConflictingRequest, DimseStatusError, ResultGone, ShuttingDown, UnknownResource
from gateway.services.commitment.modules import Outcome, Reference, describe_request
from gateway.services.commitment.results import CommitmentResults
from gateway.services.commitment.transactions import Transaction, TransactionState, TransactionStore
from gateway.tasks import start_task

__all__ = ["CommitmentService"]

_log = structlog.get_logger(__name__)


class CommitmentService:
    """Storage Commitment of one archive.

    Parameters
    ----------
    now
        The clock, in seconds since 1970; the same as the store's.
    """

    def __init__(
        self,
        archive: Archive,
        transactions: TransactionStore,
        results: CommitmentResults,
        settings: CommitmentSettings,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._archive = archive
        self._transactions = transactions
        self._results = results
        self.settings = settings
        self._now = now

    async def request(self, uid: str, references: Sequence[Reference]) -> list[Outcome] | None:
        """Ask for commitment, and wait a little for the result.

        Parameters
        ----------
        uid
            The Transaction UID, chosen by the client.
        references
            At least one.

        Returns
        -------
        list of Outcome or None
            In the order of `references`; None while the archive has not told of all, and where it has not answered
            the request, since it may act on it all the same.

        Raises
        ------
        ConflictingRequest
            The UID was used before.
        DimseStatusError
            The archive will not process the request; the UID is burnt.
        BackendError
            The archive was not asked; the UID may be used again.
        ShuttingDown
            Likewise; cut off while it was being asked, it is asked again after a restart.
        """
        await self._purge()
        done = self._results.watch(uid)
        try:
            await self._ask_apart(uid, references)
            return await self._wait(uid, done, self.settings.wait_s)
        finally:
            self._results.unwatch(uid, done)

    async def check(self, uid: str) -> list[Outcome] | None:
        """The result, None while the archive has not told of all.

        Raises
        ------
        UnknownResource
            No such transaction.
        ResultGone
            The archive refused it, or the result was dropped.
        """
        await self._purge()
        transaction = await self._find(uid)
        if transaction.state is TransactionState.DONE:
            return await self._transactions.list_outcomes(uid)
        if self._now() - transaction.created > self.settings.result_timeout_s:
            await self._transactions.give_up(uid)
            return await self._transactions.list_outcomes(uid)
        if self._now() - transaction.changed > self.settings.repeat_after_s:
            self._ask_again(transaction)
        return None

    async def wait(self, uid: str, timeout: float) -> list[Outcome] | None:
        """The result as soon as it is there; None if `timeout` seconds were not enough. Raises as `check`."""
        done = self._results.watch(uid)
        try:
            return await self.check(uid) or await self._wait(uid, done, timeout)
        finally:
            self._results.unwatch(uid, done)

    async def resume(self) -> None:
        """Ask again what an earlier run may not have asked; called once, at the start."""
        for transaction in await self._transactions.list_in_state(TransactionState.ASKING):
            if transaction.backend == self._archive.name:
                self._ask_again(transaction)

    # --- inside ---

    async def _purge(self) -> None:
        await self._transactions.purge(keep_s=self.settings.keep_s, forget_s=self.settings.forget_s)

    async def _find(self, uid: str) -> Transaction:
        transaction = await self._transactions.find(uid)
        if transaction is None or transaction.backend != self._archive.name:
            raise UnknownResource("transaction")
        if transaction.state is TransactionState.REFUSED:
            raise ResultGone("the archive refused the request for commitment")
        if transaction.state is TransactionState.EXPIRED:
            raise ResultGone("the result is no longer kept")
        return transaction

    async def _wait(self, uid: str, done: asyncio.Event, timeout: float) -> list[Outcome] | None:
        try:
            async with asyncio.timeout(timeout):
                await done.wait()
        except TimeoutError:
            return None
        return await self._transactions.list_outcomes(uid)

    async def _ask_apart(self, uid: str, references: Sequence[Reference]) -> None:
        """Write and ask in a task that outlives the caller, and wait until the archive took or refused the request."""
        asked = _make_promise()
        start_task(self._begin(uid, references, asked), name=f"storage commitment {self._archive.name}")
        await asyncio.shield(asked)

    async def _begin(self, uid: str, references: Sequence[Reference], asked: asyncio.Future[None]) -> None:
        """A new transaction: what is written is asked, too, whoever leaves in between."""
        try:
            await self._transactions.add(uid, self._archive.name, references)
            await self._ask(uid, references, (uid,), asked)
        except ConflictingRequest as error:
            _settle(asked, error)
        except Exception as error:
            _settle(asked, error)  # a defect, or the disk: the client is told, and the log
            raise
        finally:
            _settle(asked, ShuttingDown("the gateway is shutting down"))

    def _ask_again(self, transaction: Transaction) -> None:
        start_task(self._repeat(transaction), name=f"storage commitment {self._archive.name}")

    async def _repeat(self, transaction: Transaction) -> None:
        if not await self._transactions.begin_again(transaction):
            return  # another check was first, or the result came
        outcomes = await self._transactions.list_outcomes(transaction.uid)
        unknown = [one.reference for one in outcomes if one.reason is None]
        await self._ask(transaction.uid, unknown, (), _make_promise(), is_repeated=True)

    async def _ask(
        self,
        uid: str,
        references: Sequence[Reference],
        names: Sequence[str],
        asked: asyncio.Future[None],
        *,
        is_repeated: bool = False,
    ) -> None:
        """Send the requests, then listen for a while; `asked` is told how the asking went."""
        done = self._results.watch(uid)
        exchange: CommitmentExchange | None = None
        try:
            async with self._archive.open_commitment(self._results.take) as exchange:
                for asked_as, portion in self._divide(references, names):
                    await self._transactions.note_asked(uid, asked_as)
                    information = describe_request(asked_as, portion)
                    await exchange.request(partial(encode_identifier, information))
                await self._transactions.set_state(uid, TransactionState.WAITING)
                _settle(asked)
                await exchange.await_results(done.is_set, timeout=self.settings.same_association_s)
        except (BackendError, ShuttingDown) as error:
            if not asked.done():
                may_act = exchange is not None and exchange.has_asked
                _settle(asked, await self._note_failure(uid, error, may_act=may_act, is_repeated=is_repeated))
        finally:
            self._results.unwatch(uid, done)

    def _divide(self, references: Sequence[Reference], names: Sequence[str]) -> list[tuple[str, Sequence[Reference]]]:
        """Portions that archives take, each with its Transaction UID; one alone has the client's."""
        size = self.settings.max_references
        portions = [references[start : start + size] for start in range(0, len(references), size)]
        if len(portions) == len(names):
            return list(zip(names, portions, strict=True))
        return [(f"2.25.{uuid.uuid4().int}", portion) for portion in portions]

    async def _note_failure(
        self, uid: str, error: BackendError | ShuttingDown, *, may_act: bool, is_repeated: bool
    ) -> BackendError | ShuttingDown | None:
        """Write how far the asking went; gives what to tell the client, None where the result is there or may come."""
        refused = isinstance(error, DimseStatusError)
        event = "commitment_not_answered" if may_act and not refused else "commitment_not_asked"
        _log.info(event, backend=self._archive.name, error=type(error).__name__)
        if may_act and not refused:
            await self._transactions.set_state(uid, TransactionState.WAITING)
            return None
        if is_repeated:
            return error  # it stays as it is, and is asked again later
        if refused:
            is_over = await self._transactions.set_state(uid, TransactionState.REFUSED)
        else:
            is_over = await self._transactions.remove(uid)
        return error if is_over else None


def _make_promise() -> asyncio.Future[None]:
    """A future whose failure may go unheard: the client may have left."""
    promise: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    promise.add_done_callback(lambda future: future.cancelled() or future.exception())
    return promise


def _settle(asked: asyncio.Future[None], error: Exception | None = None) -> None:
    if asked.done():
        return
    if error is None:
        asked.set_result(None)
    else:
        asked.set_exception(error)
