"""A rendered service over a sandbox archive, with workers that draw nothing but tell what they were asked to draw."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import UID

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.parameters import RenderParameters
from gateway.services.rendered.facts import InstanceFacts
from gateway.services.rendered.instance_reader import ReaderLimits
from gateway.services.rendered.references import list_references
from gateway.services.rendered.rendition import Picture, RenderRequest, Rendition, Showing
from gateway.services.rendered.service import RenderedService
from gateway.services.rendered.turns import Turns
from gateway.services.rendered.worker_calls import (
    Handover,
    find_frames_over,
    make_animation,
    make_document,
    make_picture,
)
from tests.support.retrieve_site import Site, open_site
from tests.unit.sandbox.conftest import make_instance, save

__all__ = [
    "GSPS",
    "SR",
    "FakeWorkers",
    "RenderedSite",
    "collect",
    "decide_as",
    "make_groups",
    "open_rendered_site",
    "refer",
    "tell",
]

GSPS, SR = "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.88.11"
LIMITS = ReaderLimits(header=1_000_000, document=1_000_000, frames=10_000_000)


@dataclass
class FakeWorkers:
    """Runs calls at once; a picture is a JSON object that says what it would show.

    Parameters
    ----------
    refuses
        Asked of the attributes of each frame whether it cannot be drawn.
    """

    count: int = 2
    refuses: Callable[[bytes], bool] = lambda _: False
    calls: list[Callable[..., Any]] = field(default_factory=list)

    async def run(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
        self.calls.append(function)
        if function in (list_references, find_frames_over):
            return function(*arguments)
        handover, parameters = arguments
        draw = {make_picture: self._draw, make_animation: self._animate, make_document: self._write}[function]
        handover.made.write(json.dumps(draw(handover, parameters)).encode())

    def _draw(self, handover: Handover, parameters: RenderParameters) -> Any:
        [frame] = handover.read_frames()
        parameters = handover.complete(parameters)
        if self.refuses(handover.header.read()):
            raise ImagingFailed("broken")
        shown = {"of": _name(handover.header.read()), "frame": handover.frame_number, "first": frame[:1].hex()}
        if parameters.presentation_state is not None:
            shown["state"] = _name(parameters.presentation_state)
        if parameters.superimposed is not None:
            shown["above"] = _name(parameters.superimposed.header)
        if parameters.segmentations:
            shown["over"] = [[_name(it.header), it.frame_number, it.frame.hex()] for it in parameters.segmentations]
        return shown

    def _animate(self, handover: Handover, parameters: RenderParameters) -> Any:
        frames = [frame[:1].hex() for frame in handover.read_frames()]
        return {"of": _name(handover.header.read()), "frames": frames, "syntax": handover.transfer_syntax_uid}

    def _write(self, handover: Handover, parameters: RenderParameters) -> Any:
        return [parameters.media_type, _name(handover.header.read())]


def _name(header: bytes) -> str:
    return str(dcmread(BytesIO(header), force=True).SOPInstanceUID)


@dataclass(frozen=True, slots=True)
class RenderedSite:
    """Both ends, and the service between them."""

    site: Site
    service: RenderedService
    workers: FakeWorkers
    folder: Path

    def add(self, uid: str, syntax: str = "1.2.840.10008.1.2.1", **attributes: object) -> Dataset:
        """Put an instance into the archive."""
        instance = make_instance(uid, **{"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", **attributes})
        if attributes.get("PixelData", b"") is None:
            del instance.PixelData
        instance.file_meta.TransferSyntaxUID = UID(syntax)
        self.site.sandbox.index.add_file(save(instance, self.folder / "files"))
        return instance

    def add_state(self, uid: str, *items: Dataset, **attributes: object) -> None:
        """Put a presentation state into the archive."""
        series = {"ReferencedSeriesSequence": list(items)} if items else {}
        self.add(uid, SOPClassUID=GSPS, Modality="PR", PixelData=None, **series, **attributes)


@asynccontextmanager
async def open_rendered_site(
    folder: Path, limits: ReaderLimits = LIMITS, workers: FakeWorkers | None = None, **backend: Any
) -> AsyncIterator[RenderedSite]:
    """Start the archive with its two small studies, and a service over it."""
    async with open_site(folder, fresh_s=2, **backend) as site:
        drawing = workers or FakeWorkers()
        service = RenderedService(site.retrieve, site.inventories, drawing, Turns(), limits)
        yield RenderedSite(site, service, drawing, folder)


def make_groups(*drawn_on: str) -> list[Dataset]:
    """The Per-frame Functional Groups Sequence of a segmentation whose frames were drawn on these instances."""
    groups = []
    for uid in drawn_on:
        source, derivation, group = Dataset(), Dataset(), Dataset()
        source.ReferencedSOPClassUID, source.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
        derivation.SourceImageSequence = [source]
        group.DerivationImageSequence = [derivation]
        groups.append(group)
    return groups


def refer(series: str, *images: tuple[str, list[int]]) -> Dataset:
    """An item of the Referenced Series Sequence; images by UID, with frame numbers or without."""
    item = Dataset()
    item.SeriesInstanceUID = series
    item.ReferencedImageSequence = []
    for uid, frames in images:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
        if frames:
            image.ReferencedFrameNumber = frames
        item.ReferencedImageSequence.append(image)
    return item


def decide_as(showing: Showing, media_type: str = "image/png") -> Callable[[InstanceFacts], Rendition]:
    """A decision that is the same for all."""
    return lambda _: Rendition(media_type, showing)


async def collect(site: RenderedSite, request: RenderRequest) -> list[Picture]:
    """All pictures of `request`."""
    return [picture async for picture in site.service.iter_pictures(request)]


def tell(pictures: list[Picture]) -> list[Any]:
    """What the pictures say."""
    return [json.loads(picture.content.read()) for picture in pictures]
