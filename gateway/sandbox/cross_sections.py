"""The demo's CT and MR series (PS3.3 §A.3, §A.4): slices of the phantoms with their geometry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from gateway.sandbox.instances import Study, describe_instance, make_uid, set_pixels
from gateway.sandbox.phantom import HEAD, TORSO, Phantom

__all__ = ["T1_WEIGHTED", "T2_WEIGHTED", "Contrast", "describe_ct", "make_ct_series", "make_mr_series"]

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"


@dataclass(frozen=True, slots=True)
class Contrast:
    """An MR weighting: its times in ms, and the signal of each tissue of the head phantom."""

    name: str
    repetition_time: float
    echo_time: float
    signals: tuple[float, ...]


T1_WEIGHTED = Contrast("T1 axial", 500, 12, (900, 60, 160, 480, 680, 820, 240))
T2_WEIGHTED = Contrast("T2 axial", 4500, 95, (420, 40, 980, 560, 400, 760, 900))


def _place(instance: Dataset, study: Study, field_of_view: float, size: int, z: float, spacing: float) -> None:
    """Fill Frame of Reference and Image Plane: axial, millimetres (PS3.3 §C.7.4.1, §C.7.6.2)."""
    pixel = field_of_view / size
    corner = -field_of_view / 2 + pixel / 2
    instance.FrameOfReferenceUID = make_uid("frame of reference", study.key)
    instance.PositionReferenceIndicator = None
    instance.ImagePositionPatient = [f"{corner:.6g}", f"{corner:.6g}", f"{z:.6g}"]
    instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    instance.PixelSpacing = [f"{pixel:.6g}"] * 2
    instance.SliceThickness = f"{spacing:.6g}"
    instance.SliceLocation = f"{z:.6g}"
    instance.PatientPosition = "HFS"


def describe_ct(study: Study, number: int, size: int, z: float, spacing: float, series: int = 1) -> Dataset:
    """Return a CT instance without pixels; `z` and `spacing` in millimetres."""
    instance = describe_instance(study, CT_IMAGE, "CT", series, number, "Chest and abdomen, portal venous")
    instance.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    instance.BodyPartExamined = "CHEST"
    instance.AcquisitionNumber = 1
    instance.KVP = "120"
    instance.XRayTubeCurrent = "210"
    instance.ExposureTime = "500"
    instance.ConvolutionKernel = "SOFT"
    instance.RescaleIntercept, instance.RescaleSlope, instance.RescaleType = "-1024", "1", "HU"
    instance.WindowCenter, instance.WindowWidth = [40, -600], [400, 1500]
    instance.WindowCenterWidthExplanation = ["SOFT TISSUE", "LUNG"]
    _place(instance, study, 400, size, z, spacing)
    return instance


def make_ct_series(study: Study, slices: int, size: int, seed: int = 1) -> Iterator[Dataset]:
    """Yield the slices of a torso from its feet end to its head end, unsigned 12 bits with a rescale."""
    phantom = Phantom(TORSO, size, seed)
    spacing = 380 / slices
    for number, z in enumerate(np.linspace(-0.95, 0.95, slices), 1):
        instance = describe_ct(study, number, size, float(z) * 200, spacing)
        values = phantom.draw(float(z), -1000, 14, number) + 1024
        set_pixels(instance, np.clip(values, 0, 4095).astype(np.uint16), 12)
        yield instance


def make_mr_series(
    study: Study, series: int, contrast: Contrast, slices: int, size: int, seed: int = 2
) -> Iterator[Dataset]:
    """Yield the slices of a head in one weighting, unsigned 12 bits."""
    phantom = Phantom(HEAD, size, seed, {float(n): value for n, value in enumerate(contrast.signals, 1)})
    shading = 1 - 0.18 * np.linspace(-1, 1, size, dtype=np.float32)[:, np.newaxis] ** 2
    spacing = 160 / slices
    for number, z in enumerate(np.linspace(-0.8, 0.8, slices), 1):
        instance = describe_instance(study, MR_IMAGE, "MR", series, number, contrast.name)
        instance.ImageType = ["ORIGINAL", "PRIMARY", "M", "SE"]
        instance.BodyPartExamined = "HEAD"
        instance.ScanningSequence, instance.SequenceVariant, instance.ScanOptions = "SE", "NONE", ""
        instance.MRAcquisitionType = "2D"
        instance.RepetitionTime, instance.EchoTime = contrast.repetition_time, contrast.echo_time
        instance.EchoTrainLength = 1
        instance.MagneticFieldStrength = "1.5"
        instance.FlipAngle = "90"
        instance.SpacingBetweenSlices = f"{spacing:.6g}"
        instance.AcquisitionNumber = 1
        instance.WindowCenter, instance.WindowWidth = 480, 1000
        _place(instance, study, 240, size, float(z) * 100, spacing)
        values = np.abs(phantom.draw(float(z), 12, 13, number)) * shading
        set_pixels(instance, np.clip(values, 0, 4095).astype(np.uint16), 12)
        yield instance
