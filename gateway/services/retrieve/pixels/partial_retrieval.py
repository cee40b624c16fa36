"""Retrieving less than whole instances, from archives that offer it: headers for metadata, frames by their numbers.

(PS3.4 Annexes Y and Z.) Composite Instance Retrieve Without Bulk Data gives data sets without their pixels;
Composite Instance Root Retrieve gives some frames of an instance, as an instance of their own. Both name instances
alone, so that the archive's inventory must be known. Few archives have them: whatever does not come, or not as it
should, is retrieved in the ordinary way (``service.py``), and a service that fails is not asked for again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from typing import Self

import structlog

from gateway.codecs.dictionary import list_uids
from gateway.codecs.omitted_values import PIXEL_CLASSES
from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.dimse.archive import Archive, Identifier, StorageContext
from gateway.dimse.scu.retrieve import Retrieval
from gateway.dimse.uids import COMPOSITE_ROOT_GET, WITHOUT_BULK_DATA_GET
from gateway.errors import BackendError, DimseStatusError
from gateway.resources import ResourcePath
from gateway.services.retrieve.attempts import refuses_the_method
from gateway.services.retrieve.context_offers import offer_contexts
from gateway.services.retrieve.identifiers import UIDS_IN_A_LIST
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand

__all__ = ["ExtractedFrames", "HeaderStream", "PartialRetrievals"]

_MULTI_FRAME = ("Multi-frame", "Enhanced", "Whole Slide", "Tomosynthesis", "Segmentation", "Optical Coherence")

_log = structlog.get_logger(__name__)

OpenInstances = Callable[[ResourcePath, TransferDemand], AbstractAsyncContextManager[Instances]]


class HeaderStream:
    """The instances of one target without their bulk values; iterated once, as ``Instances``.

    Parameters
    ----------
    held
        What the target holds; each instance of a class in ``PIXEL_CLASSES``.
    open_rest
        Opens the ordinary retrieval, for what does not come.
    """

    def __init__(self, archive: Archive, held: Inventory, open_rest: OpenInstances) -> None:
        self._archive = archive
        self._inventory = held
        self._open_rest = open_rest
        self._missing = dict.fromkeys(uid for uid, one in held.instances.items() if not one.is_unavailable)
        self.expected = len(held.instances)
        self.unavailable = tuple(uid for uid in held.instances if uid not in self._missing)
        self._instances = self._generate()
        self._first: ReceivedInstance | None = None

    @property
    def first(self) -> ReceivedInstance:
        """The instance that has arrived; not yet read, and iterating gives it again."""
        assert self._first is not None
        return self._first

    async def begin(self) -> None:
        """Wait for the first instance; raises BackendError where none comes."""
        self._first = await anext(self._instances)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReceivedInstance:
        """Give the next instance; asking for it tells the archive that the one before was taken."""
        if (instance := self._first) is not None:
            self._first = None
            return instance
        return await anext(self._instances)

    async def close(self) -> None:
        """Stop: what is under way is cancelled and drained, or cut."""
        await self._instances.aclose()

    async def _generate(self) -> AsyncGenerator[ReceivedInstance, None]:
        try:
            async with aclosing(self._ask()) as instances:
                async for instance in instances:
                    yield instance
        except BackendError as error:
            _log.info("headers_not_given", error=type(error).__name__, missing=len(self._missing))
            self._archive.abilities.note_service_refused(WITHOUT_BULK_DATA_GET)
        if not self._missing:
            return
        async with self._open_rest(self._inventory.path, AS_STORED) as rest:
            async for instance in rest:
                if instance.path.instance in self._missing:
                    del self._missing[instance.path.instance]
                    yield instance

    async def _ask(self) -> AsyncGenerator[ReceivedInstance, None]:
        for uids in _portion(list(self._missing)):
            held = [self._inventory.instances[uid] for uid in uids]
            keys = _identify(uids, "IMAGE")
            async with self._archive.get(keys, _offer(held), sop_class=WITHOUT_BULK_DATA_GET) as retrieval:
                async for store in retrieval:
                    uid = store.sop_instance_uid
                    # what is deflated cannot be added to: it is retrieved as a whole
                    if uid in self._missing and not get_transfer_syntax(store.transfer_syntax_uid).deflated:
                        del self._missing[uid]
                        path = self._inventory.instances[uid].path
                        yield ReceivedInstance(self._archive.ae_title, path, store, lacks_bulk_data=True)
            _judge(self._archive, retrieval)


class ExtractedFrames:
    """Some frames of one instance, as an instance of their own.

    Attributes
    ----------
    numbers : tuple of int or None
        Which frames of the original its frames are, in order; None where the archive has sent the original.
    """

    expected = 1
    unavailable: tuple[str, ...] = ()

    def __init__(self, first: ReceivedInstance, numbers: tuple[int, ...] | None, retrieval: Retrieval) -> None:
        self.first = first
        self.numbers = numbers
        self._retrieval = retrieval
        self._is_given = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReceivedInstance:
        """Give the instance, and then tell the archive that it was taken."""
        if not self._is_given:
            self._is_given = True
            return self.first
        async for _ in self._retrieval:
            pass
        raise StopAsyncIteration


class PartialRetrievals:
    """Retrieves less than whole instances from one archive, as far as it lets.

    Parameters
    ----------
    take_inventory
        What the archive holds under a path.
    open_instances
        The ordinary retrieval.
    """

    def __init__(
        self,
        archive: Archive,
        take_inventory: Callable[[ResourcePath], Awaitable[Inventory]],
        open_instances: OpenInstances,
    ) -> None:
        self._archive = archive
        self._take_inventory = take_inventory
        self._open_instances = open_instances

    @asynccontextmanager
    async def open_headers(self, path: ResourcePath) -> AsyncIterator[Instances]:
        """Fetch what is under `path` for its metadata: without bulk values where that can be had.

        Raises
        ------
        UnknownResource, BackendError
            As ``RetrieveService.open_instances``.
        """
        held = await self._take_inventory(path) if self._archive.abilities.offers(WITHOUT_BULK_DATA_GET) else None
        if held is None or not all(one.sop_class_uid in PIXEL_CLASSES for one in held.instances.values()):
            async with self._open_instances(path, AS_STORED) as instances:
                yield instances
            return
        stream = HeaderStream(self._archive, held, self._open_instances)
        try:
            await stream.begin()
            yield stream
        finally:
            await stream.close()

    @asynccontextmanager
    async def open_frames(
        self, path: ResourcePath, frames: Sequence[int], demand: TransferDemand
    ) -> AsyncIterator[ExtractedFrames | None]:
        """Fetch some frames of a multi-frame instance; None where they are to be had in the ordinary way only.

        Raises
        ------
        UnknownResource, BackendError
            The inventory could not be taken.
        """
        held = None
        if self._archive.abilities.offers(COMPOSITE_ROOT_GET):
            held = (await self._take_inventory(path)).instances.get(path.instance or "")
        if held is None or held.sop_class_uid not in _MULTI_FRAME_CLASSES:
            yield None
            return
        async with AsyncExitStack() as stack:
            try:
                extracted = await self._extract(stack, held, frames, demand)
            except BackendError as error:
                _log.info("frames_not_given", error=type(error).__name__)
                if not isinstance(error, DimseStatusError) or refuses_the_method(error):
                    self._archive.abilities.note_service_refused(COMPOSITE_ROOT_GET)
                extracted = None
            yield extracted

    async def _extract(
        self, stack: AsyncExitStack, held: HeldInstance, frames: Sequence[int], demand: TransferDemand
    ) -> ExtractedFrames | None:
        uid = held.path.instance or ""
        keys = {**_identify([uid], "FRAME"), _SIMPLE_FRAME_LIST: {"vr": "UL", "Value": list(frames)}}
        contexts = offer_contexts(demand.choices[0], [held.sop_class_uid], (held.transfer_syntax_uid,))
        getting = self._archive.get(keys, contexts, sop_class=COMPOSITE_ROOT_GET)
        async with AsyncExitStack() as attempt:
            retrieval = await attempt.enter_async_context(getting)
            store = await anext(retrieval, None)
            _judge(self._archive, retrieval)
            if store is None or not demand.admits(store.transfer_syntax_uid):
                return None
            if get_transfer_syntax(store.transfer_syntax_uid).video:
                return None  # whether a part of it can be given is decided in one place
            numbers = None if store.sop_instance_uid == uid else tuple(frames)
            instance = ReceivedInstance(self._archive.ae_title, held.path, store)
            stack.push_async_exit(attempt.pop_all())
            return ExtractedFrames(instance, numbers, retrieval)


_SIMPLE_FRAME_LIST = "00081161"
_MULTI_FRAME_CLASSES = frozenset(
    uid for uid, name, kind in list_uids() if kind == "SOP Class" and any(word in name for word in _MULTI_FRAME)
)


def _identify(uids: Sequence[str], level: str) -> Identifier:
    """Instances by their UIDs alone: these models have no studies and series (PS3.4 Tables Y.6-1, Z.6-1)."""
    return {"00080052": {"vr": "CS", "Value": [level]}, "00080018": {"vr": "UI", "Value": list(uids)}}


def _offer(held: Sequence[HeldInstance]) -> tuple[StorageContext, ...]:
    classes = {one.sop_class_uid for one in held}
    return offer_contexts(AS_STORED.choices[0], tuple(classes), tuple({one.transfer_syntax_uid for one in held}))


def _portion(uids: Sequence[str]) -> list[Sequence[str]]:
    return [uids[start : start + UIDS_IN_A_LIST] for start in range(0, len(uids), UIDS_IN_A_LIST)]


def _judge(archive: Archive, retrieval: Retrieval) -> None:
    if retrieval.outcome is not None and retrieval.outcome.is_failure:
        raise retrieval.outcome.as_error(archive.ae_title, retrieval.operation)
