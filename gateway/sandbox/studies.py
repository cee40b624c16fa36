"""The demo's studies: a few good-looking synthetic ones, the same every time.

About 55 MB in all. Names come in several character sets, one MR series is RLE compressed, so that the demo shows
more than the easiest case.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from gateway.sandbox.cross_sections import T1_WEIGHTED, T2_WEIGHTED, make_ct_series, make_mr_series
from gateway.sandbox.document import make_document
from gateway.sandbox.instances import Patient, Study, write_instance
from gateway.sandbox.radiograph import make_radiograph
from gateway.sandbox.report import make_report
from gateway.sandbox.ultrasound import make_ultrasound_loop

__all__ = ["iter_demo_studies", "write_demo_studies"]

_LATIN = Patient("DEMO-1001", "Müller-Beispiel^Änne", "ISO_IR 100", "19620413", "F")
_JAPANESE = Patient("DEMO-1002", "Tesuto^Hanako=試験^花子=てすと^はなこ", ("", "ISO 2022 IR 87"), "19850102", "F")
_CYRILLIC = Patient("DEMO-1003", "Образцов^Пётр", "ISO_IR 144", "19741130", "M")
_UNICODE = Patient("DEMO-1004", "Przykładowa^Łucja", "ISO_IR 192", "19910707", "F")

_CT_STUDY = Study("demo ct", _LATIN, "20240311", "083012", "CT chest and abdomen", "DEMO-CT-1", "1001")
_MR_STUDY = Study("demo mr", _JAPANESE, "20240418", "141530", "MR head", "DEMO-MR-1", "1002")
_US_STUDY = Study("demo us", _CYRILLIC, "20240502", "101005", "Echocardiography", "DEMO-US-1", "1003")
_CR_STUDY = Study("demo cr", _UNICODE, "20240603", "165959", "Chest radiograph", "DEMO-CR-1", "1004")


def write_demo_studies(directory: Path) -> list[Path]:
    """Write the demo's studies below `directory`, one folder each, and return the paths of the files.

    Takes a few seconds; what is there of the same name is replaced.
    """
    return list(iter_demo_studies(directory))


def iter_demo_studies(directory: Path) -> Iterator[Path]:
    """As `write_demo_studies`, but file by file: whoever shows progress or wants to stop can."""
    studies = {"ct": _make_ct_study(), "mr": _make_mr_study(), "us": _make_us_study(), "cr": _make_cr_study()}
    for name, instances in studies.items():
        for number, instance in enumerate(instances, 1):
            yield write_instance(instance, directory / name, f"{number:04d}")


def _make_ct_study() -> Iterator[Dataset]:
    evidence = []
    for instance in make_ct_series(_CT_STUDY, slices=48, size=512):
        evidence.append(instance)
        yield instance
    yield make_report(_CT_STUDY, 2, evidence)


def _make_mr_study() -> Iterator[Dataset]:
    yield from make_mr_series(_MR_STUDY, 1, T1_WEIGHTED, slices=24, size=256)
    for instance in make_mr_series(_MR_STUDY, 2, T2_WEIGHTED, slices=24, size=256):
        instance.compress(RLELossless, generate_instance_uid=False)
        yield instance


def _make_us_study() -> Iterator[Dataset]:
    yield make_ultrasound_loop(_US_STUDY, frames=32, rows=384, columns=512)


def _make_cr_study() -> Iterator[Dataset]:
    yield make_radiograph(_CR_STUDY, rows=2048, columns=1792)
    yield make_document(_CR_STUDY, 2)
