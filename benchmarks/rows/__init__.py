"""The rows of the table, one file a subject, in the order in which they are measured and printed."""

from __future__ import annotations

from benchmarks.rows import (
    first_byte,
    frames,
    idle,
    many_clients,
    memory,
    metadata,
    rendered,
    search,
    series,
    store,
    sweeps,
    transcoding,
)
from benchmarks.table import Row

__all__ = ["ROWS"]

_SUBJECTS = (
    series,
    first_byte,
    metadata,
    frames,
    rendered,
    transcoding,
    search,
    store,
    many_clients,
    memory,
    idle,
    sweeps,
)

ROWS: tuple[Row, ...] = tuple(row for subject in _SUBJECTS for row in subject.ROWS)
