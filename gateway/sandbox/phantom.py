"""A torso and a head made of ellipsoids: slices, and a projection like a radiograph.

Coordinates are those of the patient (PS3.3 §C.7.6.2.1.1) scaled to -1..1: x to the left, y to the back, z to the
head. Edges are soft over about a pixel, noise is the same for the same seed. Pure numpy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEAD", "TORSO", "Ellipsoid", "Phantom", "project"]

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """`value` replaces what earlier ellipsoids left; `angle` turns it about z, in degrees."""

    x: float
    y: float
    z: float
    width: float
    depth: float
    height: float
    value: float
    angle: float = 0.0


def _ribs() -> list[Ellipsoid]:
    """Short pieces of bone in slanted rings around the chest, open at the front."""
    ribs = []
    for level in range(9):
        for degrees in range(24, 337, 8):
            angle = math.radians(degrees)
            x, y = 0.75 * math.sin(angle), -0.55 * math.cos(angle)
            z = 0.98 - 0.17 * level - 0.16 * math.cos(angle)
            ribs.append(Ellipsoid(x, y, z, 0.06, 0.022, 0.035, 480, degrees))
    return ribs


def _sulci() -> list[Ellipsoid]:
    """Folds of the brain's surface, filled with fluid."""
    return [
        Ellipsoid(
            (0.53 + 0.03 * (number % 3)) * math.sin(math.radians(number * 11)),
            -(0.69 + 0.04 * (number % 2)) * math.cos(math.radians(number * 11)),
            0.22 * (number % 3),
            0.014 + 0.004 * (number % 3),
            0.075,
            0.15,
            3,
            180 - number * 11 + 9 * (number % 5 - 2),
        )
        for number in range(33)
    ]


TORSO: tuple[Ellipsoid, ...] = (
    Ellipsoid(0, 0, 0, 0.86, 0.66, 2.4, -95),  # fat
    Ellipsoid(0, 0, 0, 0.80, 0.60, 2.3, 45),  # muscle
    *_ribs(),
    Ellipsoid(-0.36, -0.02, 0.32, 0.31, 0.42, 0.72, -860),  # right lung
    Ellipsoid(0.37, -0.02, 0.32, 0.29, 0.42, 0.72, -860),  # left lung
    Ellipsoid(0.10, -0.16, 0.12, 0.27, 0.24, 0.36, 60),  # heart
    Ellipsoid(0.16, -0.17, 0.10, 0.13, 0.12, 0.20, 240, 25),  # left ventricle with contrast
    Ellipsoid(-0.02, -0.14, 0.12, 0.09, 0.10, 0.18, 190),  # right ventricle
    Ellipsoid(0.07, 0.17, 0, 0.055, 0.055, 1.4, 260),  # descending aorta
    Ellipsoid(-0.03, -0.06, 0.55, 0.07, 0.07, 0.28, 250),  # ascending aorta
    Ellipsoid(0.0, 0.02, 0.74, 0.035, 0.035, 0.30, -980),  # trachea
    Ellipsoid(-0.32, -0.05, -0.55, 0.40, 0.40, 0.36, 105),  # liver
    Ellipsoid(-0.40, -0.12, -0.52, 0.07, 0.06, 0.09, 30),  # a lesion in it
    Ellipsoid(0.42, 0.08, -0.52, 0.20, 0.24, 0.26, 115),  # spleen
    Ellipsoid(0.20, -0.20, -0.50, 0.20, 0.18, 0.22, 15),  # stomach
    Ellipsoid(0.22, -0.28, -0.48, 0.13, 0.07, 0.14, -700),  # gas in it
    Ellipsoid(-0.27, 0.26, -0.86, 0.12, 0.11, 0.22, 180, 20),  # right kidney
    Ellipsoid(0.29, 0.26, -0.82, 0.12, 0.11, 0.22, 180, -20),  # left kidney
    Ellipsoid(0, 0.33, 0, 0.12, 0.11, 2.0, 300),  # vertebral bodies
    Ellipsoid(0, 0.33, 0, 0.09, 0.08, 2.0, 180),
    Ellipsoid(0, 0.45, 0, 0.05, 0.05, 2.0, 35),  # spinal canal
    Ellipsoid(0, 0.53, 0, 0.03, 0.08, 2.0, 420),  # spinous processes
    Ellipsoid(0, -0.50, 0.35, 0.08, 0.03, 0.5, 350),  # sternum
    Ellipsoid(-0.44, 0.10, 0.30, 0.035, 0.035, 0.045, 40),  # a nodule in the right lung
)
"""Values in Hounsfield units."""

