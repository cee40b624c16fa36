"""The demo's chest radiograph (PS3.3 §A.2): the torso projected, one large image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from pydicom.dataset import Dataset

from gateway.sandbox.instances import Study, describe_instance, set_pixels
from gateway.sandbox.phantom import TORSO, Ellipsoid, project

__all__ = ["make_radiograph"]

CR_IMAGE = "1.2.840.10008.5.1.4.1.1.1"
_PIXEL_MM = 0.2


_RIB_HEIGHT = 0.035
_CHEST: tuple[Ellipsoid, ...] = (
    Ellipsoid(0, 0, -0.2, 0.82, 0.60, 2.6, 1000),  # soft tissue
    Ellipsoid(-0.66, 0, 0.92, 0.36, 0.30, 0.26, 700),  # shoulders
    Ellipsoid(0.66, 0, 0.92, 0.36, 0.30, 0.26, 700),
    Ellipsoid(-0.37, 0, 0.24, 0.31, 0.42, 0.68, -1000),  # lungs
    Ellipsoid(0.38, 0, 0.24, 0.29, 0.42, 0.68, -1000),
    Ellipsoid(0.13, 0, -0.06, 0.27, 0.25, 0.30, 1000),  # heart
    Ellipsoid(-0.04, 0, 0.12, 0.12, 0.18, 0.30, 700),
    Ellipsoid(0.10, 0, 0.44, 0.08, 0.16, 0.11, 900),  # aortic arch
    Ellipsoid(-0.14, 0, 0.20, 0.06, 0.12, 0.10, 700),  # hila
    Ellipsoid(0.19, 0, 0.24, 0.06, 0.12, 0.10, 700),
    Ellipsoid(0.07, 0, 0, 0.055, 0.10, 1.4, 600),  # descending aorta
    Ellipsoid(0, 0, 0.80, 0.035, 0.10, 0.34, -900),  # trachea
    Ellipsoid(-0.37, 0, -0.62, 0.38, 0.42, 0.36, 900),  # liver below the diaphragm
    Ellipsoid(0.38, 0, -0.70, 0.34, 0.42, 0.36, 900),
    Ellipsoid(0.30, 0, -0.50, 0.12, 0.16, 0.09, -700),  # gas in the stomach
    Ellipsoid(-0.46, 0, 0.30, 0.035, 0.12, 0.04, 900),  # the nodule of the CT
    *(Ellipsoid(0, 0, 1 - 0.13 * level, 0.085, 0.18, 0.055, 900) for level in range(16)),  # vertebrae
    Ellipsoid(-0.29, 0, 0.84, 0.24, 0.10, 0.028, 900),  # clavicles
    Ellipsoid(0.29, 0, 0.84, 0.24, 0.10, 0.028, 900),
    *(replace(part, depth=0.05, value=900) for part in TORSO if part.height == _RIB_HEIGHT),
)
"""Values are the difference to what lies around, in thousandths of water: rays add them up."""


def make_radiograph(study: Study, rows: int, columns: int, seed: int = 4) -> Dataset:
    """Return one CR instance, 12 bits, bright where little radiation came through."""
    instance = describe_instance(study, CR_IMAGE, "CR", 1, 1, "Chest PA")
    instance.ImageType = ["ORIGINAL", "PRIMARY"]
    instance.BodyPartExamined = "CHEST"
    instance.ViewPosition = "PA"
    instance.PatientOrientation = ["L", "F"]
    instance.ImagerPixelSpacing = [_PIXEL_MM, _PIXEL_MM]
    instance.KVP = "125"
    instance.PlateType = instance.CassetteSize = None
    instance.WindowCenter, instance.WindowWidth = 1950, 2700
    attenuation = np.clip(project(_CHEST, rows, columns), 0, None)
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 22, (rows, columns)).astype(np.float32)
    values = 4000 * (1 - np.exp(-0.85 * attenuation)) + noise + 60
    set_pixels(instance, np.clip(values, 0, 4095).astype(np.uint16), 12)
    return instance
