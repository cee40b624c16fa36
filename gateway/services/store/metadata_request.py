"""A request body of metadata and bulk data as instances on their way in (PS3.18 §10.5.1.4, §8.6.1.2).

The counterpart of ``incoming.py`` for the other form of a store request: the same events come out, so that
``service.py`` sends them the same way.

A request whose metadata and bulk parts do not belong together is refused as a whole. So no instance may end before the
body has: the end is what makes an archive keep it. One instance can be sent up to its end as it arrives; its bulk
values leave at once where it is their turn, else they wait on disk. Where there are more instances, all wait on disk
and are sent when the body is complete. In memory are the metadata and where each part is, within a limit.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

from gateway.codecs import Buffer
from gateway.codecs.codestreams import HEAD_BYTES, Codestream, find_codestream, is_box_file, read_codestream
from gateway.codecs.compressed_types import is_box_type
from gateway.codecs.json_reader import read_json_models
from gateway.codecs.media_types import MediaType, parse_media_type
from gateway.codecs.model_writer import Model
from gateway.codecs.multipart import PartChunk, PartEnd, PartStart
from gateway.codecs.native_xml_reader import read_native_xml
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.config import StoreSettings
from gateway.errors import DecodeError, MalformedBody, TooLarge
from gateway.services.store.bulkdata_parts import MAX_URI, BulkdataParts, BulkPart, check_kept
from gateway.services.store.bulkdata_spool import BulkdataSpool, open_spool
from gateway.services.store.consumer_images import CONSUMER_TYPES, ConsumerImages
from gateway.services.store.incoming import BodyEvent, InstanceEvent
from gateway.services.store.metadata_instance import WORTH_A_THREAD, PlannedInstance
from gateway.services.store.metadata_output import InstanceOutput

__all__ = ["METADATA_TYPES", "read_metadata_instances"]

_Reader = Callable[[bytes, str | None], Iterable[Model]]


def _read_xml(document: bytes, _charset: str | None) -> Iterable[Model]:
    """A document says its encoding itself."""
    return [read_native_xml(document)]


METADATA_TYPES: Mapping[str, _Reader] = {
    "application/dicom+json": read_json_models,
    "application/dicom+xml": _read_xml,
}
"""Media types of metadata, and what reads them."""

_LOOSE_TYPES = {"application/json": "application/dicom+json", "text/xml": "application/dicom+xml"}
_LOOSE_TYPES["application/xml"] = "application/dicom+xml"
"""What some clients call a metadata part; taken for one where it has no Content-Location."""

_FRAME = re.compile(r"/frames/[0-9]+$")
_NATIVE = parse_media_type(f"application/octet-stream; transfer-syntax={EXPLICIT_VR_LE}")

_IMAGE_TYPES = frozenset({"image/jpeg", "image/jls"})
_SIGNATURE_BYTES = 64
_PART_BYTES = 256
"""What remembering a part takes, about, besides the text of its headers."""

_MAX_COMPLAINTS = 5


async def read_metadata_instances(
    body: AsyncIterator[BodyEvent], base_url: str, settings: StoreSettings, images: ConsumerImages | None = None
) -> AsyncGenerator[InstanceEvent, None]:
    """Read `body` as it arrives; the caller closes both.

    Parameters
    ----------
    base_url
        URL of the request, against which relative references are resolved.
    images
        What transforms PNG and GIF; without it such pixel data is refused.

    Yields
    ------
    InstanceStart, InstanceData, InstanceEnd
        Of each instance in turn; no `InstanceEnd` before the end of `body`.

    Raises
    ------
    MalformedBody
        Metadata that cannot be read, bulk parts that are missing, or that nothing refers to.
    TooLarge
        Metadata, or bulk data that has to wait, over its limit.
    SpoolFailed
        There is no room on the disk.
    RequestError
        As `body`.
    """
    async with open_spool(settings.spool_folder, settings.max_spool_bytes) as spool:
        request = _MetadataRequest(base_url, settings.max_metadata_bytes, spool, images)
        try:
            async for event in body:
                async for instance_event in request.take(event):
                    yield instance_event
            async for instance_event in request.conclude():
                yield instance_event
        except DecodeError as error:
            raise MalformedBody(_describe(error)) from error


def _describe(error: DecodeError, number: int = 0) -> str:
    which = f" of instance {number}" if number else ""
    return f"the metadata{which} cannot be stored: {error}"


@dataclass(slots=True)
class _OpenPart:
    """The part that is being received."""

    location: str
    media_type: MediaType
    start: int
    document: bytearray | None = None
    passes: int | None = None


class _MetadataRequest:
    """The state of one request."""

    def __init__(
        self, base_url: str, max_metadata_bytes: int, spool: BulkdataSpool, images: ConsumerImages | None
    ) -> None:
        self._base_url = base_url
        self._max_metadata_bytes = max_metadata_bytes
        self._spool = spool
        self._images = images
        self._pixel_uris: set[str] = set()
        self._parts = BulkdataParts()
        self._instances: list[PlannedInstance] = []
        self._first: InstanceOutput | None = None
        self._part: _OpenPart | None = None
        self._held = 0

    async def take(self, event: BodyEvent) -> AsyncGenerator[InstanceEvent, None]:
        """Go on with the next event of the body.

        Raises
        ------
        MalformedBody, TooLarge, SpoolFailed, DecodeError
            As `read_metadata_instances`.
        """
        part = self._part
        match event:
            case PartStart(headers=headers):
                async for out in self._begin(headers):
                    yield out
            case PartChunk(data=data) if part is not None:
                if part.document is not None:
                    self._hold(len(data))
                    part.document += data
                elif part.passes is None:
                    await self._spool.append(data)
                elif self._first is not None:
                    yield self._first.pass_on(data)
            case PartEnd() if part is not None:
                self._part = None
                async for out in self._end(part):
                    yield out

    def _hold(self, count: int) -> None:
        self._held += count
        if self._held > self._max_metadata_bytes:
            raise TooLarge("the metadata", self._max_metadata_bytes)

    def _resolve(self, uri: str) -> str:
        try:
            return urljoin(self._base_url, uri)
        except ValueError:
            return uri

    # --- a part begins ---

    async def _begin(self, headers: Mapping[str, str]) -> AsyncGenerator[InstanceEvent, None]:
        media_type = _read_media_type(headers)
        location = headers.get("content-location", "").strip()
        self._hold(_PART_BYTES + len(location) + len(headers.get("content-type", "")))
        if _is_metadata(media_type, location):
            self._part = _OpenPart("", media_type, 0, document=bytearray())
            return
        if len(location) > MAX_URI:
            raise MalformedBody(f"a Content-Location of more than {MAX_URI} characters")
        if not location:
            raise MalformedBody("a part that is neither metadata nor has a Content-Location")
        part = self._part = _OpenPart(self._resolve(location), media_type, self._spool.end)
        if self._first is not None and media_type.essence not in CONSUMER_TYPES:
            stated = headers.get("content-length", "")
            length = int(stated) if stated.isascii() and stated.isdigit() and len(stated) < 12 else None
            part.passes = self._first.find_passable(part.location, media_type, length)
        if self._first is not None and part.passes is not None:
            async for out in self._first.open_value(part.location, media_type, part.passes):
                yield out

    # --- a part ends ---

    async def _end(self, part: _OpenPart) -> AsyncGenerator[InstanceEvent, None]:
        if part.document is not None:
            await self._take_metadata(bytes(part.document), part.media_type)
        elif part.passes is not None and self._first is not None:
            for out in self._first.close_value(part.passes):
                yield out
        elif part.media_type.essence in CONSUMER_TYPES:
            self._parts.add(part.location, await self._transform(part))
        else:
            self._parts.add(part.location, await self._look_at(part))
        if self._first is not None:
            async for out in self._first.advance():
                yield out

    async def _take_metadata(self, document: bytes, media_type: MediaType) -> None:
        """Read a metadata part; several instances cannot be sent before the end, unless one is being sent already."""
        essence = _LOOSE_TYPES.get(media_type.essence, media_type.essence)
        read = METADATA_TYPES.get(essence) or (_read_xml if document.lstrip()[:1] == b"<" else read_json_models)
        charset = media_type.parameter("charset")
        arguments = (read, document, charset, media_type.transfer_syntax, self._resolve, len(self._instances))
        if len(document) < WORTH_A_THREAD:
            planned = _plan_instances(*arguments)
        else:
            planned = await asyncio.to_thread(_plan_instances, *arguments)
        self._instances += planned
        self._pixel_uris.update(uri for instance in planned for uri in instance.pixel_uris)
        if self._first is None and len(self._instances) == 1:
            self._first = InstanceOutput(self._instances[0], self._parts, self._spool, is_shared=False)
        elif self._first is not None and len(self._instances) > 1 and not self._first.has_started:
            self._first = None

    async def _look_at(self, part: _OpenPart) -> BulkPart:
        """Read what a compressed image says of itself, and leave out the boxes around it."""
        start, held = part.start, self._spool.end - part.start
        length, codestream = held, None
        is_boxed = is_box_type(part.media_type)
        if is_boxed or part.media_type.essence in _IMAGE_TYPES:
            is_first = not self._parts.count(part.location)
            head = await self._spool.peek(start, min(held, HEAD_BYTES if is_first else _SIGNATURE_BYTES))
            if not is_first and is_box_file(head):
                head = await self._spool.peek(start, min(held, HEAD_BYTES))
            offset, inner = find_codestream(head) if is_boxed else (0, None)
            start += offset
            length = min(held - offset, held if inner is None else inner)
            codestream = read_codestream(head[offset:]) if is_first else None
        return BulkPart(part.media_type, start, length, held, codestream)

    async def _transform(self, part: _OpenPart) -> BulkPart:
        """Make native pixel data of a PNG or GIF, unless it is some other value; both are in the spool then."""
        length = self._spool.end - part.start
        uri = _FRAME.sub("", part.location)
        if self._images is None or not {part.location, uri} & self._pixel_uris:
            return BulkPart(part.media_type, part.start, length, length)
        self._images.check_length(length)
        data = await self._spool.peek(part.start, length)
        image = await self._images.transform(part.media_type.essence, data)
        start = self._spool.end
        await self._spool.append(image.pixels)
        colours = "RGB" if image.samples > 1 else "MONOCHROME2"
        size = (image.rows, image.columns, image.samples, image.bits)
        found = Codestream(EXPLICIT_VR_LE, *size, False, colours, image.frames)
        return BulkPart(_NATIVE, start, len(image.pixels), length + len(image.pixels), found)

    # --- the body has ended ---

    async def conclude(self) -> AsyncGenerator[InstanceEvent, None]:
        """Check that all belongs together; then complete the first instance, if it has begun, and send the others.

        Raises
        ------
        MalformedBody, SpoolFailed, DecodeError
            As `read_metadata_instances`.
        """
        if not self._instances:
            raise MalformedBody("the request body holds no metadata")
        if self._held < WORTH_A_THREAD:
            self._check_whole()
        else:
            await asyncio.to_thread(self._check_whole)
        for number, instance in enumerate(self._instances):
            output = self._first if not number else None
            is_shared = len(self._instances) > 1
            output = output or InstanceOutput(instance, self._parts, self._spool, is_shared=is_shared)
            async for out in output.advance():
                yield out
            if not output.is_complete:
                raise MalformedBody("bulk data is missing")
            yield output.end()

    def _check_whole(self) -> None:
        """Compare references and parts: each must have the other (PS3.18 §10.5.1.4)."""
        missing: list[str] = []
        for number, instance in enumerate(self._instances, start=1):
            try:
                missing += (f"{path} of instance {number}" for path in self._find_missing(instance, number))
                instance.check_description(self._parts)
            except DecodeError as error:
                raise MalformedBody(_describe(error, number)) from error
        if missing:
            more = f" and {len(missing) - _MAX_COMPLAINTS} more" if len(missing) > _MAX_COMPLAINTS else ""
            raise MalformedBody(f"bulk data is missing: {', '.join(missing[:_MAX_COMPLAINTS])}{more}")
        if surplus := self._parts.count_unclaimed():
            raise MalformedBody(f"{surplus} bulk parts that no metadata refers to")

    def _find_missing(self, instance: PlannedInstance, number: int) -> list[str]:
        missing = []
        has_begun = number == 1 and self._first is not None
        for reference in (*instance.references, *instance.dropped):
            uri = instance.uri_of(reference)
            first = self._parts.claim(uri)
            for index in range(1 if first is None else instance.count_parts(reference, first)):
                part = self._parts.claim(uri, index)
                if part is None:
                    missing.append(reference.path)
                    break
                if not has_begun:
                    check_kept(part, reference.path)
            else:
                if first is not None:
                    instance.check_length(reference, first)
        return missing


def _plan_instances(
    read: _Reader,
    document: Buffer,
    charset: str | None,
    stated: str | None,
    resolve: Callable[[str], str],
    number: int,
) -> list[PlannedInstance]:
    """Read a document and write what can be written of its data sets; `number` instances came before."""
    planned: list[PlannedInstance] = []
    try:
        planned.extend(PlannedInstance(model, stated, resolve) for model in read(bytes(document), charset))
    except DecodeError as error:
        raise MalformedBody(_describe(error, number + len(planned) + 1)) from error
    return planned


def _read_media_type(headers: Mapping[str, str]) -> MediaType:
    text = headers.get("content-type") or "application/octet-stream"
    try:
        return parse_media_type(text)
    except DecodeError as error:
        raise MalformedBody("a part whose Content-Type is none") from error


def _is_metadata(media_type: MediaType, location: str) -> bool:
    if media_type.essence in METADATA_TYPES:
        return True
    return not location and media_type.essence in _LOOSE_TYPES
