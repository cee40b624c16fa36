"""Bulk values that cannot leave as they come, kept on disk until they can.

One unnamed file for a request, so that nothing is left behind however the process ends. At most 256 KiB of it are in
memory. The disk is written and read in threads: the event loop never waits for it. Used by ``metadata_request.py``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from tempfile import TemporaryFile
from typing import IO, Any, ParamSpec, TypeVar

from gateway.codecs import Buffer
from gateway.errors import SpoolFailed, TooLarge
from gateway.tasks import start_task

__all__ = ["BulkdataSpool", "open_spool"]

_STEP = 262_144

P = ParamSpec("P")
T = TypeVar("T")


@asynccontextmanager
async def open_spool(folder: str, max_bytes: int) -> AsyncIterator[BulkdataSpool]:
    """Lend a spool; its file is made when something is written, and gone with the block.

    Parameters
    ----------
    folder
        Where the file is; "" for the system's folder of temporary files.
    max_bytes
        Most that is held at a time; 0 for no limit.
    """
    spool = BulkdataSpool(folder, max_bytes)
    try:
        yield spool
    finally:
        await spool.close()


class BulkdataSpool:
    """A file that is appended to and read anywhere; one task uses it at a time.

    Attributes
    ----------
    end : int
        Offset of what is appended next.
    """

    def __init__(self, folder: str, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._file: IO[bytes] | None = None
        self._waiting = bytearray()
        self._written = 0
        self._live = 0
        self._job: asyncio.Task[Any] | None = None
        self.end = 0

    async def append(self, data: Buffer) -> None:
        """Add `data` at the end.

        Raises
        ------
        TooLarge
            The limit is passed.
        SpoolFailed
            The disk is full or fails.
        """
        self.end += len(data)
        self._live += len(data)
        if self._max_bytes and self.end > self._max_bytes:
            raise TooLarge("bulk data that has to wait for other parts", self._max_bytes)
        self._waiting += data
        if self.end - self._written >= _STEP:
            await self._flush()

    async def read(self, start: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yield `length` bytes from `start` on, at most 256 KiB at a time.

        Raises
        ------
        SpoolFailed
            The disk fails.
        """
        await self._flush()
        while length:
            piece = await self._run(self._read_at, start, min(length, _STEP))
            start += len(piece)
            length -= len(piece)
            yield piece

    async def peek(self, start: int, length: int) -> bytes:
        """The same in one piece; `length` is small."""
        return b"".join([piece async for piece in self.read(start, length)])

    def release(self, length: int) -> None:
        """Say that a value of `length` bytes is not needed any more; the file is used anew once none is."""
        self._live -= length
        if not self._live:
            self._waiting.clear()
            self.end = self._written = 0

    async def close(self) -> None:
        """Give the file back, once a thread that still works on it has ended."""
        if self._job is not None:
            await asyncio.wait({self._job})
            self._job.exception()
        if self._file is not None:
            self._file.close()

    # --- threads ---

    async def _flush(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            await self._run(self._write_at, waiting, self._written)
            self._written = self.end

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `function` in a thread; if we are cancelled meanwhile, `close` waits for it."""
        job = start_task(asyncio.to_thread(function, *args, **kwargs), name="bulk data on disk")
        self._job = job
        try:
            return await asyncio.shield(job)
        except OSError as error:
            raise SpoolFailed from error

    def _write_at(self, data: Buffer | bytearray, place: int) -> None:
        if self._file is None:
            self._file = TemporaryFile(prefix="bulkdata-", dir=self._folder or None)
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file.fileno(), view, place)
            place += written
            view = view[written:]

    def _read_at(self, place: int, length: int) -> bytes:
        if self._file is None:
            raise OSError("nothing was written")
        data = os.pread(self._file.fileno(), length, place)
        if not data:
            raise OSError("the file is shorter than what was written")
        return data
