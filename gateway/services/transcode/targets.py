"""Which transfer syntaxes the images of each can be converted into, as far as the syntaxes tell.

Whether a certain image can shows when its attributes are there (``imaging/conversion``). Asked by ``web`` when it
weighs what a client accepts.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax

__all__ = ["DECODABLE", "PRODUCIBLE", "list_targets"]

_PREFIX = "1.2.840.10008.1.2."
BASELINE, RECOMPRESSED = f"{_PREFIX}4.50", f"{_PREFIX}4.111"
# lossless ones that most readers know first
_PREFERRED = tuple(
    f"{_PREFIX}{suffix}"
    for suffix in ("1", "4.70", "4.80", "4.90", "5", "4.201", "4.202", "4.110", "4.57", "1.99", "1.98", "8.1")
)

_OTHERS = ("4.50", "4.51", "4.81", "4.91", "4.111", "4.112", "4.203")
PRODUCIBLE = frozenset((*_PREFERRED, *(f"{_PREFIX}{suffix}" for suffix in _OTHERS)))
"""What ``imaging/conversion`` can make."""

_RETIRED = tuple(f"4.{number}" for number in range(52, 70))
DECODABLE = PRODUCIBLE | {"1.2.840.10008.1.2", *(f"{_PREFIX}{suffix}" for suffix in ("2", *_RETIRED))}
"""What ``imaging/decode`` can read."""


@lru_cache(maxsize=128)
def list_targets(transfer_syntax_uid: str) -> tuple[str, ...]:
    """UIDs of the transfer syntaxes to convert into, best first; the own one is not among them.

    Native forms count as the Explicit VR Little Endian they become on the way. Nothing becomes of video, nor of what
    is not known.
    """
    syntax = get_transfer_syntax(transfer_syntax_uid)
    source = EXPLICIT_VR_LE if syntax.is_uncompressed else syntax.uid
    if source not in DECODABLE:
        return ()
    others = tuple(sorted(PRODUCIBLE - {*_PREFERRED, RECOMPRESSED}))
    recompressed = (RECOMPRESSED,) if source == BASELINE else ()
    return tuple(uid for uid in (*_PREFERRED, *others, *recompressed) if uid != source)
