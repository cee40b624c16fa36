"""Stream codecs: pieces of bytes in, tokens or bytes out, nothing kept but what is asked for.

Pure: no sockets, clocks, tasks or randomness, so everything here is tested by feeding bytes. ``dimse`` and ``services``
feed what arrives from an archive, ``web`` feeds what arrives from a client. What is not here: pixels
(``gateway/imaging``) and the DIMSE command set (``gateway/dimse/commands.py``).
"""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Buffer"]

Buffer: TypeAlias = bytes | memoryview
"""A piece of payload; a memoryview is one over immutable bytes, so that it stays valid however long it is held."""
