"""Which files are to be sent, and what they are.

Files that are no DICOM are told apart here, before anything is sent, and from DICOM files that cannot be read: those
are not stored and must be told. Nothing but UIDs is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import config, dcmread
from pydicom.errors import InvalidDicomError

from gateway.resources import is_valid_uid

__all__ = ["InstanceFile", "UnreadableFile", "describe_fault", "find_files", "read_instance_file"]

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"
"""SOP Class of a DICOMDIR: a DICOM file that is no instance of a study (PS3.3 §F)."""

_TAGS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"]


class UnreadableFile(Exception):
    """A file that cannot be read, or a DICOM file that does not say which instance it is."""


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
    """What the file says of itself; None if it is no DICOM file or a DICOMDIR.

    Raises
    ------
    UnreadableFile
        It cannot be read, or begins as a DICOM file and has no UIDs of an instance, for instance because it was cut.
    """
    try:
        status = path.stat()
        with config.disable_value_validation():
            head: Any = dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        uids = [str(head.get(tag, "")) for tag in _TAGS]
    except InvalidDicomError:
        return None
    except Exception as error:  # pydicom and zlib raise errors of many kinds on damaged files
        raise UnreadableFile(f"cannot be read: {describe_fault(error)}") from error
    if all(is_valid_uid(uid) for uid in uids):
        return InstanceFile(path, status.st_size, status.st_mtime_ns, *uids)
    if head.file_meta.get("MediaStorageSOPClassUID") == MEDIA_STORAGE_DIRECTORY:
        return None
    raise UnreadableFile("a DICOM file without the UIDs of an instance")


def describe_fault(error: Exception) -> str:
    """What to tell of `error`: the words of the system; those of a library may quote values of the file."""
    return (error.strerror if isinstance(error, OSError) else None) or "damaged"
