"""What an archive holds under a path, asked with C-FIND before anything is fetched.

A retrieval needs to know whether its target exists, which classes to offer contexts for, which instances make it
complete and in which series each of them is. Only the unique keys, the class and what the archive may tell of
availability and stored syntax are asked for; nothing patient-related.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gateway.codecs.dicom_json import read_data_set
from gateway.dimse.archive import Archive
from gateway.errors import UnknownResource
from gateway.resources import Level, ResourcePath
from gateway.services.retrieve.storage_classes import guess_classes

__all__ = ["HeldInstance", "Inventory", "take_inventory"]

QUERY_LEVEL = "00080052"
STUDY_UID, SERIES_UID, INSTANCE_UID, CLASS_UID = "0020000D", "0020000E", "00080018", "00080016"
AVAILABILITY, AVAILABLE_SYNTAX, MODALITY = "00080056", "00083002", "00080060"
INSTANCE_NUMBER = "00200013"

SERIES_AT_ONCE = 4
"""Image-level queries side by side where a study must be walked series by series."""


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """One instance as the archive's index describes it; "" for what it does not tell."""

    path: ResourcePath
    sop_class_uid: str
    availability: str = ""
    transfer_syntax_uid: str = ""

    @property
    def is_unavailable(self) -> bool:
        """Whether the archive says itself that it cannot be had (0008,0056)."""
        return self.availability in ("OFFLINE", "UNAVAILABLE")


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

    def list_classes(self, uids: Iterable[str]) -> tuple[str, ...]:
        """The SOP classes of the named instances, in order; likely ones where the archive does not tell."""
        held = [self.instances[uid] for uid in uids]
        classes = dict.fromkeys(instance.sop_class_uid for instance in held if instance.sop_class_uid)
        untold = {instance.path.series or "" for instance in held if not instance.sop_class_uid}
        if untold:
            guessed = guess_classes(self.modalities.get(series, "") for series in sorted(untold))
            classes.update(dict.fromkeys(guessed))
        return tuple(classes)


async def take_inventory(archive: Archive, path: ResourcePath) -> Inventory:
    """Ask what is under `path`.

    Raises
    ------
    UnknownResource
        Nothing: the target does not exist, or its UIDs are not in that hierarchy.
    BackendError
        The archive failed.

    Source: PS3.4 §C.4.1.3.1 (hierarchical: one image-level query a series), §C.4.1.2.2 (relational)
    """
    modalities: dict[str, str] = {}
    if path.series is not None:
        held = await _list_images(archive, path)
    elif (await archive.query_capabilities()).relational:
        held = await _list_images(archive, path)
    else:
        modalities = await _list_modalities(archive, path)
        held = await _walk_series(archive, path.study, modalities)
    if not held:
        raise UnknownResource(path.level.value.lower().replace("image", "instance"))
    inventory = Inventory(path, {instance.path.instance or "": instance for instance in held}, modalities)
    if not modalities and not inventory.tells_classes:
        inventory.modalities.update(await _list_modalities(archive, path))
    return inventory


async def _walk_series(archive: Archive, study: str, series: Iterable[str]) -> list[HeldInstance]:
    gate = asyncio.Semaphore(SERIES_AT_ONCE)

    async def list_one(uid: str) -> list[HeldInstance]:
        async with gate:
            return await _list_images(archive, ResourcePath(study, uid))

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(list_one(uid), name="inventory of a series") for uid in series]
    except BaseExceptionGroup as failures:  # the first failure speaks for all: they ask the same archive
        raise failures.exceptions[0] from None
    return [instance for task in tasks for instance in task.result()]


async def _list_modalities(archive: Archive, path: ResourcePath) -> dict[str, str]:
    """The series under `path` with their modality, "" where the archive does not tell."""
    above = ResourcePath(path.study, path.series)
    keys = {SERIES_UID: {"vr": "UI"}, MODALITY: {"vr": "CS"}} | _unique_keys(Level.SERIES, above)
    found: dict[str, str] = {}
    async with archive.find(keys) as matches:
        async for match in matches:
            model = read_data_set(match.data, match.transfer_syntax, "ISO_IR 6")
            if uid := _first(model, SERIES_UID):
                found[uid] = _first(model, MODALITY)
    return found


async def _list_images(archive: Archive, path: ResourcePath) -> list[HeldInstance]:
    asked = {
        CLASS_UID: {"vr": "UI"},
        INSTANCE_UID: {"vr": "UI"},
        AVAILABILITY: {"vr": "CS"},
        AVAILABLE_SYNTAX: {"vr": "UI"},
        SERIES_UID: {"vr": "UI"},
        INSTANCE_NUMBER: {"vr": "IS"},
    }
    held: list[HeldInstance] = []
    async with archive.find(asked | _unique_keys(Level.IMAGE, path)) as matches:
        async for match in matches:
            model = read_data_set(match.data, match.transfer_syntax, "ISO_IR 6")
            series = path.series or _first(model, SERIES_UID)
            uid = _first(model, INSTANCE_UID)
            if series and uid:
                held.append(_describe(model, path.with_instance(series, uid)))
    return held


def _describe(model: dict[str, Any], path: ResourcePath) -> HeldInstance:
    return HeldInstance(path, _first(model, CLASS_UID), _first(model, AVAILABILITY), _first(model, AVAILABLE_SYNTAX))


def _unique_keys(level: Level, path: ResourcePath) -> dict[str, dict[str, Any]]:
    keys: dict[str, dict[str, Any]] = {QUERY_LEVEL: {"vr": "CS", "Value": [level.value]}}
    for tag, uid in ((STUDY_UID, path.study), (SERIES_UID, path.series), (INSTANCE_UID, path.instance)):
        if uid is not None:
            keys[tag] = {"vr": "UI", "Value": [uid]}
    return keys


def _first(model: dict[str, Any], tag: str) -> str:
    values = model.get(tag, {}).get("Value") or [""]
    return str(values[0] or "")
