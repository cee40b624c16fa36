"""The transactions of Storage Commitment in SQLite, so that a restart loses none (PS3.18 §13).

A transaction is written before the archive is asked, since its answer may overtake ours. One thread does the
writing and reading, off the event loop. Only UIDs and failure reasons are kept.

States::

    asking ──► waiting ──► done ──► expired
       └────► refused ──────────────►┘
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from gateway.errors import ConflictingRequest
from gateway.services.commitment.modules import PROCESSING_FAILURE, Outcome, Reference

__all__ = ["Transaction", "TransactionState", "TransactionStore"]

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
    uid TEXT PRIMARY KEY, backend TEXT NOT NULL, state TEXT NOT NULL, created REAL NOT NULL, changed REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS instances (
    uid TEXT NOT NULL, ordinal INTEGER NOT NULL, sop_class TEXT NOT NULL, sop_instance TEXT NOT NULL,
    study TEXT NOT NULL, series TEXT NOT NULL, reason INTEGER, PRIMARY KEY (uid, ordinal)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS instances_of_transaction ON instances (uid, sop_instance);
CREATE TABLE IF NOT EXISTS requests (asked_as TEXT PRIMARY KEY, uid TEXT NOT NULL) WITHOUT ROWID;
"""


class TransactionState(Enum):
    """Where a transaction stands."""

    ASKING = "asking"
    """The archive may not have been asked yet: a gateway that is started again asks once more."""
    WAITING = "waiting"
    """The archive took the request and has not told of every instance."""
    DONE = "done"
    REFUSED = "refused"
    """The archive would not process it; the UID is burnt (PS3.4 §J.3.2)."""
    EXPIRED = "expired"
    """The result was kept for as long as configured."""


