"""``dicomweb-gateway serve`` as a child process, and its memory over time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tests.support.peers import LOOPBACK, find_free_port

__all__ = ["GatewayProcess", "MemoryWatch"]

START_LIMIT_S = 60.0
SAMPLE_EVERY_S = 0.02
MIB = 1 << 20


@dataclass
class MemoryWatch:
    """Resident set sizes in bytes: before, and the highest seen since."""

    before: int
    highest: int

    @property
    def growth_mib(self) -> float:
        """How much it rose at most."""
        return (self.highest - self.before) / MIB


class GatewayProcess:
    """A gateway in front of one archive, configured by environment; a context manager that ends it.

    Parameters
    ----------
    backend
        ``AE@host:port``.
    folder
        For its log.
    settings
        Further ones by environment name without prefix: ``{"HTTP__WRITE_TIMEOUT_S": 5}``.
    """

    def __init__(self, backend: str, folder: Path, *, dimse_port: int | None = None, **settings: object) -> None:
        self.port = find_free_port()
        self.dimse_port = dimse_port or find_free_port()
        self.log_path = folder / "gateway.log"
        self._backend = backend
        self._settings = {f"GATEWAY__{name}": str(value) for name, value in settings.items()}

    @property
    def url(self) -> str:
        """Root of its DICOMweb service."""
        return f"http://{LOOPBACK}:{self.port}/dicomweb"

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start and wait until it listens; after `kill` again, on the same ports.

        Raises
        ------
        RuntimeError
            It does not.
        """
        command = [sys.executable, "-m", "gateway", "serve", "--backend", f"main={self._backend}"]
        command += ["--listen", f"{LOOPBACK}:{self.port}", "--dimse-listen", f"{LOOPBACK}:{self.dimse_port}"]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=Path(__file__).resolve().parents[2],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "GATEWAY__LOG__FORMAT": "json", **self._settings},
            )
        deadline = time.monotonic() + START_LIMIT_S
        while not self.is_listening():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise RuntimeError(f"the gateway does not start: {self.log_path.read_text()[-2000:]}")
            time.sleep(0.02)

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """SIGKILL; does nothing to one that has ended."""
        self._process.kill()
        self._process.wait()

    def is_listening(self) -> bool:
        """Whether it takes HTTP connections."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=5):
                return True
        except OSError:
            return False

    def terminate(self) -> None:
        """SIGTERM."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, limit_s: float) -> int:
        """Wait for its end and answer the exit code.

        Raises
        ------
        subprocess.TimeoutExpired
        """
        return self._process.wait(limit_s)

    @contextmanager
    def watch_memory(self) -> Iterator[MemoryWatch]:
        """Sample its resident set size for the length of the block."""
        process = psutil.Process(self._process.pid)
        watch = MemoryWatch(process.memory_info().rss, 0)
        is_over = threading.Event()

        def sample() -> None:
            while not is_over.wait(SAMPLE_EVERY_S):
                watch.highest = max(watch.highest, process.memory_info().rss)

        sampling = threading.Thread(target=sample)
        sampling.start()
        try:
            yield watch
        finally:
            is_over.set()
            sampling.join()
        if not watch.highest:
            raise RuntimeError("the memory of the gateway was never sampled")
