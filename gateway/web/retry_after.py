"""How long a client is asked to stay away after 503 (RFC 9110 §10.2.3).

One object for the whole gateway, made by ``gateway/app.py``; asked by ``gateway/web/errors.py``. It keeps two
numbers per archive and nothing that matters: losing it means that clients come back a little earlier.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["RetryAfter"]

_FIRST_S = 5
_LONGEST_S = 300


class RetryAfter:
    """Doubles the delay for an archive that is still refusing when clients come back.

    Many clients refused at the same moment count once: the delay grows only when a refusal comes after the last
    delay has passed, and starts again when the archive was not refusing for four delays.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}

    def seconds(self, ae_title: str) -> int:
        """Note a refusal by the archive `ae_title`, empty for the gateway itself; answer 5 to 300 seconds."""
        now = self._clock()
        since, delay = self._last.get(ae_title, (now - 5 * _FIRST_S, _FIRST_S))
        age = now - since
        if age < delay:
            return delay
        delay = _FIRST_S if age > 4 * delay else min(delay * 2, _LONGEST_S)
        self._last[ae_title] = (now, delay)
        return delay
