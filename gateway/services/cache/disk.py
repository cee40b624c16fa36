"""A bounded store of small files: byte strings by key, which survive a restart.

Each file begins with a checksum; a file that is damaged, or of another version, is a miss and is removed. Files are
written under another name and renamed, so that none is ever seen half written; they are readable by the owner only.
The least recently used give way. All work on files happens in a thread. What stands in them is for the caller to
judge: here nothing is trusted but that it is what was written.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import zlib
from collections import OrderedDict
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

import structlog

from gateway.tasks import start_task

__all__ = ["DiskStore"]

MAGIC = b"dicomweb-gateway cache 1\n"
WRITES_AT_ONCE = 4
"""Writes that may be waiting; what comes beyond that is not kept, so that a slow disk does not fill the memory."""

_DIGEST_BYTES = 32
_SUFFIX = ".kept"
_LEVEL = 1  # text shrinks ten times at any level

_log = structlog.get_logger(__name__)


class DiskStore:
    """Byte strings by group and key.

    Parameters
    ----------
    folder : Path
        Made when missing, for the owner only.
    limit_bytes : int
        Of all files together.

    Raises
    ------
    OSError
        The folder cannot be made or read.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        self._folder = folder
        self._limit = limit_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._read_folder()

    @property
    def held_bytes(self) -> int:
        """Of all files."""
        return sum(self._sizes.values())

    async def get(self, group: str, key: str) -> bytes | None:
        """What was put there; None where there is nothing, or nothing undamaged."""
        name = _name_file(group, key)
        if name not in self._sizes:
            return None
        content = await asyncio.to_thread(self._read, name)
        if content is None:
            self._sizes.pop(name, None)
        elif name in self._sizes:
            self._sizes.move_to_end(name)
        return content

    async def put(self, group: str, key: str, content: bytes) -> None:
        """Keep `content`, if there is room when the oldest have gone; a disk that fails is logged and does no harm."""
        if self._waiting >= WRITES_AT_ONCE:
            return
        self._waiting += 1
        try:
            async with self._turn:
                name = _name_file(group, key)
                size = await asyncio.to_thread(self._write, name, content)
                self._sizes.pop(name, None)
                if size:
                    self._sizes[name] = size
                unwanted = self._choose_oldest() if size else [name]
                await asyncio.to_thread(self._remove, unwanted)
        finally:
            self._waiting -= 1

    def drop(self, group: str, key: str | None = None) -> None:
        """Forget what was put under `key`, or all of the group, at once; the files go a little later."""
        prefix = _name_group(group) if key is None else _name_file(group, key)
        names = [name for name in self._sizes if name.startswith(prefix)]
        for name in names:
            del self._sizes[name]
        if names:
            start_task(self._remove_in_turn(names), name="removal of kept files")

    async def _remove_in_turn(self, names: list[str]) -> None:
        async with self._turn:
            await asyncio.to_thread(self._remove, [name for name in names if name not in self._sizes])

    def _read_folder(self) -> None:
        found = []
        for path in self._folder.iterdir():
            if path.suffix == _SUFFIX:
                status = path.stat()
                found.append((status.st_mtime, path.name, status.st_size))
            elif path.suffix == ".new":
                path.unlink()  # left by a process that was killed while it wrote
        self._sizes.update({name: size for _, name, size in sorted(found)})
        self._remove(self._choose_oldest())

    def _choose_oldest(self) -> list[str]:
        """Names to remove, no longer counted, so that the rest is within the limit."""
        held, names = self.held_bytes, []
        while held > self._limit:
            name, size = self._sizes.popitem(last=False)
            names.append(name)
            held -= size
        return names

    def _read(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            data = path.read_bytes()
            os.utime(path)
            start = len(MAGIC) + _DIGEST_BYTES
            packed = data[start:]
            if data[:start] == MAGIC + _digest(name, packed):
                return zlib.decompress(packed)
        except (OSError, zlib.error):
            pass
        _log.warning("cache_file_unusable")
        self._remove([name])
        return None

    def _write(self, name: str, content: bytes) -> int:
        """Write one file; its size in bytes, 0 where it could not be written or is larger than the limit."""
        packed = zlib.compress(content, _LEVEL)
        data = MAGIC + _digest(name, packed) + packed
        if len(data) > self._limit:
            return 0
        path = self._folder / f"{secrets.token_hex(8)}.new"
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(data)
            path.replace(self._folder / name)
        except OSError as error:
            _log.warning("cache_not_written", error=error.strerror)
            with suppress(OSError):
                path.unlink()
            return 0
        return len(data)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            with suppress(OSError):
                (self._folder / name).unlink()


def _name_group(group: str) -> str:
    return blake2b(group.encode(), digest_size=16).hexdigest()


def _name_file(group: str, key: str) -> str:
    return f"{_name_group(group)}-{blake2b(key.encode(), digest_size=16).hexdigest()}{_SUFFIX}"


def _digest(name: str, packed: bytes) -> bytes:
    return blake2b(name.encode() + packed, digest_size=_DIGEST_BYTES).digest()
