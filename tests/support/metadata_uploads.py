"""Store requests of metadata and bulk data, made with pydicom from data sets, and what they should be stored as."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from tests.support.reference_model import build_xml
from tests.support.uploads import BOUNDARY

__all__ = [
    "JSON",
    "XML",
    "Bulk",
    "Upload",
    "data_elements",
    "frame_parts",
    "make_body",
    "metadata_type",
    "read_stored",
    "split_off_bulk",
]

JSON, XML = "application/dicom+json", "application/dicom+xml"


@dataclass(frozen=True)
class Bulk:
    """A bulk part."""

    location: str
    data: bytes
    media_type: str = "application/octet-stream"
    more: str = ""
    """Further header lines, each with its line end."""


@dataclass
class Upload:
    """A request: models of instances and the bulk parts."""

    models: list[dict[str, Any]]
    parts: list[Bulk] = field(default_factory=list)

    def body(self, root: str = JSON, shuffle: random.Random | None = None, parameters: str = "") -> bytes:
        """The multipart; bulk parts in another order if told so."""
        parts = list(self.parts)
        if shuffle is not None:
            parts = shuffle_parts(parts, shuffle)
        if root == JSON:
            metadata = [json.dumps(self.models).encode()]
        else:
            metadata = [build_xml(model) for model in self.models]
        return make_body([(root + parameters, document) for document in metadata], parts)


def shuffle_parts(parts: Sequence[Bulk], chance: random.Random) -> list[Bulk]:
    """Any order, but parts of one location keep theirs: they are frames."""
    order = list(parts)
    chance.shuffle(order)
    frames = {part.location: iter([it for it in parts if it.location == part.location]) for part in parts}
    return [next(frames[part.location]) for part in order]


def metadata_type(root: str = JSON) -> str:
    """The Content-Type of such a request."""
    return f'multipart/related; type="{root}"; boundary="{BOUNDARY}"'


def make_body(metadata: Iterable[tuple[str, bytes]], parts: Iterable[Bulk] = ()) -> bytes:
    """A multipart of metadata parts, then bulk parts."""
    out = BytesIO()
    for content_type, document in metadata:
        out.write(f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode() + document + b"\r\n")
    for part in parts:
        head = (
            f"--{BOUNDARY}\r\nContent-Type: {part.media_type}\r\nContent-Location: {part.location}\r\n{part.more}\r\n"
        )
        out.write(head.encode() + part.data + b"\r\n")
    out.write(f"--{BOUNDARY}--\r\n".encode())
    return out.getvalue()


def frame_parts(location: str, pixel_data: bytes, count: int, media_type: str, *, numbered: bool = False) -> list[Bulk]:
    """A part for each frame of encapsulated pixel data."""
    frames = generate_frames(pixel_data, number_of_frames=count)
    return [
        Bulk(f"{location}/frames/{number}" if numbered else location, frame, media_type)
        for number, frame in enumerate(frames, start=1)
    ]


def split_off_bulk(data_set: Dataset, threshold: int = 1024, prefix: str = "bulk") -> Upload:
    """The model of a data set, values of `threshold` bytes and more in parts; its pixel data is native."""
    parts: list[Bulk] = []

    def move(element: DataElement) -> str:
        location = f"{prefix}/{len(parts)}"
        value = element.value if isinstance(element.value, bytes) else _encode(element)
        parts.append(Bulk(location, value))
        return location

    return Upload([data_set.to_json_dict(threshold, move)], parts)


def _encode(element: DataElement) -> bytes:
    """The value field of an element."""
    holder = Dataset()
    holder.add(element)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = True, True
    write_dataset(buffer, holder)
    return buffer.getvalue()[8:]


def read_stored(data: bytes) -> Dataset:
    """A data set in Explicit VR Little Endian, without File Meta Information."""
    return read_dataset(DicomBytesIO(data), is_implicit_VR=False, is_little_endian=True)


def data_elements(data_set: Dataset) -> list[tuple[int, str, Any]]:
    """Tag, VR and value of all elements, padding of bytes apart."""
    return [(int(it.tag), it.VR, _comparable(it)) for it in data_set if it.tag.element and it.tag != 0xFFFCFFFC]


def _comparable(element: DataElement) -> Any:
    if element.VR == "SQ":
        return [data_elements(item) for item in element.value]
    if element.value == b"" or element.is_empty:
        return ""
    if isinstance(element.value, bytes):
        return element.value + b"\0" * (len(element.value) % 2)
    return element.value
