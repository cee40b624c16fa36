"""The demo's colour ultrasound loop (PS3.3 §A.7): a sector with a beating chamber and colour flow in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from gateway.sandbox.instances import Study, describe_instance, set_pixels

__all__ = ["make_ultrasound_loop"]

ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"
_HALF_ANGLE = np.deg2rad(40)
_FRAME_TIME_MS = 40.0


def make_ultrasound_loop(study: Study, frames: int, rows: int, columns: int, seed: int = 3) -> Dataset:
    """Return one RGB multi-frame instance of one heart beat, which loops."""
    instance = describe_instance(study, ULTRASOUND_MULTIFRAME, "US", 1, 1, "Apical loop, colour flow")
    instance.ImageType = ["ORIGINAL", "PRIMARY", "", "0001"]
    instance.BodyPartExamined = "HEART"
    instance.Laterality = None
    instance.NumberOfFrames = frames
    instance.FrameTime = f"{_FRAME_TIME_MS:g}"
    instance.FrameIncrementPointer = 0x00181063
    instance.CineRate = instance.RecommendedDisplayFrameRate = round(1000 / _FRAME_TIME_MS)
    instance.LossyImageCompression = "00"
    instance.UltrasoundColorDataPresent = 1
    instance.SequenceOfUltrasoundRegions = [_describe_region(rows, columns)]
    sector = _Sector(rows, columns, seed)
    set_pixels(instance, np.stack([sector.draw(number / frames) for number in range(frames)]), 8)
    return instance


def _describe_region(rows: int, columns: int) -> Dataset:
    """The calibrated region: 16 cm of depth (PS3.3 §C.8.5.5)."""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 2, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # cm
    region.PhysicalDeltaX = region.PhysicalDeltaY = 16 / rows
    return region


class _Sector:
    """Polar coordinates and speckle, computed once for all frames."""

    def __init__(self, rows: int, columns: int, seed: int) -> None:
        y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
        x = (x - columns / 2) / rows
        y = (y - rows * 0.03) / rows
        self._x, self._y = x, y
        self._depth = np.hypot(x, y)
        self._angle = np.arctan2(x, y)
        self._inside = (np.abs(self._angle) < _HALF_ANGLE) & (self._depth < 0.94) & (self._depth > 0.03)
        rng = np.random.default_rng(seed)
        self._speckle = rng.rayleigh(0.55, (rows, columns)).astype(np.float32)

    def draw(self, phase: float) -> NDArray[np.uint8]:
        """Return a frame, rows x columns x 3; `phase` runs from 0 to 1 over one beat."""
        beat = 0.5 - 0.5 * np.cos(2 * np.pi * phase)
        chamber = self._ellipse(0.02, 0.46, 0.15 - 0.045 * beat, 0.24 - 0.05 * beat)
        wall = self._ellipse(0.02, 0.46, 0.22 - 0.02 * beat, 0.32 - 0.02 * beat)
        atrium = self._ellipse(0.03, 0.80, 0.12 + 0.02 * beat, 0.10 + 0.02 * beat)
        speckle = np.roll(self._speckle, round(6 * np.sin(2 * np.pi * phase)), axis=0)
        tissue = np.where(wall > 0, 0.62, 0.34) * np.exp(-0.5 * self._depth)
        tissue = np.where((chamber > 0) | (atrium > 0), 0.05, tissue)
        grey = np.clip(tissue * speckle * 255, 0, 235)
        frame = np.repeat(grey[..., np.newaxis], 3, axis=2)
        self._add_flow(frame, phase)
        frame[~self._inside] = 0
        self._add_scale(frame, phase)
        return np.asarray(frame, dtype=np.uint8)

    def _ellipse(self, x: float, y: float, width: float, height: float) -> NDArray[np.float32]:
        """Positive inside."""
        inside: NDArray[np.float32] = 1 - ((self._x - x) / width) ** 2 - ((self._y - y) / height) ** 2
        return inside

    def _add_flow(self, frame: NDArray[np.floating], phase: float) -> None:
        """Inflow towards the probe in red in the first half of the beat, outflow in blue in the second."""
        is_inflow = phase < 0.5
        strength = abs(np.sin(2 * np.pi * phase))
        centre = 0.62 - 0.12 * strength if is_inflow else 0.44
        jet = np.clip(self._ellipse(0.03 if is_inflow else -0.03, centre, 0.06, 0.17), 0, 1) * strength
        cover = np.clip(jet * 2.5, 0, 1)[..., np.newaxis]
        bright = 120 + 135 * jet
        zero = np.zeros_like(jet)
        colour = (bright, 90 * jet, zero) if is_inflow else (zero, 110 * jet, bright)
        frame += cover * (np.stack(colour, axis=-1) - frame)

    def _add_scale(self, frame: NDArray[np.floating], phase: float) -> None:
        """A colour bar at the left, depth marks at the right, and a trace of the beat below."""
        rows, columns = frame.shape[:2]
        height = rows // 4
        ramp = np.linspace(1, -1, height, dtype=np.float32)[:, np.newaxis]
        bar = frame[20 : 20 + height, 14:26]
        bar[..., 0], bar[..., 2] = 255 * np.clip(ramp, 0, 1), 255 * np.clip(-ramp, 0, 1)
        frame[np.linspace(8, rows - 20, 17).astype(int), columns - 14 : columns - 6] = 160
        at = np.arange(columns)
        wave = np.exp(-((((at / columns * 2) % 1 - 0.35) / 0.02) ** 2)) * 24
        frame[(rows - 12 - wave).astype(int), at] = (90, 220, 120)
        frame[rows - 40 : rows - 4, min(int(phase * columns / 2), columns - 1)] = (240, 240, 120)
