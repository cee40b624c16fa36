"""The identifiers of C-GET and C-MOVE: what one attempt asks for (PS3.4 §C.4.2.1.4). Used by ``service.py``."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from gateway.dimse.archive import Identifier
from gateway.resources import Level, ResourcePath
from gateway.services.retrieve.attempts import MAX_SINGLE_INSTANCES, Scope
from gateway.services.retrieve.inventories.inventory import Inventory

__all__ = ["UIDS_IN_A_LIST", "identify", "list_identifiers"]

UIDS_IN_A_LIST = 200
"""SOP Instance UIDs in one identifier: some 13 KiB, which every archive takes."""


def identify(path: ResourcePath, instances: list[str] | None = None) -> Identifier:
    """Unique keys only, the lowest one a list where given."""
    uids = instances or ([path.instance] if path.instance is not None else [])
    level = Level.IMAGE if uids else path.level
    values = {"0020000D": [path.study], "0020000E": [path.series] if path.series else [], "00080018": uids}
    keys = {tag: {"vr": "UI", "Value": value} for tag, value in values.items() if value}
    return {"00080052": {"vr": "CS", "Value": [level.value]}, **keys}


def list_identifiers(
    inventory: Inventory, missing: Collection[str], scope: Scope
) -> list[tuple[Identifier, tuple[str, ...]]]:
    """The identifiers of one attempt at what is `missing`, each with the instances it asks for."""
    path = inventory.path
    if scope is Scope.TARGET and len(missing) == len(inventory.instances):
        return [(identify(path), tuple(missing))]
    size = 1 if scope is Scope.SINGLE else UIDS_IN_A_LIST
    wanted = islice(missing, MAX_SINGLE_INSTANCES) if scope is Scope.SINGLE else missing
    by_series: dict[str, list[str]] = {}
    for uid in wanted:
        by_series.setdefault(inventory.instances[uid].path.series or "", []).append(uid)
    return [
        (identify(ResourcePath(path.study, series), uids[start : start + size]), tuple(uids[start : start + size]))
        for series, uids in by_series.items()
        for start in range(0, len(uids), size)
    ]