_OPEN = (TransactionState.ASKING.value, TransactionState.WAITING.value)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction as it stood when it was read; times in seconds since 1970."""

    uid: str
    backend: str
    state: TransactionState
    created: float
    changed: float


class TransactionStore:
    """Transactions by UID; `close` ends it.

    Parameters
    ----------
    path
        Of the database file, made if missing; ``:memory:`` for none.
    now
        The clock, in seconds since 1970.

    Raises
    ------
    OSError
        The file cannot be opened or is no database.
    """

    def __init__(self, path: str = ":memory:", *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commitment")
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._thread.shutdown(wait=False)
            raise OSError(f"{path}: {error}") from error

    async def close(self) -> None:
        """Finish what is being written, and close the file."""
        await self._run(self._database.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _atomically(self, work: Callable[[sqlite3.Connection], T]) -> Callable[[], T]:
        def run() -> T:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                outcome = work(self._database)
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            return outcome

        return run

    # --- life of a transaction ---

    async def add(self, uid: str, backend: str, references: Sequence[Reference]) -> None:
        """Write a new transaction, in state asking, asked under its own UID.

        Raises
        ------
        ConflictingRequest
            The UID is known, in whatever state.
        """

        def insert(database: sqlite3.Connection) -> None:
            now = self._now()
            try:
                database.execute(
                    "INSERT INTO transactions VALUES (?, ?, ?, ?, ?)",
                    (uid, backend, TransactionState.ASKING.value, now, now),
                )
            except sqlite3.IntegrityError:
                raise ConflictingRequest("the Transaction UID is in use") from None
            database.executemany(
                "INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?, NULL)",
                [
                    (uid, ordinal, one.sop_class_uid, one.sop_instance_uid, one.study, one.series)
                    for ordinal, one in enumerate(references)
                ],
            )

        await self._run(self._atomically(insert))

    async def note_asked(self, uid: str, asked_as: str) -> None:
        """Note the Transaction UID under which the archive is about to be asked; a transaction may have several."""

        def insert(database: sqlite3.Connection) -> None:
            database.execute("INSERT OR REPLACE INTO requests VALUES (?, ?)", (asked_as, uid))

        await self._run(self._atomically(insert))

    async def set_state(self, uid: str, state: TransactionState) -> bool:
        """Change the state, and tell whether it was changed.

        Only while the archive is asked or waited for: one that is done stays so, since results may overtake our own
        knowledge.
        """

        def update(database: sqlite3.Connection) -> bool:
            query = "UPDATE transactions SET state = ?, changed = ? WHERE uid = ? AND state IN (?, ?)"
            return database.execute(query, (state.value, self._now(), uid, *_OPEN)).rowcount > 0

        return await self._run(self._atomically(update))

    async def begin_again(self, transaction: Transaction) -> bool:
        """Back to asking, for one caller of those who read the same `transaction`; tells whether it is this one."""

        def update(database: sqlite3.Connection) -> bool:
            query = "UPDATE transactions SET state = ?, changed = ? WHERE uid = ? AND changed = ? AND state = ?"
            before = (transaction.uid, transaction.changed, transaction.state.value)
            values = (TransactionState.ASKING.value, self._now(), *before)
            return database.execute(query, values).rowcount > 0

        return await self._run(self._atomically(update))

    async def remove(self, uid: str) -> bool:
        """Forget a transaction that the archive never heard of, so that its UID may be used again.

        Returns
        -------
        bool
            Whether it is forgotten now; one with a result stays.
        """

        def delete(database: sqlite3.Connection) -> bool:
            query = "DELETE FROM transactions WHERE uid = ? AND state IN (?, ?)"
            if not database.execute(query, (uid, *_OPEN)).rowcount:
                return False
            for table in ("instances", "requests"):
                database.execute(f"DELETE FROM {table} WHERE uid = ?", (uid,))
            return True

        return await self._run(self._atomically(delete))

    async def find(self, uid: str) -> Transaction | None:
        """The transaction with that UID, None if there is none."""

        def select(database: sqlite3.Connection) -> Transaction | None:
            row = database.execute("SELECT * FROM transactions WHERE uid = ?", (uid,)).fetchone()
            return None if row is None else _read_row(row)

        return await self._run(self._atomically(select))

    async def find_by_request(self, asked_as: str) -> Transaction | None:
        """The transaction of which the archive was asked under that UID."""

        def select(database: sqlite3.Connection) -> Transaction | None:
            row = database.execute(
                "SELECT t.* FROM transactions t JOIN requests r ON r.uid = t.uid WHERE r.asked_as = ?", (asked_as,)
            ).fetchone()
            return None if row is None else _read_row(row)

        return await self._run(self._atomically(select))

    async def list_in_state(self, state: TransactionState) -> list[Transaction]:
        """All transactions in that state, the oldest first."""

        def select(database: sqlite3.Connection) -> list[Transaction]:
            query = "SELECT * FROM transactions WHERE state = ? ORDER BY created"
            return [_read_row(row) for row in database.execute(query, (state.value,))]

        return await self._run(self._atomically(select))

    # --- outcomes ---

    async def list_outcomes(self, uid: str) -> list[Outcome]:
        """What is known of each instance, in the order of the request."""

        def select(database: sqlite3.Connection) -> list[Outcome]:
            query = (
                "SELECT sop_class, sop_instance, study, series, reason FROM instances WHERE uid = ? ORDER BY ordinal"
            )
            return [Outcome(Reference(*row[:4]), row[4]) for row in database.execute(query, (uid,))]

        return await self._run(self._atomically(select))

    async def record(self, uid: str, outcomes: Mapping[str, int]) -> bool:
        """Write outcomes by SOP Instance UID; instances not asked about are passed over, the first word counts.

        Returns
        -------
        bool
            Whether every instance has its outcome now: then the transaction is done.
        """

        def update(database: sqlite3.Connection) -> bool:
            database.executemany(
                "UPDATE instances SET reason = ? WHERE uid = ? AND sop_instance = ? AND reason IS NULL",
                [(reason, uid, instance) for instance, reason in outcomes.items()],
            )
            query = "SELECT COUNT(*) FROM instances WHERE uid = ? AND reason IS NULL"
            (missing,) = database.execute(query, (uid,)).fetchone()
            if not missing:
                self._finish(database, uid)
            return not missing

        return await self._run(self._atomically(update))

    async def give_up(self, uid: str, reason: int = PROCESSING_FAILURE) -> None:
        """End the wait: instances without an outcome get `reason`."""

        def update(database: sqlite3.Connection) -> None:
            database.execute("UPDATE instances SET reason = ? WHERE uid = ? AND reason IS NULL", (reason, uid))
            self._finish(database, uid)

        await self._run(self._atomically(update))

    def _finish(self, database: sqlite3.Connection, uid: str) -> None:
        database.execute(
            "UPDATE transactions SET state = ?, changed = ? WHERE uid = ? AND state != ?",
            (TransactionState.DONE.value, self._now(), uid, TransactionState.DONE.value),
        )

    async def purge(self, *, keep_s: float, forget_s: float) -> None:
        """Drop results older than `keep_s` seconds, and the memory of the UID `forget_s` seconds after that."""

        def delete(database: sqlite3.Connection) -> None:
            now = self._now()
            ended = (TransactionState.DONE.value, TransactionState.REFUSED.value)
            database.execute(
                "UPDATE transactions SET state = ?, changed = ? WHERE state IN (?, ?) AND changed < ?",
                (TransactionState.EXPIRED.value, now, *ended, now - keep_s),
            )
            database.execute(
                "DELETE FROM transactions WHERE state = ? AND changed < ?",
                (TransactionState.EXPIRED.value, now - forget_s),
            )
            kept = "SELECT uid FROM transactions WHERE state != ?"
            for table in ("instances", "requests"):
                database.execute(f"DELETE FROM {table} WHERE uid NOT IN ({kept})", (TransactionState.EXPIRED.value,))

        await self._run(self._atomically(delete))


def _read_row(row: tuple[str, str, str, float, float]) -> Transaction:
    uid, backend, state, created, changed = row
    return Transaction(uid, backend, TransactionState(state), created, changed)
