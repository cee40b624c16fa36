"""The C-FINDs behind an inventory: series-level rows and image-level rows under a path.

At image level only the unique keys, the class and what the archive may tell of availability and stored syntax are
asked for. At series level also what describes the series, of which nothing but a digest is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, TypeAlias

import orjson

from gateway.codecs.dicom_json import read_data_set
from gateway.dimse.archive import Archive
from gateway.errors import UnknownResource
from gateway.resources import Level, ResourcePath
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory, SeriesRow

__all__ = [
    "complete_inventory",
    "describe_study",
    "digest_row",
    "list_instances",
    "list_series",
    "take_inventory",
    "unique_keys",
]

_Keys: TypeAlias = dict[str, dict[str, Any]]

QUERY_LEVEL = "00080052"
STUDY_UID, SERIES_UID, INSTANCE_UID, CLASS_UID = "0020000D", "0020000E", "00080018", "00080016"
AVAILABILITY, AVAILABLE_SYNTAX, MODALITY = "00080056", "00083002", "00080060"
INSTANCE_NUMBER, SERIES_INSTANCES = "00200013", "00201209"

SERIES_AT_ONCE = 4
"""Image-level queries side by side where a study must be walked series by series."""

_DIGEST_BYTES = 16

_IMAGE_KEYS: _Keys = {
    CLASS_UID: {"vr": "UI"},
    INSTANCE_UID: {"vr": "UI"},
    AVAILABILITY: {"vr": "CS"},
    AVAILABLE_SYNTAX: {"vr": "UI"},
    SERIES_UID: {"vr": "UI"},
    INSTANCE_NUMBER: {"vr": "IS"},
}
_UID_KEYS: _Keys = {INSTANCE_UID: {"vr": "UI"}, SERIES_UID: {"vr": "UI"}}
_SERIES_KEYS = {
    SERIES_UID: {"vr": "UI"},
    MODALITY: {"vr": "CS"},
    SERIES_INSTANCES: {"vr": "IS"},
    "00080021": {"vr": "DA"},  # Series Date, Time, Description, Performing Physician, Operators
    "00080031": {"vr": "TM"},
    "0008103E": {"vr": "LO"},
    "00081050": {"vr": "PN"},
    "00081070": {"vr": "PN"},
    "00180015": {"vr": "CS"},  # Body Part Examined, Protocol Name
    "00181030": {"vr": "LO"},
    "00200011": {"vr": "IS"},  # Series Number, Laterality
    "00200060": {"vr": "CS"},
}

_STUDY_KEYS = {
    STUDY_UID: {"vr": "UI"},
    "00080020": {"vr": "DA"},  # Study Date, Time, Accession Number, Referring Physician, Description, ID
    "00080030": {"vr": "TM"},
    "00080050": {"vr": "SH"},
    "00080090": {"vr": "PN"},
    "00081030": {"vr": "LO"},
    "00200010": {"vr": "SH"},
    "00100010": {"vr": "PN"},  # Patient's Name, ID, its issuer, Birth Date, Sex
    "00100020": {"vr": "LO"},
    "00100021": {"vr": "LO"},
    "00100030": {"vr": "DA"},
    "00100040": {"vr": "CS"},
    "00201206": {"vr": "IS"},  # numbers of series and of instances
    "00201208": {"vr": "IS"},
}

_NOT_CONTENT = frozenset({"00080005", QUERY_LEVEL, "00080054"})
"""Character set, level, Retrieve AE Title: how an answer is told, not what."""


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
    if path.series is None and not (await archive.query_capabilities()).relational:
        return await complete_inventory(archive, path, await list_series(archive, path))
    inventory = _gather(path, await _list_images(archive, path, _IMAGE_KEYS), ())
    if not inventory.tells_classes:
        above = ResourcePath(path.study, path.series)
        inventory.modalities.update({row.uid: row.modality for row in await list_series(archive, above)})
    return inventory


async def complete_inventory(archive: Archive, path: ResourcePath, series: tuple[SeriesRow, ...]) -> Inventory:
    """Ask for the instances under `path`, a study or series, whose `series` are known already.

    Raises
    ------
    UnknownResource
        There are none.
    BackendError
        The archive failed.
    """
    return await _complete(archive, path, series, _IMAGE_KEYS)


async def list_instances(archive: Archive, path: ResourcePath, series: tuple[SeriesRow, ...] = ()) -> Inventory:
    """As `take_inventory` of a study or series, but nothing of the instances save their UIDs.

    An archive (Orthanc) may have to open every file to tell more; this takes it a third of the time.

    Parameters
    ----------
    series
        Those under `path`; asked for if need be where they are not known.
    """
    if not series and path.series is None and not (await archive.query_capabilities()).relational:
        series = await list_series(archive, path)
    return await _complete(archive, path, series, _UID_KEYS)


async def _complete(archive: Archive, path: ResourcePath, series: tuple[SeriesRow, ...], keys: _Keys) -> Inventory:
    if path.series is not None or (await archive.query_capabilities()).relational:
        return _gather(path, await _list_images(archive, path, keys), series)
    return _gather(path, await _walk_series(archive, path.study, [row.uid for row in series], keys), series)


async def list_series(archive: Archive, path: ResourcePath) -> tuple[SeriesRow, ...]:
    """Ask for the series of a study, or for the one that `path` names; empty where there is none.

    Raises
    ------
    BackendError
        The archive failed.
    """
    found: dict[str, SeriesRow] = {}
    async with archive.find(_SERIES_KEYS | unique_keys(Level.SERIES, path)) as matches:
        async for match in matches:
            model = read_data_set(match.data, match.transfer_syntax, _character_set(archive))
            if uid := _first(model, SERIES_UID):
                count = _first(model, SERIES_INSTANCES)
                told = int(count) if count.isascii() and count.isdigit() else None
                found[uid] = SeriesRow(uid, _first(model, MODALITY), told, digest_row(model))
    return tuple(found.values())


async def describe_study(archive: Archive, study: str) -> str:
    """A digest of what the index says of a study and its patient; "" where there is no such study.

    Raises
    ------
    BackendError
        The archive failed.
    """
    found: set[str] = set()
    async with archive.find(_STUDY_KEYS | unique_keys(Level.STUDY, ResourcePath(study))) as matches:
        async for match in matches:
            found.add(digest_row(read_data_set(match.data, match.transfer_syntax, _character_set(archive))))
    return " ".join(sorted(found))


def digest_row(model: Mapping[str, Any]) -> str:
    """A digest of what one answer says; two answers that say the same have the same."""
    content = {tag: attribute for tag, attribute in model.items() if tag not in _NOT_CONTENT}
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=_DIGEST_BYTES).hexdigest()


def unique_keys(level: Level, path: ResourcePath) -> dict[str, dict[str, Any]]:
    """The level and the UIDs of `path` as matching keys."""
    keys: dict[str, dict[str, Any]] = {QUERY_LEVEL: {"vr": "CS", "Value": [level.value]}}
    for tag, uid in ((STUDY_UID, path.study), (SERIES_UID, path.series), (INSTANCE_UID, path.instance)):
        if uid is not None:
            keys[tag] = {"vr": "UI", "Value": [uid]}
    return keys


async def _walk_series(archive: Archive, study: str, series: Iterable[str], keys: _Keys) -> list[HeldInstance]:
    gate = asyncio.Semaphore(SERIES_AT_ONCE)

    async def list_one(uid: str) -> list[HeldInstance]:
        async with gate:
            return await _list_images(archive, ResourcePath(study, uid), keys)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(list_one(uid), name="inventory of a series") for uid in series]
    except BaseExceptionGroup as failures:  # the first failure speaks for all: they ask the same archive
        raise failures.exceptions[0] from None
    return [instance for task in tasks for instance in task.result()]


async def _list_images(archive: Archive, path: ResourcePath, keys: _Keys) -> list[HeldInstance]:
    held: list[HeldInstance] = []
    async with archive.find(keys | unique_keys(Level.IMAGE, path)) as matches:
        async for match in matches:
            model = read_data_set(match.data, match.transfer_syntax, "ISO_IR 6")
            series = path.series or _first(model, SERIES_UID)
            uid = _first(model, INSTANCE_UID)
            if series and uid:
                held.append(_describe(model, path.with_instance(series, uid)))
    return held


def _gather(path: ResourcePath, held: list[HeldInstance], series: tuple[SeriesRow, ...]) -> Inventory:
    if not held:
        raise UnknownResource(path.level.value.lower().replace("image", "instance"))
    instances = {instance.path.instance or "": instance for instance in held}
    return Inventory(path, instances, {row.uid: row.modality for row in series})


def _describe(model: dict[str, Any], path: ResourcePath) -> HeldInstance:
    number = _first(model, INSTANCE_NUMBER)
    return HeldInstance(
        path,
        _first(model, CLASS_UID),
        _first(model, AVAILABILITY),
        _first(model, AVAILABLE_SYNTAX),
        int(number) if number.removeprefix("-").isdecimal() else None,
    )


def _character_set(archive: Archive) -> str:
    return archive.settings.default_character_set


def _first(model: dict[str, Any], tag: str) -> str:
    values = model.get(tag, {}).get("Value") or [""]
    return str(values[0] or "")
