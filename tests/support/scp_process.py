"""An archive of the tests as a child process that ends with the test."""

from __future__ import annotations

import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

__all__ = ["ScpProcess"]

ROOT = Path(__file__).resolve().parents[2]


class ScpProcess(ABC):
    """``python -m module arguments``, which prints its port, then lines; it ends when its standard input does.

    Attributes
    ----------
    port : int
        Known inside the block.
    """

    ae_title: str

    def __init__(self, module: str, *arguments: object) -> None:
        self.port = 0
        self._command = [sys.executable, "-m", module, *map(str, arguments)]

    @property
    def address(self) -> str:
        """``AE@host:port``."""
        return f"{self.ae_title}@127.0.0.1:{self.port}"

    @abstractmethod
    def _take(self, line: str) -> None:
        """Take a line that it printed; called in a thread."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._take(line.strip())

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reading.join()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
