"""The DICOM files that tests run over.

Always there: the test files inside the pydicom package. In addition, where a folder ``shared/data`` lies
beside the clone, every file of it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pydicom.data

__all__ = ["sample_files"]

_PACKED = Path(pydicom.data.__file__).parent
_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
_NOT_DICOM = frozenset({".dump", ".gz", ".icc", ".json", ".md", ".py", ".pyc", ".txt"})


@cache
def _find_files() -> tuple[Path, ...]:
    folders = (_PACKED / "test_files", _PACKED / "charset_files", _BESIDE)
    return tuple(sorted(path for folder in folders for path in folder.rglob("*") if _is_sample(path)))


def _is_sample(path: Path) -> bool:
    return path.is_file() and path.suffix not in _NOT_DICOM and not path.name.startswith("README")


def sample_files() -> list[Path]:
    """Paths of all samples in a fixed order: good, odd and broken ones, some of them no DICOM at all.

    Nothing is downloaded.
    """
    return list(_find_files())
