"""Store requests for unit tests: parts to a `StoreService` over the archive in memory, and what is expected of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

from gateway.codecs.multipart import MultipartReader, PartChunk, PartEnd, PartStart
from gateway.config import BackendSettings, StoreSettings
from gateway.dimse.archive import Archive
from gateway.errors import (
    GatewayError,
)
from gateway.resources import ResourcePath
from gateway.services.store.incoming import BodyEvent
from gateway.services.store.results import Failed, Stored, StoreResult
from gateway.services.store.service import StoreService
from tests.support.fake_store import FakeStoreArchive
from tests.support.uploads import (
    BOUNDARY,
    CT,
    STUDY,
    make_data_set,
    make_file,
    multipart,
    sop_uid,
)

IMPLICIT_VR_LE = "1.2.840.10008.1.2"
GARBAGE = b"this is no DICOM file, however long it goes on" * 10


def instance(number: int, **attributes: Any) -> bytes:
    return make_file(make_data_set(number, **attributes))


def stored(number: int, sop_class: str = CT, warning: int | None = None) -> Stored:
    return Stored(ResourcePath(STUDY, f"{STUDY}.1", sop_uid(number)), sop_class, warning)


def failed(number: int, reason: int, sop_class: str = CT) -> Failed:
    return Failed(sop_class, sop_uid(number), reason)


async def iter_events(body: bytes, size: int = 1 << 20) -> AsyncIterator[BodyEvent]:
    reader = MultipartReader(BOUNDARY)
    for start in range(0, len(body), size):
        for event in reader.feed(body[start : start + size]):
            yield event
    reader.finish()


async def store(
    archive: FakeStoreArchive,
    parts: Sequence[bytes],
    study: str | None = None,
    *,
    size: int = 1 << 20,
    closed: bool = True,
    content_type: str = "application/dicom",
    **settings: Any,
) -> list[StoreResult]:
    service = StoreService(cast(Archive, archive), StoreSettings(**settings))
    body = multipart(parts, closed=closed, content_type=content_type)
    async with asyncio.timeout(20):
        results = await service.store_instances(iter_events(body, size), study)
    assert archive.busy == 0
    return results


def make_archive(**fields: Any) -> FakeStoreArchive:
    defaults = {"max_associations": 8, "store_associations": 4, "max_age_s": 600}
    limits = {name: fields.pop(name, value) for name, value in defaults.items()}
    return FakeStoreArchive(settings=BackendSettings(ae_title="FAKE", host="none", **limits), **fields)


def raising(*errors: GatewayError | None) -> Callable[[int, Any], None]:
    """A refusal for the first attempts in turn, none where None stands, the last one for all after it."""

    def refuse(number: int, instance: Any) -> None:
        if (error := errors[min(number, len(errors) - 1)]) is not None:
            raise error

    return refuse


class Endless:
    """A body that counts what is asked of it and never ends."""

    def __init__(self, *beginning: bytes) -> None:
        self.parts = 0
        self._beginning = beginning

    async def __aiter__(self) -> AsyncIterator[BodyEvent]:
        while True:
            content = self._beginning[min(self.parts, len(self._beginning) - 1)]
            self.parts += 1
            for event in (PartStart({}), PartChunk(content), PartEnd()):
                yield event
            await asyncio.sleep(0)
