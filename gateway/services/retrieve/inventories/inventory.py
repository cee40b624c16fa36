"""What an archive holds under a path: plain values, as its index describes it.

A retrieval needs to know whether its target exists, which classes to offer contexts for, which instances make it
complete and in which series each of them is. How it is asked for is ``inventories/queries.py``; how often,
``inventories/inventories.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b

from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.storage_classes import guess_classes

__all__ = ["HeldInstance", "Inventory", "SeriesRow"]

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """One instance as the archive's index describes it; "" for what it does not tell, None for a number."""

    path: ResourcePath
    sop_class_uid: str
    availability: str = ""
    transfer_syntax_uid: str = ""
    instance_number: int | None = None

    @property
    def is_unavailable(self) -> bool:
        """Whether the archive says itself that it cannot be had (0008,0056)."""
        return self.availability in ("OFFLINE", "UNAVAILABLE")


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """One series as the archive's index describes it.

    Parameters
    ----------
    modality
        "" where it is not told.
    instance_count
        Number of Series Related Instances (0020,1209); None where it is not told.
    digest
        Of everything the archive answered about the series; it changes when a description of the series does. "" for
        rows that come from an image-level answer.
    """

    uid: str
    modality: str = ""
    instance_count: int | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The instances under a path, by SOP Instance UID, in the archive's order; `modalities` by Series UID."""

    path: ResourcePath
    instances: dict[str, HeldInstance]
    modalities: dict[str, str]

    @property
    def tells_classes(self) -> bool:
        """Whether the archive named the SOP class of every instance."""
        return all(held.sop_class_uid for held in self.instances.values())

    @property
    def fingerprint(self) -> str:
        """A digest of which instances there are, of which class and how available; the order does not matter."""
        digest = blake2b(digest_size=_DIGEST_BYTES)
        for uid in sorted(self.instances):
            held = self.instances[uid]
            digest.update(f"{held.path.url_path} {held.sop_class_uid} {held.availability}\n".encode())
        return digest.hexdigest()

    def list_series(self) -> tuple[SeriesRow, ...]:
        """The series these instances are in."""
        counts: dict[str, int] = {}
        for held in self.instances.values():
            series = held.path.series or ""
            counts[series] = counts.get(series, 0) + 1
        return tuple(SeriesRow(uid, self.modalities.get(uid, ""), count) for uid, count in counts.items())

    def list_classes(self, uids: Iterable[str]) -> tuple[str, ...]:
        """The SOP classes of the named instances, in order; likely ones where the archive does not tell."""
        held = [self.instances[uid] for uid in uids]
        classes = dict.fromkeys(instance.sop_class_uid for instance in held if instance.sop_class_uid)
        untold = {instance.path.series or "" for instance in held if not instance.sop_class_uid}
        if untold:
            guessed = guess_classes(self.modalities.get(series, "") for series in sorted(untold))
            classes.update(dict.fromkeys(guessed))
        return tuple(classes)

    def narrow(self, path: ResourcePath) -> Inventory | None:
        """The part of it under `path`; None where it holds nothing there."""
        if path == self.path:
            return self
        if path.instance is not None:
            held = self.instances.get(path.instance)
            found = {path.instance: held} if held is not None and held.path == path else {}
        else:
            found = {uid: held for uid, held in self.instances.items() if held.path.series == path.series}
        if not found or path.study != self.path.study:
            return None
        series = {held.path.series for held in found.values()}
        return Inventory(path, found, {uid: name for uid, name in self.modalities.items() if uid in series})
