"""The stored instances: Part 10 files on disk and a SQLite index over them.

A data set is written exactly as it came, after our own File Meta Information (PS3.10 §7.1). The index holds
the unique keys and what is needed to choose presentation contexts; every other attribute is read from the
file's head, once. Safe to use from any thread. Called by the services of the sandbox archive.
"""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, UID
from pynetdicom.dsutils import split_dataset

__all__ = ["InstanceIndex", "StoredInstance"]

_DEFERRED_BYTES = 65_536  # values longer than this are no query keys and stay on disk
_READ_ERRORS = (
    BytesLengthException,
    InvalidDicomError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    EOFError,
    OSError,
)


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One row; `data_offset` is where the data set starts in the file, in bytes."""

    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    study_instance_uid: str
    patient_id: str
    modality: str
    transfer_syntax_uid: str
    path: str
    data_offset: int


_COLUMNS = tuple(field.name for field in fields(StoredInstance))
_SCHEMA = f"""
CREATE TABLE IF NOT EXISTS instances ({", ".join(_COLUMNS)}, PRIMARY KEY (sop_instance_uid));
CREATE INDEX IF NOT EXISTS by_series ON instances (series_instance_uid);
CREATE INDEX IF NOT EXISTS by_study ON instances (study_instance_uid);
CREATE INDEX IF NOT EXISTS by_patient ON instances (patient_id);
"""


class InstanceIndex:
    """Files below `directory` and the index ``index.sqlite`` in it, made if missing; close it when done."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "instances"
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._database = sqlite3.connect(directory / "index.sqlite", check_same_thread=False)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=OFF")  # demo and test data: speed before durability
        self._database.executescript(_SCHEMA)
        self._heads: dict[str, Dataset] = {}

    def close(self) -> None:
        """Write out and close the database; nothing may be called afterwards."""
        with self._lock:
            self._database.commit()
            self._database.close()

    def __len__(self) -> int:
        with self._lock:
            return int(self._database.execute("SELECT count(*) FROM instances").fetchone()[0])

    def add(
        self,
        data_set: bytes | memoryview,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
    ) -> StoredInstance:
        """Store one data set as it came; an instance of the same UID is replaced.

        Parameters
        ----------
        data_set : bytes or memoryview
            Encoded in `transfer_syntax_uid`, without File Meta Information.

        Raises
        ------
        ValueError
            The data set cannot be read as far as its pixels, or lacks one of its UIDs.
        """
        file_meta = _encode_file_meta(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        path = self._directory / f"{uuid.uuid4().hex}.dcm"
        with path.open("wb") as file:
            file.write(file_meta)
            file.write(data_set)
        try:
            return self._insert(path, _read_head(path), len(file_meta))
        except ValueError:
            path.unlink()
            raise

    def add_file(self, path: Path) -> StoredInstance:
        """Index a Part 10 file where it lies; it is not copied and must stay there.

        Raises
        ------
        ValueError
            Not a Part 10 file, or without one of its UIDs.
        """
        head = _read_head(path)
        _, data_offset = split_dataset(path)
        return self._insert(path.resolve(), head, data_offset)

    def _insert(self, path: Path, head: Dataset, data_offset: int) -> StoredInstance:
        row = StoredInstance(
            sop_instance_uid=_require_uid(head, "SOPInstanceUID"),
            sop_class_uid=_require_uid(head, "SOPClassUID"),
            series_instance_uid=_require_uid(head, "SeriesInstanceUID"),
            study_instance_uid=_require_uid(head, "StudyInstanceUID"),
            patient_id=_read_text(head, "PatientID"),
            modality=_read_text(head, "Modality"),
            transfer_syntax_uid=str(head.file_meta.TransferSyntaxUID),
            path=str(path),
            data_offset=data_offset,
        )
        with self._lock:
            self._discard(row.sop_instance_uid, str(path))
            places = ", ".join("?" * len(_COLUMNS))
            self._database.execute(f"INSERT OR REPLACE INTO instances VALUES ({places})", astuple(row))
            self._database.commit()
            self._heads[row.sop_instance_uid] = head
        return row

    def _discard(self, sop_instance_uid: str, successor: str) -> None:
        """Remove the file of an instance about to be replaced, if it is one that this index wrote."""
        found = self._database.execute(
            "SELECT path FROM instances WHERE sop_instance_uid = ?", (sop_instance_uid,)
        ).fetchone()
        if found and found[0] != successor and Path(found[0]).parent == self._directory:
            Path(found[0]).unlink(missing_ok=True)

    def select(self, keys: Mapping[str, Sequence[str]]) -> list[StoredInstance]:
        """Find instances by exact values.

        Parameters
        ----------
        keys : mapping of str to sequence of str
            Field name of `StoredInstance` to the values it may have; all keys must match.

        Returns
        -------
        list of StoredInstance
            In the order in which they were stored.
        """
        clauses = [f"{name} IN ({', '.join('?' * len(values))})" for name, values in keys.items()]
        where = f"WHERE {' AND '.join(clauses)}" if clauses else ""
        values = [value for group in keys.values() for value in group]
        with self._lock:
            rows = self._database.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM instances {where} ORDER BY rowid", values
            ).fetchall()
        return [StoredInstance(*row) for row in rows]

    def read_head(self, instance: StoredInstance) -> Dataset:
        """Return the data set up to the pixels; it is shared and must not be changed."""
        head = self._heads.get(instance.sop_instance_uid)
        if head is None:
            head = self._heads[instance.sop_instance_uid] = _read_head(Path(instance.path))
        return head


def _read_head(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, defer_size=_DEFERRED_BYTES)
    except _READ_ERRORS as error:
        raise ValueError("not readable as DICOM") from error


def _require_uid(head: Dataset, keyword: str) -> str:
    uid = _read_text(head, keyword)
    if not uid:
        raise ValueError(f"no {keyword}")
    return uid


def _read_text(head: Dataset, keyword: str) -> str:
    try:
        value = head.get(keyword)
    except _READ_ERRORS:
        return ""
    return str(value).strip() if value is not None else ""


def _encode_file_meta(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> bytes:
    file_meta = FileMetaDataset()
    file_meta.FileMetaInformationVersion = b"\x00\x01"
    file_meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    file_meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    buffer = DicomBytesIO()
    write_file_meta_info(buffer, file_meta)
    return bytes(128) + b"DICM" + buffer.getvalue()
