"""Which files are to be sent, and what they are.

Files that are no DICOM are told apart here, before anything is sent; nothing but UIDs is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import config, dcmread
from pydicom.errors import InvalidDicomError

from gateway.resources import is_valid_uid

__all__ = ["InstanceFile", "find_files", "read_instance_file"]

_TAGS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"]


@dataclass(frozen=True, slots=True)
class InstanceFile:
    """One instance on disk; `size` in bytes, `modified` in nanoseconds since 1970."""

    path: Path
    size: int
    modified: int
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str


def find_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield every regular file of `paths` and of the folders below, each once, folders in order of their names.

    Raises
    ------
    FileNotFoundError
        One of `paths` does not exist.
    """
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(2, "no such file or folder", str(path))
        for found in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if found.is_file() and (real := found.resolve()) not in seen:
                seen.add(real)
                yield found


def read_instance_file(path: Path) -> InstanceFile | None:
    """What the file says of itself; None if it is no DICOM file with the UIDs an instance has.

    Raises
    ------
    OSError
        It cannot be read.
    """
    status = path.stat()
    try:
        with config.disable_value_validation():
            head: Any = dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        uids = [str(head.get(tag, "")) for tag in _TAGS]
    except (InvalidDicomError, EOFError, ValueError, NotImplementedError, AttributeError, KeyError):
        return None
    if not all(is_valid_uid(uid) for uid in uids):
        return None
    return InstanceFile(path, status.st_size, status.st_mtime_ns, *uids)
