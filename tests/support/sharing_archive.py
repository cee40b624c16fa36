"""An archive in memory that answers C-GETs with UID lists, one instance at a time and only as fast as they are taken.

It has what ``gateway.services.retrieve`` uses of ``gateway.dimse.archive.Archive``; its retrievals are those of
``gateway.dimse.scu.retrieve`` with an association that is a script.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.config import BackendSettings, RetrieveMethod
from gateway.dimse.association_cost import AssociationCost
from gateway.dimse.pool import PoolStatistics
from gateway.dimse.scu.retrieve import Outcome, Retrieval
from gateway.errors import BackendError, ConnectionLost, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory
from gateway.services.retrieve.received_instance import ReceivedInstance

__all__ = ["CT", "SERIES", "Operation", "SharingArchive", "path_of"]

CT = "1.2.840.10008.5.1.4.1.1.2"
SERIES = ResourcePath("1.2", "1.2.1")


def path_of(number: int) -> ResourcePath:
    """The path of instance `number`."""
    return SERIES.with_instance("1.2.1", f"1.2.1.{number}")


class ScriptedStore:
    """A C-STORE-RQ with its data set, on the association of `operation`."""

    def __init__(self, operation: Operation, uid: str, pieces: Sequence[bytes], syntax: str) -> None:
        self.sop_class_uid = CT
        self.sop_instance_uid = uid
        self.transfer_syntax_uid = syntax
        self.is_answered = False
        self._operation = operation
        self._pieces = iter(pieces)
        self._is_being_read = False

    async def read_piece(self) -> bytes | None:
        assert not self._is_being_read, "two tasks read one association"
        self._is_being_read = True
        try:
            await asyncio.sleep(self._operation.archive.piece_s)
            if (failure := self._operation.failure) is not None:
                raise failure
            return next(self._pieces, None)
        finally:
            self._is_being_read = False

    async def respond(self, status: int) -> None:
        while not self.is_answered and await self.read_piece() is not None:
            pass
        await self.refuse_early(status)

    async def refuse_early(self, status: int) -> None:
        if not self.is_answered:
            assert not self._is_being_read
            self.is_answered = True
            self._operation.answers[self.sop_instance_uid] = status

    def abort(self) -> None:
        self._operation.failure = self._operation.failure or ConnectionLost("FAKE", "aborted by us")
        self._operation.was_aborted = True


@dataclass(eq=False)
class Operation:
    """One C-GET: what it asked for, how each instance was answered, and how it ended."""

    archive: SharingArchive
    uids: tuple[str, ...]
    answers: dict[str, int] = field(default_factory=dict)
    failure: BackendError | None = None
    was_aborted: bool = False
    is_open: bool = True
    was_finished: bool = False


class _ScriptedRetrieval(Retrieval):
    operation = "C-GET"

    def __init__(self, operation: Operation) -> None:
        super().__init__("FAKE")
        self._operation = operation
        self._rest = iter(operation.archive.list_answer(operation))
        self._last: ScriptedStore | None = None

    async def _next(self) -> Any:
        if self._last is not None and self._operation.failure is None:
            while await self._last.read_piece() is not None:  # as Association.receive passes over what is unread
                pass
        await asyncio.sleep(self._operation.archive.instance_s)
        if (failure := self._operation.failure) is not None:
            raise failure
        uid = next(self._rest, None)
        if uid is None:
            self._operation.was_finished = True
            failed = sum(status != 0 for status in self._operation.answers.values())
            done = len(self._operation.answers) - failed
            self.outcome = Outcome(self._operation.archive.status, done, failed, 0)
            return None
        if self._operation.archive.breaks_off(uid, self._operation):
            self._operation.failure = ConnectionLost("FAKE", "connection closed by the peer")
            raise self._operation.failure
        archive = self._operation.archive
        self._last = ScriptedStore(
            self._operation, uid, archive.contents[uid], archive.syntaxes.get(uid, EXPLICIT_VR_LE)
        )
        return self._last


class SharingArchive:
    """Holds `contents`, the pieces of each data set by SOP Instance UID.

    Attributes
    ----------
    operations : list of Operation
        Every C-GET so far.
    order
        UIDs in the order in which the archive sends them; that of `contents` by default.
    breaks_at, breaks_once_at
        A UID in place of which the connection is lost, always or in the next list of two and more.
    refusal
        Raised instead of any answer to a list of two and more.
    """

    def __init__(self, contents: Mapping[str, Sequence[bytes]], **settings: Any) -> None:
        self.contents = dict(contents)
        self.settings = BackendSettings(ae_title="FAKE", host="none", **settings)
        self.ae_title = "FAKE"
        self.pool = SimpleNamespace(cost=AssociationCost(), statistics=PoolStatistics())
        self.transfer_syntaxes_sent: Collection[str] = ()
        self.operations: list[Operation] = []
        self.inventories: list[ResourcePath] = []
        self.order: Sequence[str] = tuple(contents)
        self.syntaxes: dict[str, str] = {}
        self.left_out: set[str] = set()
        self.breaks_at = self.breaks_once_at = ""
        self.status = 0
        self.refusal: BackendError | None = None
        self.instance_s = 0.001
        self.piece_s = 0.0
        self._associations = asyncio.Semaphore(self.settings.max_associations)
        self.most_open = 0

    async def take_inventory(self, path: ResourcePath) -> Inventory:
        """What ``Inventories.take`` answers."""
        self.inventories.append(path)
        await asyncio.sleep(self.instance_s)
        if path.instance not in self.contents:
            raise UnknownResource("instance")
        return Inventory(path, {path.instance: HeldInstance(path, CT)}, {})

    async def list_retrieve_methods(self, sop_classes: Collection[str] = ()) -> tuple[RetrieveMethod, ...]:
        return (RetrieveMethod.C_GET,)

    def list_answer(self, operation: Operation) -> list[str]:
        """The UIDs that the archive sends for `operation`."""
        left_out = self.left_out if len(operation.uids) > 1 else set()
        return [uid for uid in self.order if uid in operation.uids and uid in self.contents and uid not in left_out]

    def breaks_off(self, uid: str, operation: Operation) -> bool:
        """Whether the connection is lost in place of instance `uid`."""
        if uid == self.breaks_once_at and len(operation.uids) > 1:
            self.breaks_once_at = ""
            return True
        return uid == self.breaks_at

    @property
    def open_count(self) -> int:
        """Operations that are not over."""
        return sum(operation.is_open for operation in self.operations)

    @asynccontextmanager
    async def get(self, keys: Mapping[str, Any], contexts: Sequence[object]) -> AsyncIterator[Retrieval]:
        operation = Operation(self, tuple(keys["00080018"]["Value"]))
        async with self._associations:
            self.operations.append(operation)
            self.most_open = max(self.most_open, self.open_count)
            try:
                if self.refusal is not None and len(operation.uids) > 1:
                    raise self.refusal
                retrieval = _ScriptedRetrieval(operation)
                await retrieval.peek()
                yield retrieval
            finally:
                operation.is_open = False

    @asynccontextmanager
    async def open_alone(self, path: ResourcePath, demand: object) -> AsyncIterator[Any]:
        """A retrieval that shares nothing."""
        await self.take_inventory(path)
        async with self.get({"00080018": {"Value": [path.instance]}}, ()) as retrieval:
            yield _OwnInstance(path, retrieval)


class _OwnInstance:
    expected = 1
    unavailable: tuple[str, ...] = ()

    def __init__(self, path: ResourcePath, retrieval: Retrieval) -> None:
        self._path = path
        self._retrieval = retrieval

    def __aiter__(self) -> _OwnInstance:
        return self

    async def __anext__(self) -> ReceivedInstance:
        return ReceivedInstance("FAKE", self._path, await anext(self._retrieval))
