"""All bulk values under a path, or all pixel data: instance after instance, each value as it streams by.

(PS3.18 §10.4.1.1.5–6, §10.4.3.3.5–6.) What counts as bulk is the rule of the metadata, so that the parts are those
that its Bulkdata URIs name. Single values and frames are ``pixels/pixel_stream.py``, which opens this too.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from gateway.codecs import Buffer
from gateway.codecs.bulk_values import BulkEvent, BulkStart, BulkValues
from gateway.codecs.document_types import DOCUMENT_TYPES, ENCAPSULATED_DOCUMENT
from gateway.codecs.frame_assembler import PixelHeader
from gateway.codecs.frame_events import FrameChunk, FrameEnd
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.errors import DecodeError, UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.metadata.documents import INLINE_BYTES
from gateway.services.retrieve.received_instance import ReceivedInstance

__all__ = ["BulkItem", "BulkStream", "BulkStreamEvent"]


@dataclass(slots=True)
class BulkItem:
    """A value of one instance begins, or one frame of it.

    Parameters
    ----------
    instance : ResourcePath
    path, frame
        As ``BulkStart``.
    transfer_syntax_uid : str
        Of compressed pixel data as the archive sends it; Explicit VR Little Endian for everything else.
    document_type : str or None
        Media type of an encapsulated document.
    header : PixelHeader or None
        Of the image whose frame it is.
    """

    instance: ResourcePath
    path: str
    frame: int | None
    transfer_syntax_uid: str
    document_type: str | None = None
    header: PixelHeader | None = None


BulkStreamEvent: TypeAlias = BulkItem | FrameChunk | FrameEnd


class BulkStream:
    """The values of the instances of one target; iterated once.

    Parameters
    ----------
    pixels_only
        Pixel data alone; instances without any are passed over.
    """

    def __init__(self, instances: Instances, *, pixels_only: bool) -> None:
        self._instances = instances
        self._pixels_only = pixels_only

    @property
    def unavailable(self) -> tuple[str, ...]:
        """SOP Instance UIDs known to be missing before the first byte."""
        return self._instances.unavailable

    @property
    def expected(self) -> int:
        """Instances of the target."""
        return self._instances.expected

    async def iter_events(self) -> AsyncGenerator[BulkStreamEvent, None]:
        """Yield the start, the pieces and the end of each value.

        Raises
        ------
        UnknownResource
            At the end, if there was none.
        BackendError
            The archive failed.
        """
        is_empty = True
        async for instance in self._instances:
            async for event in self._iter_instance(instance):
                is_empty = False
                yield event
        if is_empty:
            raise UnknownResource("pixel data" if self._pixels_only else "bulk data")

    async def _iter_instance(self, instance: ReceivedInstance) -> AsyncGenerator[BulkStreamEvent, None]:
        values = BulkValues(instance.transfer_syntax_uid, inline_bytes=INLINE_BYTES, pixels_only=self._pixels_only)
        try:
            piece: Buffer | None
            while (piece := await instance.read_piece()) is not None:
                for event in _describe(instance, values, values.feed(piece)):
                    yield event
            for event in _describe(instance, values, values.finish()):
                yield event
        except DecodeError as error:
            raise instance.undecodable(error) from error


def _describe(instance: ReceivedInstance, values: BulkValues, events: Iterator[BulkEvent]) -> Iterator[BulkStreamEvent]:
    for event in events:
        if not isinstance(event, BulkStart):
            yield event
            continue
        is_document = event.path == ENCAPSULATED_DOCUMENT
        yield BulkItem(
            instance.path,
            event.path,
            event.frame,
            instance.transfer_syntax_uid if event.is_compressed else EXPLICIT_VR_LE,
            DOCUMENT_TYPES.get(instance.sop_class_uid) if is_document else None,
            values.header if event.frame is not None else None,
        )
