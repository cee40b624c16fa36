"""What the figures were measured on: processor, memory, versions and the commit."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from typing import Any

import psutil

from tests.support.peers import PeerError, find_program

__all__ = ["describe_machine"]

_VERSIONS = {
    "orthanc": ("Orthanc", "--version"),
    "dcmtk": ("getscu", "--version"),
    "curl": ("curl", "--version"),
}


def describe_machine() -> dict[str, Any]:
    """A dictionary for JSON; "unknown" for what the system does not tell."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = {line.partition(":")[2].strip() for line in file if line.startswith("model name")}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _ask("git", "describe", "--always", "--dirty", "--abbrev=7"),
        "processor": ", ".join(sorted(models)) or "unknown",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "python": platform.python_version(),
        "system": platform.platform(),
        "peers": {name: _ask(*command) for name, command in _VERSIONS.items()},
    }


def _ask(program: str, *arguments: str) -> str:
    """The first line that `program` prints."""
    try:
        command = [find_program(program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (PeerError, OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0].strip(" $")
