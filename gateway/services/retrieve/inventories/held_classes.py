"""Which SOP classes one archive has been seen to hold: what a C-GET may offer before the archive has listed the target.

Only a hint. What it gets wrong costs another request, never a wrong answer: completeness is judged by the inventory.
Learned from inventories, and from what arrives where the archive does not tell classes; kept in memory within limits,
read by ``early_retrieval.py``.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeVar

from cachetools import LRUCache

from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.inventory import Inventory, SeriesRow

__all__ = ["HeldClasses"]

MAX_PATHS = 5_000
"""Studies and series whose classes are remembered, some 2 MB."""

MAX_MODALITIES = 100
MAX_CLASSES = 8
"""Of one modality or path; where there are more, a guess is worth little."""

_Key = TypeVar("_Key", bound=Hashable)


class HeldClasses:
    """The classes seen under a path, and in series of a modality.

    Attributes
    ----------
    tells_unavailable : bool
        Whether the archive has ever called an instance unavailable: then it may do so again.
    """

    def __init__(self) -> None:
        self.tells_unavailable = False
        self._modalities: LRUCache[str, str] = LRUCache(MAX_PATHS)  # by series
        self._by_path: LRUCache[ResourcePath, frozenset[str]] = LRUCache(MAX_PATHS)
        self._by_modality: LRUCache[str, frozenset[str]] = LRUCache(MAX_MODALITIES)

    def note_inventory(self, inventory: Inventory, series: Iterable[SeriesRow] = ()) -> None:
        """Learn from what a path holds; `series` adds the modalities that the inventory does not tell."""
        self._modalities.update({row.uid: row.modality for row in series} | inventory.modalities)
        by_series: dict[str, set[str]] = {}
        for held in inventory.instances.values():
            by_series.setdefault(held.path.series or "", set()).add(held.sop_class_uid)
            self.tells_unavailable |= held.is_unavailable
        if inventory.tells_classes:
            self.note_classes(inventory.path, by_series)

    def note_classes(self, path: ResourcePath, by_series: Mapping[str, Collection[str]]) -> None:
        """Learn of which classes everything under `path` is, series by series."""
        for uid, classes in by_series.items():
            _remember(self._by_path, ResourcePath(path.study, uid), frozenset(classes))
            if modality := self._modalities.get(uid, ""):
                _remember(self._by_modality, modality, self._by_modality.get(modality, frozenset()).union(classes))
        if path.series is None:
            _remember(self._by_path, path, frozenset().union(*by_series.values()))

    def find(self, path: ResourcePath) -> tuple[str, ...]:
        """The classes last seen under `path`; empty where nothing is known, or too many were seen."""
        return _sorted_unless_many(self._by_path.get(path, frozenset()))

    def guess(self, series: Iterable[SeriesRow]) -> tuple[str, ...]:
        """The classes seen in series of these modalities; empty where of one of them none or too many were."""
        known = [_sorted_unless_many(self._by_modality.get(row.modality, frozenset())) for row in series]
        return tuple(sorted(set().union(*known))) if all(known) else ()


def _remember(memory: LRUCache[_Key, frozenset[str]], key: _Key, classes: frozenset[str]) -> None:
    memory[key] = frozenset(sorted(classes)[: MAX_CLASSES + 1])  # one too many tells that there are


def _sorted_unless_many(classes: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(classes)) if len(classes) <= MAX_CLASSES else ()
