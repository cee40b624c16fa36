"""Samples taken apart: File Meta Information and data set, as a gateway's codecs get them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble

from tests.support.samples import sample_files

__all__ = ["Sample", "read_sample", "sample_names"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A file: all its bytes, its transfer syntax, and its data set without File Meta Information."""

    content: bytes
    transfer_syntax_uid: str
    data_set: bytes


def _split(path: Path) -> Sample | None:
    content = path.read_bytes()
    stream = BytesIO(content)
    try:
        read_preamble(stream, False)
        meta = _read_file_meta_info(stream)
    except (InvalidDicomError, EOFError, ValueError):
        return None
    if "TransferSyntaxUID" not in meta:
        return None
    return Sample(content, str(meta.TransferSyntaxUID), stream.read())


@cache
def _find() -> dict[str, Path]:
    return {_name(path): path for path in sample_files() if _split(path) is not None}


def _name(path: Path) -> str:
    return "/".join(path.parts[-2:])


def sample_names() -> list[str]:
    """Short names of the samples with File Meta Information that names a transfer syntax."""
    return list(_find())


def read_sample(name: str) -> Sample:
    """Read one of `sample_names`."""
    sample = _split(_find()[name])
    assert sample is not None
    return sample
