"""Which instance stands for a study or series in a thumbnail (PS3.18 §10.4.1.1.4): one is fetched, never the study.

Of a study, the series with the most instances among those whose modality makes pictures; of a series, the instance in
the middle by Instance Number, images before segmentations before everything else. Only the index of the archive is
asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.errors import UnknownResource
from gateway.resources import Level, ResourcePath
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory, SeriesRow

__all__ = ["choose_instance", "choose_representative", "order_series", "rank_class"]

MOST_SERIES = 3
"""Series of a study looked into until one holds a picture."""

_ROOT = "1.2.840.10008.5.1.4.1.1."
_RANKS = (
    (re.compile(r"66\.[47]$|30$"), 1),  # Segmentation, Label Map Segmentation, Parametric Map
    (re.compile(r"11\."), 2),
    (re.compile(r"88\.|104\."), 3),
    # waveforms, raw data, registrations and surfaces, RT but images and dose, measurements, protocols, fiducials
    (re.compile(r"9\.|6[678](\.|$)|7[89]\.|8[01]\.|90\.|131$|20[01]\.|481\.(?![12]$)"), 4),
)

PICTURES, NO_PICTURES = 0, 2
"""Ranks of classes: images; from here on no pixels of their own."""

_MODALITIES_WITHOUT_PICTURES = frozenset(
    "ASMT AU DOC ECG EEG EMG EOG EPS FID HD IOL KER KO LEN OAM OPM OSS PLAN PR REG RESP RTPLAN RTRAD RTRECORD "
    "RTSEGANN RTSTRUCT RWV SMR SR SRF TEXTUREMAP VA".split()
)
_MODALITIES_OF_SEGMENTATIONS = frozenset({"SEG"})


def rank_class(sop_class_uid: str) -> int:
    """How well instances of a class make pictures: 0 images, 1 segmentations, 2 states, 3 texts, 4 nothing to see.

    A class that is not known, or not told, may be an image.
    """
    if not sop_class_uid.startswith(_ROOT):
        return PICTURES
    suffix = sop_class_uid.removeprefix(_ROOT)
    return next((rank for pattern, rank in _RANKS if pattern.match(suffix)), PICTURES)


def order_series(rows: Iterable[SeriesRow]) -> list[SeriesRow]:
    """Series by how well they stand for their study, best first; among equals as the archive lists them."""
    return sorted(rows, key=lambda row: (_rank_modality(row.modality), -(row.instance_count or 0)))


def _rank_modality(modality: str) -> int:
    if modality in _MODALITIES_WITHOUT_PICTURES:
        return 2
    return 1 if modality in _MODALITIES_OF_SEGMENTATIONS else 0


def choose_instance(inventory: Inventory) -> HeldInstance:
    """The instance that stands for those of a series: of the best rank, the middle one by Instance Number."""
    held = [instance for instance in inventory.instances.values() if not instance.is_unavailable]
    held = held or list(inventory.instances.values())
    best = min(rank_class(instance.sop_class_uid) for instance in held)
    equal = [instance for instance in held if rank_class(instance.sop_class_uid) == best]
    equal.sort(key=lambda instance: (instance.instance_number is None, instance.instance_number or 0))
    return equal[(len(equal) - 1) // 2]


async def choose_representative(inventories: Inventories, path: ResourcePath) -> ResourcePath:
    """The path of the instance that stands for what is under `path`; itself where that is one.

    Raises
    ------
    UnknownResource
        The archive holds nothing there.
    BackendError
        The archive failed.
    """
    if path.level is Level.IMAGE:
        return path
    if path.level is Level.SERIES:
        return choose_instance(await inventories.take(path)).path
    rows = order_series((await inventories.take_series(path)).content)
    if not rows:
        raise UnknownResource("study")
    found = []
    for row in rows[:MOST_SERIES]:
        held = choose_instance(await inventories.take(ResourcePath(path.study, row.uid)))
        if rank_class(held.sop_class_uid) < NO_PICTURES:
            return held.path
        found.append(held)
    return min(found, key=lambda held: rank_class(held.sop_class_uid)).path
