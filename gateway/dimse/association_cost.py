"""What a new association with an archive costs, in bytes that could be read in the same time.

Whoever wants nothing more of an instance either reads on to its end or cuts the association, and the next request has
to open a new one; the latter only where the archive's settings allow it (``stop_early``). Which is cheaper depends on
the archive and the network, so both are learned: the pool notes how long associations take to set up, readers how fast
instances come. Used by ``retrieve/pixels/pixel_stream.py`` and ``retrieve/sharing/batch.py``.
"""

from __future__ import annotations

__all__ = ["AssociationCost"]

WEIGHT = 0.2
"""Of the newest measurement in the moving averages."""

FIRST_SET_UP_S, FIRST_BYTES_PER_S = 0.02, 2e8
"""Before anything was measured: 4 MB, some seven CT slices."""

LEAST_BYTES, MOST_BYTES = 262_144, 33_554_432
"""Bounds of the answer: a read of a socket; what ending an operation in order may read anyway."""

NEVER_BYTES = 1 << 63
"""More than any instance has."""

TELLING_BYTES = 262_144
"""Shorter transfers say more of latency than of throughput."""


class AssociationCost:
    """Moving averages of one archive.

    Parameters
    ----------
    may_cut
        Whether an association may be cut for the sake of speed; else reading on always counts as cheaper.
    """

    def __init__(self, *, may_cut: bool = True) -> None:
        self._may_cut = may_cut
        self._set_up_s = FIRST_SET_UP_S
        self._bytes_per_s = FIRST_BYTES_PER_S

    def note_set_up(self, seconds: float) -> None:
        """An association was opened in `seconds`, from TCP connect to A-ASSOCIATE-AC."""
        self._set_up_s += WEIGHT * (seconds - self._set_up_s)

    def note_transfer(self, size: int, seconds: float) -> None:
        """`size` bytes of an instance were waited for `seconds` in all."""
        if size >= TELLING_BYTES and seconds > 0:
            self._bytes_per_s += WEIGHT * (size / seconds - self._bytes_per_s)

    @property
    def break_even_bytes(self) -> int:
        """Reading on up to this is no dearer than a new association."""
        if not self._may_cut:
            return NEVER_BYTES
        return int(min(max(self._set_up_s * self._bytes_per_s, LEAST_BYTES), MOST_BYTES))
