"""Which transfer syntaxes a web client takes, as a retrieval needs to know it (PS3.18 §8.7.8.2).

A pure value that ``web`` makes and ``services`` reads. Native forms count as one: Implicit VR, Big Endian and
deflated data become Explicit VR Little Endian in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from gateway.codecs.transfer_syntax import COMPRESSED, EXPLICIT_VR_LE, get_transfer_syntax

__all__ = ["ANY_STORED", "AS_STORED", "TransferDemand"]

ANY_STORED = "*"


@dataclass(frozen=True, slots=True)
class TransferDemand:
    """What may be delivered.

    Parameters
    ----------
    choices
        Groups of transfer syntax UIDs, the group preferred first; within a group the archive chooses. Explicit VR
        Little Endian stands for every native form, ``*`` for whatever the archive holds.
    is_for_pixels
        Whether frames are wanted and not instances: the same syntax has another media type then.
    """

    choices: tuple[tuple[str, ...], ...] = ((EXPLICIT_VR_LE,),)
    is_for_pixels: bool = False

    @classmethod
    def from_wishes(cls, wishes: Iterable[str], takes: Callable[[str], bool]) -> TransferDemand:
        """The demand of a client that names `wishes`, best first, and `takes` others if there is nothing better."""
        named = tuple(dict.fromkeys(wishes))
        others = tuple(uid for uid in (EXPLICIT_VR_LE, *COMPRESSED) if uid not in named and takes(uid))
        if ANY_STORED in named or not others:
            return cls(tuple((uid,) for uid in named))
        return cls((*((uid,) for uid in named), others))

    @classmethod
    def from_test(cls, takes: Callable[[str], bool]) -> TransferDemand:
        """The demand of a client that says of each syntax whether it takes frames in it, without preference."""
        taken = tuple(uid for uid in (EXPLICIT_VR_LE, *COMPRESSED) if takes(uid))
        return AS_STORED if len(taken) == len(COMPRESSED) + 1 else cls((taken,), is_for_pixels=True)

    def or_anything(self) -> TransferDemand:
        """The same, and whatever the archive holds if it does not deliver that: for those who convert it."""
        return self if self.admits_anything else TransferDemand((*self.choices, (ANY_STORED,)), self.is_for_pixels)

    @property
    def syntaxes(self) -> tuple[str, ...]:
        """All that may be delivered, preferred first."""
        return tuple(dict.fromkeys(uid for choice in self.choices for uid in choice))

    def admits(self, transfer_syntax_uid: str) -> bool:
        """Whether an instance that arrives in this transfer syntax can be delivered."""
        return _admits(self, transfer_syntax_uid)

    @property
    def admits_anything(self) -> bool:
        """Whether the stored form will do, whatever it is."""
        return ANY_STORED in self.syntaxes

    @property
    def prefers_native(self) -> bool:
        """Whether a native form is the first choice."""
        return self.choices[:1] == ((EXPLICIT_VR_LE,),)


@lru_cache(maxsize=256)
def _admits(demand: TransferDemand, transfer_syntax_uid: str) -> bool:
    native = get_transfer_syntax(transfer_syntax_uid).is_uncompressed
    return demand.admits_anything or (EXPLICIT_VR_LE if native else transfer_syntax_uid) in demand.syntaxes


AS_STORED = TransferDemand(((ANY_STORED,),))
"""Whatever the archive holds."""
