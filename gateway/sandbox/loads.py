"""Loads for tests and benchmarks: a long CT series, one very large instance, many small studies.

The same arguments give the same bytes. Each writes Part 10 files and holds little in memory.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from gateway.sandbox.cross_sections import describe_ct
from gateway.sandbox.instances import Patient, Study, describe_instance, make_uid, set_pixels, write_instance
from gateway.sandbox.phantom import TORSO, Phantom

__all__ = ["write_ct_series", "write_many_studies", "write_multiframe"]

_ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
_GIBIBYTE = 1 << 30
_LONGEST_PIXEL_DATA = 0xFFFF_FFFE
_DISTINCT_FRAMES = 16  # drawn once and repeated, each with its number written into its first pixels
_PATIENT = Patient("LOAD", "Load^Test", "ISO_IR 192")
_MODALITIES = (
    ("1.2.840.10008.5.1.4.1.1.1", "CR"),
    ("1.2.840.10008.5.1.4.1.1.2", "CT"),
    ("1.2.840.10008.5.1.4.1.1.4", "MR"),
)
_NAMES: tuple[tuple[str | tuple[str, ...], str], ...] = (
    ("", "Sample^Sam^Q^Dr^Jr"),
    ("ISO_IR 100", "Müßig^Jürgen"),
    ("ISO_IR 192", "Иванова^Мария"),
    ("ISO_IR 144", "Образцов^Пётр"),
    ("ISO_IR 126", "Παράδειγμα^Άννα"),
    ("ISO_IR 192", "Li^XiaoDong=李^小东="),
    (("", "ISO 2022 IR 87"), "Tesuto^Taro=試験^太郎=てすと^たろう"),
    (("", "ISO 2022 IR 149"), "Kim^Gildong=金^吉洞=김^길동"),
    ("ISO_IR 192", "مثال^ليلى"),
    ("GB18030", "Wang^Fang=王^芳="),
    ("ISO_IR 100", "O'Brien^Anne-Marie"),
)


def write_ct_series(directory: Path, slices: int = 200, size: int = 512, seed: int = 1) -> list[Path]:
    """Write one CT series, Explicit VR Little Endian, 16 bits: 525 kB a slice at 512 x 512.

    Returns
    -------
    list of Path
        In the order of Instance Number.
    """
    study = Study(f"load ct {slices} {size} {seed}", _PATIENT, "20240115", "091500", "CT load", f"CT{seed}")
    phantom = Phantom(TORSO, size, seed)
    paths = []
    for number, z in enumerate(np.linspace(-0.95, 0.95, slices), 1):
        instance = describe_ct(study, number, size, number * 1.25, 1.25)
        values = phantom.draw(float(z), -1000, 14, number) + 1024
        set_pixels(instance, np.clip(values, 0, 4095).astype(np.uint16), 12)
        paths.append(write_instance(instance, directory, f"{number:05d}"))
    return paths


def write_multiframe(directory: Path, gib: float = 1.0, size: int = 512, seed: int = 1) -> Path:
    """Write one Enhanced CT instance with about `gib` GiB of pixels, frame after frame.

    The number of each frame, from 0, stands in its first two pixels (12 bits each, low part first), so that a
    frame that went astray is noticed.

    Raises
    ------
    ValueError
        Less than one frame, or more than Pixel Data of defined length can hold (4 GiB).
    """
    frame_bytes = size * size * 2
    frames = int(gib * _GIBIBYTE) // frame_bytes
    length = frames * frame_bytes
    if not 0 < length <= _LONGEST_PIXEL_DATA:
        raise ValueError("pixel data must be between one frame and 4 GiB")
    study = Study(f"load multiframe {frames} {size} {seed}", _PATIENT, "20240116", "101500", "Multi-frame load", "MF")
    path = write_instance(_describe_multiframe(study, frames, size), directory, f"{frames:05d}_frames")
    with path.open("ab") as file:
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, length))
        for frame in _iter_frames(frames, size, seed):
            file.write(frame)
    return path


def _iter_frames(frames: int, size: int, seed: int) -> Iterator[bytes]:
    phantom = Phantom(TORSO, size, seed)
    drawn = [
        np.clip(phantom.draw(float(z), -1000, 14, number) + 1024, 0, 4095).astype("<u2")
        for number, z in enumerate(np.linspace(-0.9, 0.9, min(frames, _DISTINCT_FRAMES)))
    ]
    for number in range(frames):
        frame = drawn[number % len(drawn)]
        frame[0, 0], frame[0, 1] = number & 0xFFF, number >> 12
        yield frame.tobytes()


def _describe_multiframe(study: Study, frames: int, size: int) -> Dataset:
    """An Enhanced CT instance up to its pixels, with functional groups (PS3.3 §A.38.1, §C.7.6.16)."""
    instance = describe_instance(study, _ENHANCED_CT, "CT", 1, 1, "Enhanced CT")
    instance.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    instance.FrameOfReferenceUID = make_uid("frame of reference", study.key)
    instance.NumberOfFrames = frames
    set_pixels(instance, np.zeros((size, size), np.uint16), 12)
    del instance.PixelData
    instance.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=make_uid("dimension", study.key))]
    instance.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=make_uid("dimension", study.key),
            DimensionIndexPointer=0x00209057,  # In-Stack Position Number
            FunctionalGroupPointer=0x00209111,  # Frame Content Sequence
        )
    ]
    spacing = f"{400 / size:.6g}"
    instance.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=[spacing, spacing], SliceThickness="1.25")],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
            PixelValueTransformationSequence=[_item(RescaleIntercept="-1024", RescaleSlope="1", RescaleType="HU")],
            FrameVOILUTSequence=[_item(WindowCenter="40", WindowWidth="400")],
        )
    ]
    instance.PerFrameFunctionalGroupsSequence = [_describe_frame(number) for number in range(frames)]
    return instance


def _describe_frame(number: int) -> Dataset:
    position = number + 1
    return _item(
        FrameContentSequence=[_item(StackID="1", InStackPositionNumber=position, DimensionIndexValues=position)],
        PlanePositionSequence=[_item(ImagePositionPatient=["-200", "-200", f"{number * 1.25:.8g}"])],
    )


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


def write_many_studies(
    directory: Path, patients: int = 50, studies: int = 4, series: int = 3, instances: int = 2, seed: int = 1
) -> list[Path]:
    """Write many small studies for searches: three modalities, several character sets, ten years.

    `studies` counts per patient, `series` per study, `instances` per series; images are 32 x 32.
    """
    rng = np.random.default_rng(seed)
    paths = []
    for patient_number in range(patients):
        character_set, name = _NAMES[patient_number % len(_NAMES)]
        patient = Patient(
            f"PID{seed}-{patient_number:05d}",
            name,
            character_set,
            f"{1930 + patient_number % 80}0{1 + patient_number % 9}15",
            "FMO"[patient_number % 3],
        )
        for study_number in range(studies):
            study = _schedule(patient, patient_number, study_number, seed, rng)
            folder = directory / f"{patient_number:05d}" / f"{study_number:03d}"
            paths += [
                write_instance(instance, folder, name)
                for name, instance in _iter_small(study, patient_number, series, instances, rng)
            ]
    return paths


def _schedule(patient: Patient, patient_number: int, number: int, seed: int, rng: np.random.Generator) -> Study:
    year, month, day = 2015 + int(rng.integers(10)), 1 + int(rng.integers(12)), 1 + int(rng.integers(28))
    hour, minute, second = int(rng.integers(24)), int(rng.integers(60)), int(rng.integers(60))
    return Study(
        f"load many {seed} {patient_number} {number}",
        patient,
        f"{year}{month:02d}{day:02d}",
        f"{hour:02d}{minute:02d}{second:02d}",
        f"Exam {number}",
        f"A{patient_number:05d}{number:03d}",
        f"{patient_number}.{number}",
    )


def _iter_small(
    study: Study, patient_number: int, series: int, instances: int, rng: np.random.Generator
) -> Iterator[tuple[str, Dataset]]:
    for series_number in range(1, series + 1):
        sop_class, modality = _MODALITIES[(patient_number + series_number) % len(_MODALITIES)]
        for number in range(1, instances + 1):
            instance = describe_instance(
                study, sop_class, modality, series_number, number, f"{modality} series {series_number}"
            )
            instance.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
            set_pixels(instance, rng.integers(0, 4096, (32, 32), dtype=np.uint16), 12)
            yield f"{series_number:03d}_{number:04d}", instance
