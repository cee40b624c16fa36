"""Which images a presentation state shows (PS3.3 §C.11.11, §C.11.14).

Pure and synchronous; it reads a whole data set with pydicom, so ``service.py`` has a worker process call it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from gateway.errors import ImagingFailed

if TYPE_CHECKING:
    from pydicom import Dataset

__all__ = ["References", "ShownInstance", "list_references"]

MOST_REFERENCES = 10_000

_BLENDING = "1.2.840.10008.5.1.4.1.1.11.4"


@dataclass(frozen=True, slots=True)
class ShownInstance:
    """An image that a presentation state refers to; `study` "" where it is that of the state, no frames for all."""

    study: str
    series: str
    instance: str
    frames: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class References:
    """What a presentation state refers to, in its order.

    Parameters
    ----------
    shown
        The images to be rendered; of a blending state those underneath (PS3.18 §8.3.5.1.6).
    superimposed
        Of a blending state, those on top.
    """

    shown: tuple[ShownInstance, ...]
    superimposed: tuple[ShownInstance, ...] = ()

    @property
    def picture_count(self) -> int:
        """Pictures that will come of it, as far as it says so: at least one for each image."""
        return sum(max(len(shown.frames), 1) for shown in self.shown)


def list_references(header: bytes) -> References:
    """Read the references of a presentation state.

    Parameters
    ----------
    header
        The data set, Explicit VR Little Endian, without preamble.

    Raises
    ------
    ImagingFailed
        It cannot be read, or refers to nothing.
    """
    from pydicom import dcmread  # all of pydicom, which the gateway's own process does without

    try:
        state = dcmread(BytesIO(header), force=True)
        references = _list_blended(state) if state.get("SOPClassUID") == _BLENDING else _list_plain(state)
    except Exception as error:  # pydicom raises of many kinds for data sets that break their grammar
        raise ImagingFailed("the presentation state cannot be read") from error
    if not references.shown:
        raise ImagingFailed("the presentation state refers to no image")
    if references.picture_count > MOST_REFERENCES:
        raise ImagingFailed(f"the presentation state refers to more than {MOST_REFERENCES} pictures")
    return references


def _list_plain(state: Dataset) -> References:
    return References(tuple(_iter_shown(state, "")))


def _list_blended(state: Dataset) -> References:
    by_position: dict[str, tuple[ShownInstance, ...]] = {}
    for item in state.get("BlendingSequence") or ():
        by_position[str(item.get("BlendingPosition", ""))] = tuple(
            _iter_shown(item, _read_uid(item, "StudyInstanceUID"))
        )
    return References(by_position.get("UNDERLYING", ()), by_position.get("SUPERIMPOSED", ()))


def _iter_shown(item: Dataset, study: str) -> Iterator[ShownInstance]:
    for series in item.get("ReferencedSeriesSequence") or ():
        for image in series.get("ReferencedImageSequence") or ():
            frames = tuple(sorted(set(_read_frames(image.get("ReferencedFrameNumber")))))
            yield ShownInstance(
                study, _read_uid(series, "SeriesInstanceUID"), _read_uid(image, "ReferencedSOPInstanceUID"), frames
            )


def _read_uid(item: Dataset, keyword: str) -> str:
    return str(item.get(keyword) or "")


def _read_frames(value: Any) -> list[int]:
    """Numbers from 1; what is below names no frame."""
    if value is None or value == "":
        return []
    values = [value] if isinstance(value, str | int | float) else value
    return [number for number in map(int, values) if number > 0]
