"""The loads: synthetic files, made once and kept in ``.benchmark-data``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

import pydicom

from gateway.sandbox.loads import write_ct_series, write_many_studies, write_multiframe

__all__ = ["Load", "make_ct_series", "make_many_studies", "make_multiframe", "write_upload"]

FOLDER = Path(".benchmark-data")
BOUNDARY = str(uuid5(UUID(int=0), "benchmarks"))


@dataclass(frozen=True, slots=True)
class Load:
    """Instances in files below `folder`; the UIDs are those of the first."""

    folder: Path
    files: tuple[Path, ...]
    study: str
    series: str
    instance: str
    size: int

    @classmethod
    def read(cls, folder: Path) -> Load:
        """Describe the files of `folder`."""
        files = tuple(sorted(folder.rglob("*.dcm")))
        head = pydicom.dcmread(files[0], stop_before_pixels=True)
        size = sum(file.stat().st_size for file in files)
        return cls(folder, files, head.StudyInstanceUID, head.SeriesInstanceUID, head.SOPInstanceUID, size)

    @property
    def path(self) -> str:
        """URL path of the series."""
        return f"/studies/{self.study}/series/{self.series}"

    def list_uids(self, keyword: str) -> Sequence[str]:
        """The different values of one UID attribute, in the order of the files."""
        heads = (pydicom.dcmread(file, specific_tags=[keyword], stop_before_pixels=True) for file in self.files)
        return list(dict.fromkeys(str(head[keyword].value) for head in heads))


def make_ct_series(slices: int) -> Load:
    """One CT series of 525 kB a slice."""
    return _make(f"ct-{slices}", lambda folder: write_ct_series(folder, slices=slices))


def make_multiframe(gib: float) -> Load:
    """One Enhanced CT instance."""
    return _make(f"multiframe-{gib:g}", lambda folder: write_multiframe(folder, gib=gib))


def make_many_studies(patients: int) -> Load:
    """Tiny objects in many studies: 24 a patient, in four studies."""
    return _make(f"many-{patients}", lambda folder: write_many_studies(folder, patients=patients))


def _make(name: str, write: Callable[[Path], object]) -> Load:
    folder = FOLDER / name
    files, complete = folder / "files", folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        files.mkdir(parents=True)
        write(files)
        complete.touch()
    return Load.read(files)


def write_upload(load: Load) -> Path:
    """The body of one store request with all files of `load` (PS3.18 §10.5.1); its boundary is `BOUNDARY`."""
    path = load.folder.with_name("upload.multipart")
    if not path.exists():
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as body:
            for part in _iter_parts(load):
                body.write(part)
        unfinished.rename(path)
    return path


def _iter_parts(load: Load) -> Iterator[bytes]:
    for file in load.files:
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        yield file.read_bytes()
        yield b"\r\n"
    yield f"--{BOUNDARY}--\r\n".encode()
