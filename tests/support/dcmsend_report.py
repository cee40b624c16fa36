"""Reads the report file of DCMTK's dcmsend: what became of each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["LoadReport", "read_report"]


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Outcome of one load.

    Attributes
    ----------
    stored : mapping
        Path as given → SOP Instance UID of what the archive took with status 0000. Two files may carry one
        UID; the archive then holds the later.
    refused : mapping
        Path as given → why not, as dcmsend words it: a status, "not sent" (no presentation context) or
        "not DICOM".
    """

    stored: Mapping[Path, str]
    refused: Mapping[Path, str]


def read_report(text: str, paths: Sequence[Path]) -> LoadReport:
    """Match the entries of a report with the `paths` given to dcmsend."""
    entries = {entry["Filename"]: entry for entry in map(_read_entry, text.split("\n\n")) if "Filename" in entry}
    stored: dict[Path, str] = {}
    refused: dict[Path, str] = {}
    for path in paths:
        entry = entries.get(str(path), {})
        status = entry.get("DIMSE Status", "not DICOM").strip("<>")
        if status.startswith("0x0000"):
            stored[path] = entry["SOP Instance"]
        else:
            refused[path] = status
    return LoadReport(stored, refused)


def _read_entry(block: str) -> dict[str, str]:
    pairs = (line.partition(" : ") for line in block.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
