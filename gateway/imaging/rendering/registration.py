"""One image brought onto the pixels of another of the same patient, a PET onto a CT (PS3.3 §C.7.6.2).

In the plane only: both are parallel to each other, in one frame of reference. Images that say nothing of their place
must be of one size. Called by ``composition`` for blending presentation states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.attributes import find_macro, get_numbers, get_text
from gateway.imaging.rendering.loading import LoadedFrame
from gateway.imaging.rendering.lookup_tables import FloatArray
from gateway.imaging.rendering.overlays import Mask

__all__ = ["resample"]

_PARALLEL = 0.999  # cosine of the angle between two directions that count as one
_FARTHEST = 1e6  # pixels of the other image; beyond, nothing of it could be seen

_Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Plane:
    """Where the middle of the first pixel lies, and how far it is to the next in a row and in a column, in mm."""

    frame_of_reference: str
    position: _Vector
    row: _Vector
    column: _Vector
    spacing: tuple[float, float]


def resample(values: FloatArray, frame: LoadedFrame, target: LoadedFrame) -> tuple[FloatArray, Mask]:
    """Interpolate `values`, of the size of `frame`, at the pixels of `target`.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Values of the size of `target`, and where `frame` covers it.

    Raises
    ------
    ImagingFailed
        The images are not parallel, or differ in size and do not say where they lie.
    """
    plane, goal = _read_plane(frame), _read_plane(target)
    if plane is None or goal is None or plane.frame_of_reference != goal.frame_of_reference:
        if frame.shape != target.shape:
            raise ImagingFailed("superimposed and underlying image differ in size and do not say where they lie")
        return values, np.ones(target.shape, dtype=np.bool_)
    if plane.row @ goal.row < _PARALLEL or plane.column @ goal.column < _PARALLEL:
        raise ImagingFailed("superimposed and underlying image are not parallel")
    box = _find_box(plane, goal, target.shape)
    return _extract(values, box, target.shape), _find_covered(box, frame.shape, target.shape)


def _read_plane(frame: LoadedFrame) -> _Plane | None:
    position = _read(frame, "PlanePositionSequence", "ImagePositionPatient", 3)
    directions = _read(frame, "PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = _read(frame, "PixelMeasuresSequence", "PixelSpacing", 2)
    if position is None or directions is None or spacing is None or min(spacing) <= 0:
        return None
    reference = get_text(frame.header, "FrameOfReferenceUID")
    return _Plane(reference, position, directions[:3], directions[3:], (float(spacing[1]), float(spacing[0])))


def _read(frame: LoadedFrame, sequence: str, keyword: str, count: int) -> _Vector | None:
    holder: Dataset = find_macro(frame.header, frame.frame_number, sequence) or frame.header
    numbers = get_numbers(holder, keyword)
    return np.array(numbers, dtype=np.float64) if len(numbers) == count else None


def _find_box(plane: _Plane, goal: _Plane, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom edge of the target in pixels of the other image."""
    offset = goal.position - plane.position
    starts, ends = [], []
    for axis, direction in enumerate((plane.row, plane.column)):
        size = shape[1 - axis]
        step = goal.spacing[axis] / plane.spacing[axis]
        start = float(offset @ direction) / plane.spacing[axis] + 0.5 - step / 2
        starts.append(start)
        ends.append(start + size * step)
    box = starts[0], starts[1], ends[0], ends[1]
    if not all(abs(edge) < _FARTHEST for edge in box):
        raise ImagingFailed("superimposed and underlying image lie too far apart")
    return box


def _extract(values: FloatArray, box: tuple[float, float, float, float], shape: tuple[int, int]) -> FloatArray:
    image = Image.fromarray(values.astype(np.float32))
    size = shape[1], shape[0]
    extracted = image.transform(size, Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
    return np.asarray(extracted, dtype=np.float64)


def _find_covered(box: tuple[float, float, float, float], shape: tuple[int, int], target: tuple[int, int]) -> Mask:
    """Where the middle of a pixel of the target lies inside the other image."""
    inside = []
    for start, end, size, count in zip(box[:2], box[2:], shape[::-1], target[::-1], strict=True):
        middles = start + (np.arange(count) + 0.5) * (end - start) / count
        inside.append((middles >= 0) & (middles < size))
    covered: Mask = inside[1][:, None] & inside[0][None, :]
    return covered
