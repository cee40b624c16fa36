"""What a sandbox archive has seen so far, readable and waitable from any thread.

Tests wait for a condition on the counters instead of sleeping.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

__all__ = ["Counters", "Observations"]


@dataclass(frozen=True, slots=True)
class Counters:
    """A snapshot; everything counts from the start of the archive.

    `aborts` are A-ABORT PDUs from peers, `connections_lost` transport connections that closed on an open
    association without A-RELEASE or A-ABORT from either side, `stores` accepted C-STORE requests,
    `suboperations` C-STORE requests sent for C-GET and C-MOVE, `responses` pending responses sent,
    `stalls` associations standing at a `Fault.STALL` now, `commitments` N-ACTION requests for storage commitment,
    `commitment_reports` their results that were answered.
    """

    associations_open: int = 0
    associations_total: int = 0
    associations_rejected: int = 0
    echoes: int = 0
    finds: int = 0
    gets: int = 0
    moves: int = 0
    stores: int = 0
    cancels: int = 0
    aborts: int = 0
    connections_lost: int = 0
    suboperations: int = 0
    responses: int = 0
    stalls: int = 0
    commitments: int = 0
    commitment_reports: int = 0


class Observations:
    """The current counters behind one condition variable."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._counters = Counters()

    @property
    def counters(self) -> Counters:
        """The counters as they are now."""
        return self._counters

    def count(self, name: str, by: int = 1) -> None:
        """Add `by` to the counter called `name` and wake those who wait."""
        with self._changed:
            self._counters = replace(self._counters, **{name: getattr(self._counters, name) + by})
            self._changed.notify_all()

    def wake(self) -> None:
        """Let those who wait look again: something else they watch has changed."""
        with self._changed:
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[Counters], bool], timeout: float) -> bool:
        """Wait until `condition` holds for the counters.

        Parameters
        ----------
        condition : callable
            Called with each new snapshot; must be quick and must not wait.
        timeout : float
            Seconds.

        Returns
        -------
        bool
            False if the time was up first.
        """
        with self._changed:
            return self._changed.wait_for(lambda: condition(self._counters), timeout)

    def wait_while(self, condition: Callable[[], bool], step: float, timeout: float = float("inf")) -> None:
        """Wait as long as `condition` holds, looking at least every `step` seconds, `timeout` in all."""
        end = time.monotonic() + timeout
        with self._changed:
            while condition() and time.monotonic() < end:
                self._changed.wait(step)
