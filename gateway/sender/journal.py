"""What has been stored so far, so that a run that was cut goes on where it stopped.

One line of JSON a file, written when the service has acknowledged it, with the URL of the service: what one service
holds says nothing of another. A file that changed since is sent again. No patient data and no secrets: URL, paths,
sizes, times and SOP Instance UIDs.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from gateway.errors import ConfigurationError
from gateway.sender.files import InstanceFile

__all__ = ["Journal", "locate_journal"]


def locate_journal(url: str, paths: Iterable[Path]) -> Path:
    """Where the journal of sending `paths` to `url` is kept by default: the user's state folder."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    told = "\n".join([url, *sorted(str(path.resolve()) for path in paths)])
    digest = hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()  # names of files may be any bytes
    return Path(state) / "dicomweb-gateway" / f"store-{digest[:16]}.jsonl"


class Journal:
    """The journal in `path` of what the service at `url` has stored; a context manager that closes it.

    Raises
    ------
    ConfigurationError
        The file tells of another service.
    OSError
        The file cannot be read or written.
    """

    def __init__(self, path: Path, url: str) -> None:
        self._path = path
        self._service = _name_service(url)
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
        self._write_line(file, file.size, file.modified, file.sop_instance_uid)
        self._done[_key(file)] = (file.size, file.modified, file.sop_instance_uid)

    def withdraw(self, file: InstanceFile) -> None:
        """Write that the file is to be sent again after all."""
        self._write_line(file, -1, 0, "")
        self._done.pop(_key(file), None)

    def remove(self) -> None:
        """Delete the journal: all is done."""
        self._path.unlink(missing_ok=True)

    def _read_line(self, line: str) -> None:
        try:
            row = json.loads(line)
            service, key, state = row["service"], row["file"], (row["size"], row["modified"], row["uid"])
        except (ValueError, KeyError, TypeError):
            return  # the line under which the run was cut, or one that does not say where the file was stored
        if service != self._service:
            raise ConfigurationError(
                "flag --journal", f"{self._path} is of another service, {service}; name another file"
            )
        self._done[key] = state

    def _write_line(self, file: InstanceFile, size: int, modified: int, uid: str) -> None:
        assert self._file is not None
        row = {"file": _key(file), "size": size, "modified": modified, "uid": uid, "service": self._service}
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def _is_cut(self) -> bool:
        content = self._path.read_bytes()
        return bool(content) and not content.endswith(b"\n")


def _key(file: InstanceFile) -> str:
    return str(file.path.resolve())


def _name_service(url: str) -> str:
    # Without user and password, which are no part of what the service is and do not belong on disk.
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2].lower()}{slash}{path}".rstrip("/")
