"""What has been stored so far, so that a run that was cut goes on where it stopped.

One line of JSON a file, written when the service has acknowledged it. A file that changed since is sent again. No
patient data: paths, sizes, times and SOP Instance UIDs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from gateway.sender.files import InstanceFile

__all__ = ["Journal", "locate_journal"]


def locate_journal(url: str, paths: Iterable[Path]) -> Path:
    """Where the journal of sending `paths` to `url` is kept by default: the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    told = "\n".join([url, *sorted(str(path.resolve()) for path in paths)])
    return Path(state) / "dicomweb-gateway" / f"store-{hashlib.sha256(told.encode()).hexdigest()[:16]}.jsonl"


class Journal:
    """The journal in `path`; a context manager that closes it.

    Raises
    ------
    OSError
        The file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._done: dict[str, tuple[int, int, str]] = {}
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                self._read_line(line)
        self._file = open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")
        self._file.write("\n" if self._is_cut() else "")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._done)

    def holds(self, file: InstanceFile) -> bool:
        """Whether the file, as it is now, was stored."""
        return self._done.get(_key(file)) == (file.size, file.modified, file.sop_instance_uid)

    def note(self, file: InstanceFile) -> None:
        """Write that the file was stored; on disk when this returns."""
        assert self._file is not None
        row = {"file": _key(file), "size": file.size, "modified": file.modified, "uid": file.sop_instance_uid}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()
        self._done[_key(file)] = (file.size, file.modified, file.sop_instance_uid)

    def withdraw(self, file: InstanceFile) -> None:
        """Write that the file is to be sent again after all."""
        assert self._file is not None
        self._file.write(json.dumps({"file": _key(file), "size": -1, "modified": 0, "uid": ""}) + "\n")
        self._file.flush()
        self._done.pop(_key(file), None)

    def remove(self) -> None:
        """Delete the journal: all is done."""
        self._path.unlink(missing_ok=True)

    def _read_line(self, line: str) -> None:
        try:
            row = json.loads(line)
            self._done[row["file"]] = (row["size"], row["modified"], row["uid"])
        except (ValueError, KeyError, TypeError):
            return  # the line under which the run was cut

    def _is_cut(self) -> bool:
        content = self._path.read_bytes()
        return bool(content) and not content.endswith(b"\n")


def _key(file: InstanceFile) -> str:
    return str(file.path.resolve())