HEAD: tuple[Ellipsoid, ...] = (
    Ellipsoid(0, 0, 0, 0.72, 0.90, 0.95, 1),  # scalp
    Ellipsoid(0, 0, 0, 0.68, 0.86, 0.91, 2),  # skull
    Ellipsoid(0, 0, 0, 0.63, 0.81, 0.86, 3),  # cerebrospinal fluid
    Ellipsoid(0, 0, 0.02, 0.60, 0.78, 0.82, 4),  # grey matter
    Ellipsoid(-0.27, 0, 0.05, 0.25, 0.66, 0.66, 5),  # white matter, right
    Ellipsoid(0.27, 0, 0.05, 0.25, 0.66, 0.66, 5),  # left
    Ellipsoid(-0.10, -0.16, 0.10, 0.06, 0.26, 0.22, 3, 14),  # ventricles
    Ellipsoid(0.10, -0.16, 0.10, 0.06, 0.26, 0.22, 3, -14),
    Ellipsoid(-0.13, 0.24, 0.06, 0.05, 0.20, 0.16, 3, -20),
    Ellipsoid(0.13, 0.24, 0.06, 0.05, 0.20, 0.16, 3, 20),
    Ellipsoid(-0.17, 0.02, 0.0, 0.08, 0.12, 0.14, 4),  # thalami
    Ellipsoid(0.17, 0.02, 0.0, 0.08, 0.12, 0.14, 4),
    Ellipsoid(0.30, -0.36, 0.22, 0.11, 0.12, 0.13, 6),  # a lesion with its rim
    Ellipsoid(0.30, -0.36, 0.22, 0.07, 0.08, 0.09, 7),
    Ellipsoid(-0.22, -0.58, -0.42, 0.11, 0.12, 0.13, 3),  # eyes
    Ellipsoid(0.22, -0.58, -0.42, 0.11, 0.12, 0.13, 3),
    Ellipsoid(-0.15, 0.36, -0.50, 0.17, 0.19, 0.2, 5),  # cerebellum
    Ellipsoid(0.15, 0.36, -0.50, 0.17, 0.19, 0.2, 5),
    *_sulci(),
)
"""Values are tissue numbers, to be looked up in a table of signals."""


class Phantom:
    """Draws slices of a set of ellipsoids.

    Parameters
    ----------
    ellipsoids : sequence of Ellipsoid
    size : int
        Rows and columns.
    seed : int
        Of the noise.
    signals : mapping of float to float, optional
        If given, the value of each ellipsoid is looked up here.
    """

    def __init__(
        self, ellipsoids: Sequence[Ellipsoid], size: int, seed: int, signals: dict[float, float] | None = None
    ) -> None:
        self._parts = [(part, signals[part.value] if signals else part.value) for part in ellipsoids]
        self._size = size
        axis = np.linspace(-1, 1, size, dtype=np.float32)
        self._x, self._y = axis[np.newaxis, :], axis[:, np.newaxis]
        rng = np.random.default_rng(seed)
        self._noise = rng.normal(0, 1, (size + 64, size + 64)).astype(np.float32)

    def draw(self, z: float, background: float, noise: float, number: int = 0) -> Image:
        """Return one slice, size x size.

        Parameters
        ----------
        z : float
            Position, -1 to 1.
        background : float
            Value outside all ellipsoids.
        noise : float
            Standard deviation.
        number : int
            Slices of different number have different noise.
        """
        image = np.full((self._size, self._size), background, np.float32)
        for part, value in self._parts:
            shrink = 1 - ((z - part.z) / part.height) ** 2
            if shrink > 0:
                self._paint(image, part, np.sqrt(shrink), value)
        top, left = (number * 37) % 64, (number * 23) % 64
        image += noise * self._noise[top : top + self._size, left : left + self._size]
        return image

    def _paint(self, image: Image, part: Ellipsoid, shrink: float, value: float) -> None:
        """Blend one ellipse into the rectangle of the image that holds it."""
        reach = max(part.width, part.depth) * shrink + 4 / self._size
        rows, columns = (self._span(centre, reach) for centre in (part.y, part.x))
        turn = np.deg2rad(part.angle)
        x, y = self._x[:, columns] - part.x, self._y[rows] - part.y
        across = (x * np.cos(turn) + y * np.sin(turn)) / (part.width * shrink)
        along = (y * np.cos(turn) - x * np.sin(turn)) / (part.depth * shrink)
        softness = self._size * min(part.width, part.depth) * shrink / 4
        cover = np.clip((1 - across**2 - along**2) * softness + 0.5, 0, 1)
        region = image[rows, columns]
        region += cover * (np.float32(value) - region)

    def _span(self, centre: float, reach: float) -> slice:
        first = int((centre - reach + 1) / 2 * self._size)
        last = int((centre + reach + 1) / 2 * self._size) + 2
        return slice(max(first, 0), min(max(last, 0), self._size))


def project(ellipsoids: Sequence[Ellipsoid], rows: int, columns: int) -> Image:
    """Return the attenuation along y through `ellipsoids`, rows x columns, head up, in relative units.

    Each ellipsoid adds the length of the ray in it times the difference it makes to water.
    """
    x = np.linspace(-1, 1, columns, dtype=np.float32)[np.newaxis, :]
    z = np.linspace(1, -1, rows, dtype=np.float32)[:, np.newaxis]
    image = np.zeros((rows, columns), np.float32)
    for part in ellipsoids:
        inside = 1 - ((x - part.x) / part.width) ** 2 - ((z - part.z) / part.height) ** 2
        image += 2 * part.depth * np.sqrt(np.clip(inside, 0, None)) * np.float32(part.value / 1000)
    return image
