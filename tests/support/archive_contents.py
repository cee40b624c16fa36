"""What an archive under test really holds: its files, read without DIMSE."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Self
from urllib.request import urlopen

from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.support.peers import LOOPBACK, DcmqrscpPeer, OrthancPeer, Peer
from tests.support.wado import split_file

__all__ = ["StoredInstance", "list_contents"]

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One instance; `content` is its file, `data_set` what follows the File Meta Information there."""

    study: str
    series: str
    instance: str
    sop_class: str
    transfer_syntax: str
    data_set: bytes
    content: bytes

    @classmethod
    def from_content(cls, content: bytes, offset: int, transfer_syntax: str) -> Self | None:
        """Describe a file; None if it lacks a UID that retrieving needs."""
        head = dcmread(BytesIO(content), specific_tags=list(_UIDS), stop_before_pixels=True, force=True)
        uids = [str(head.get(name, "")) for name in _UIDS]
        return cls(*uids, transfer_syntax, content[offset:], content) if all(uids) else None

    @property
    def path(self) -> str:
        """Path of the resource below a service root."""
        return f"/studies/{self.study}/series/{self.series}/instances/{self.instance}"

    @property
    def inflated(self) -> bytes:
        """The data set; inflated where it is stored deflated (PS3.5 §A.5)."""
        if self.transfer_syntax != DeflatedExplicitVRLittleEndian:
            return self.data_set
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(self.data_set)

    def read(self) -> Dataset:
        """The data set as pydicom reads it."""
        return dcmread(BytesIO(self.content), force=True)


def list_contents(peer: Peer) -> dict[str, StoredInstance]:
    """Everything stored, by resource path."""
    found: dict[str, StoredInstance] = {}
    for content in _iter_files(peer):
        syntax, data_set = split_file(content)
        stored = StoredInstance.from_content(content, len(content) - len(data_set), syntax)
        if stored is not None:
            found[stored.path] = stored
    return found


def _iter_files(peer: Peer) -> Iterator[bytes]:
    if isinstance(peer, OrthancPeer):
        for instance in peer.rest("/instances"):
            with urlopen(f"http://{LOOPBACK}:{peer.http_port}/instances/{instance}/file", timeout=30) as answer:
                yield answer.read()
    elif isinstance(peer, DcmqrscpPeer):
        for path in sorted(Path(peer.folder / "db").glob("*.dcm")):
            yield path.read_bytes()
