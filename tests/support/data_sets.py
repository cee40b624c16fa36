"""Samples taken apart: File Meta Information and data set, as a gateway's codecs get them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.support.samples import sample_files

__all__ = ["Sample", "read_sample", "sample_names"]


_NATIVE = {
    (True, True): str(ImplicitVRLittleEndian),
    (False, True): str(ExplicitVRLittleEndian),
    (False, False): str(ExplicitVRBigEndian),
}
"""Transfer syntaxes by whether VRs are left out and the order is little endian."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A file: all its bytes, its transfer syntax, and its data set without File Meta Information.

    `has_file_meta` says whether it follows PS3.10 far enough to be read without force, and names its transfer syntax.
    """

    content: bytes
    transfer_syntax_uid: str
    data_set: bytes
    has_file_meta: bool


def _split(path: Path) -> Sample | None:
    content = path.read_bytes()
    stream = BytesIO(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            preamble = read_preamble(stream, force=True)
            meta = _read_file_meta_info(stream)
            stated = meta.get("TransferSyntaxUID")
            uid = stated or _guess(content)
        except Exception:  # what is no DICOM fails in many ways
            return None
    return Sample(content, str(uid), stream.read(), bool(preamble and stated)) if uid else None


def _guess(content: bytes) -> str | None:
    """The transfer syntax of a file that does not name it, as pydicom reads it; None if it has no data set."""
    found = dcmread(BytesIO(content), force=True, stop_before_pixels=True)
    has_elements = any(tag.group == 0x0008 for tag in found.keys())
    return _NATIVE.get(found.original_encoding) if has_elements else None


@cache
def _find() -> dict[str, tuple[Path, bool]]:
    found: dict[str, tuple[Path, bool]] = {}
    for path in sample_files():
        if (sample := _split(path)) is not None:
            name = "/".join(path.parts[-2:])
            found[name if name not in found else "/".join(path.parts[-4:])] = path, sample.has_file_meta
    return found


def sample_names(*, bare: bool = False) -> list[str]:
    """Short names of the samples with File Meta Information; `bare` adds data sets without it, or without a syntax."""
    return [name for name, (_, has_file_meta) in _find().items() if bare or has_file_meta]


def read_sample(name: str) -> Sample:
    """Read one of `sample_names`."""
    sample = _split(_find()[name][0])
    assert sample is not None
    return sample
