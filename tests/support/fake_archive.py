"""An archive in memory for unit tests of the search: answers C-FIND by matching over a list of instances.

It has the two methods of ``gateway.dimse.archive.Archive`` that the search uses, records every identifier it
was asked and which C-FINDs were left early, and can be told to behave like archives that exist.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.config import BackendSettings
from gateway.dimse.archive import QueryCapabilities
from gateway.dimse.scu.query import FindMatch

EXPLICIT_VR_LE = "1.2.840.10008.1.2.1"
UNIQUE = {"STUDY": "0020000D", "SERIES": "0020000E", "IMAGE": "00080018"}
LEVELS = ("STUDY", "SERIES", "IMAGE")
COMPUTED = ("00080061", "00201206", "00201208", "00201209")
NOT_MATCHED = ("00080005", "00080052", "00080201", *COMPUTED[1:])

Model = dict[str, Any]


@dataclass
class Behaviour:
    """How the archive deviates.

    Parameters
    ----------
    leaves_out : set of str
        Tags it knows nothing of: neither matched nor returned.
    repeats : int
        How often each answer is sent.
    per_instance : bool
        Study- and series-level answers come once per instance, as pynetdicom's qrscp does.
    ignores_keys : bool
        Matches unique keys only and flags every answer with FF01.
    upper_keys : bool
        Returns attributes of the levels above in lower-level answers, as relational archives may.
    failure : Exception or None
        Raised in place of answer number `fails_at` of each C-FIND at `fails_level` (any where empty).
    gate : asyncio.Event or None
        Awaited before answer number `gate_at` of each C-FIND at `fails_level` that is not only for counting.
    batch : int
        How many answers arrive together; with a large number the end is known with the last of them.
    """

    leaves_out: frozenset[str] = frozenset()
    repeats: int = 1
    per_instance: bool = False
    ignores_keys: bool = False
    upper_keys: bool = True
    failure: Exception | None = None
    fails_at: int = 0
    fails_level: str = ""
    gate: asyncio.Event | None = None
    gate_at: int = 1
    batch: int = 1


@dataclass
class FakeArchive:
    """See the module; `instances` are DICOM JSON models with all UIDs."""

    instances: list[Model]
    capabilities: QueryCapabilities = field(default_factory=QueryCapabilities)
    behaviour: Behaviour = field(default_factory=Behaviour)
    settings: BackendSettings = field(default_factory=lambda: BackendSettings(ae_title="FAKE", host="none"))
    ae_title: str = "FAKE"
    name: str = "fake"
    asked: list[dict[str, Model]] = field(default_factory=list)
    asked_fuzzily: list[bool] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    sent: int = 0
    open_finds: int = 0
    most_open_finds: int = 0

    def __post_init__(self) -> None:
        self._associations = asyncio.Semaphore(self.settings.max_associations)
        self.left_early = asyncio.Event()

    async def query_capabilities(self, *, fuzzy: bool = False) -> QueryCapabilities:
        return self.capabilities

    @asynccontextmanager
    async def find(self, keys: Mapping[str, Model], *, fuzzy: bool = False) -> AsyncIterator[AsyncIterator[FindMatch]]:
        number = len(self.asked)
        self.asked.append(dict(keys))
        self.asked_fuzzily.append(fuzzy)
        async with asyncio.timeout(5), self._associations:
            self.open_finds += 1
            self.most_open_finds = max(self.most_open_finds, self.open_finds)
            responses = _Responses(self, keys)
            try:
                yield responses
            finally:
                self.open_finds -= 1
                if not responses.is_finished:
                    self.cancelled.append(number)
                    self.left_early.set()

    def asked_at(self, level: str) -> list[dict[str, Model]]:
        """Identifiers of the C-FINDs at `level`."""
        return [keys for keys in self.asked if keys["00080052"]["Value"] == [level]]

    def answers(self, keys: Mapping[str, Model]) -> list[Model]:
        """What the archive answers to `keys`."""
        level = keys["00080052"]["Value"][0]
        entities = self._entities(level, keys)
        matching = [entity for entity in entities if self._matches(entity, keys)]
        return [self._returned(entity, keys) for entity in matching for _ in range(self.behaviour.repeats)]

    def _entities(self, level: str, keys: Mapping[str, Model]) -> list[Model]:
        found: dict[str, Model] = {}
        repeated = []
        for instance in self.instances:
            entity = {**instance, **self._computed(instance)}
            found.setdefault(instance[UNIQUE[level]]["Value"][0], entity)
            repeated.append(entity)
        return repeated if self.behaviour.per_instance else list(found.values())

    def _computed(self, instance: Model) -> Model:
        study = [other for other in self.instances if _first(other, "0020000D") == _first(instance, "0020000D")]
        series = [other for other in study if _first(other, "0020000E") == _first(instance, "0020000E")]
        modalities = dict.fromkeys(_first(other, "00080060") for other in study)
        return {
            "00080061": {"vr": "CS", "Value": [value for value in modalities if value]},
            "00201206": {"vr": "IS", "Value": [len({_first(other, "0020000E") for other in study})]},
            "00201208": {"vr": "IS", "Value": [len(study)]},
            "00201209": {"vr": "IS", "Value": [len(series)]},
        }

    def _matches(self, entity: Model, keys: Mapping[str, Model]) -> bool:
        for tag, key in keys.items():
            is_unique = tag in UNIQUE.values()
            if tag in NOT_MATCHED or tag in self.behaviour.leaves_out or not key.get("Value"):
                continue
            if not is_unique and self.behaviour.ignores_keys:
                continue
            if not _attribute_matches(entity.get(tag, {}), key):
                return False
        return True

    def _returned(self, entity: Model, keys: Mapping[str, Model]) -> Model:
        returned = {}
        for tag, key in keys.items():
            if tag in self.behaviour.leaves_out or tag == "00080201":
                continue
            is_upper = keys["00080052"]["Value"] != ["STUDY"] and tag in STUDY_TAGS
            if is_upper and not self.behaviour.upper_keys and not key.get("Value"):
                continue
            attribute = entity.get(tag, {"vr": key["vr"]})
            returned[tag] = {"vr": attribute["vr"]} if not attribute.get("Value") else attribute
        returned["00080052"] = keys["00080052"]
        returned["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
        return returned


MOST_KEYS_OF_COUNTS = 6  # identifiers that only count are shorter than those of results
STUDY_TAGS = frozenset("00080020 00080030 00080050 00080061 00080090 00100010 00100020 00201206".split())


class _Responses:
    def __init__(self, archive: FakeArchive, keys: Mapping[str, Model]) -> None:
        self._archive = archive
        self._level = keys["00080052"]["Value"][0]
        self._answers = iter(archive.answers(keys))
        self._number = 0
        self._is_gated = len(keys) > MOST_KEYS_OF_COUNTS
        self.is_finished = False
        self._failure: Exception | None = None

    @property
    def is_over(self) -> bool:
        return self.is_finished and self._failure is None

    async def read_batch(self) -> list[FindMatch]:
        if self._failure is not None:
            raise self._failure
        batch: list[FindMatch] = []
        while len(batch) < self._archive.behaviour.batch:
            try:
                batch.append(await anext(self))
            except StopAsyncIteration:
                break
            except Exception as error:
                if not batch:
                    raise
                self._failure = error
                break
        return batch

    def __aiter__(self) -> _Responses:
        return self

    async def __anext__(self) -> FindMatch:
        behaviour = self._archive.behaviour
        await asyncio.sleep(0)
        applies = behaviour.fails_level in ("", self._level)
        if applies and behaviour.failure is not None and self._number >= behaviour.fails_at:
            self.is_finished = True
            raise behaviour.failure
        if applies and self._is_gated and behaviour.gate is not None and self._number >= behaviour.gate_at:
            await behaviour.gate.wait()
        answer = next(self._answers, None)
        if answer is None:
            self.is_finished = True
            raise StopAsyncIteration
        self._number += 1
        self._archive.sent += 1
        return FindMatch(encode_model(answer), EXPLICIT_VR_LE, not behaviour.ignores_keys)


def encode_model(model: Mapping[str, Model]) -> bytes:
    """`model` as an Explicit VR Little Endian data set."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    data_set = Dataset.from_json(json.dumps(model))
    write_dataset(buffer, data_set)
    return buffer.getvalue()


def instance(study: str, series: str, sop: str, /, *, modality: str = "CT", **attributes: Any) -> Model:
    """One instance with its UIDs; `attributes` by keyword, a person name as its alphabetic text."""
    data_set = Dataset()
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID, data_set.SOPInstanceUID = study, series, sop
    data_set.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    data_set.Modality = modality
    for keyword, value in attributes.items():
        setattr(data_set, keyword, value)
    return dict(data_set.to_json_dict())


def _first(model: Model, tag: str) -> Any:
    return (model.get(tag, {}).get("Value") or [None])[0]


def _attribute_matches(attribute: Model, key: Model) -> bool:
    values = attribute.get("Value") or []
    if key["vr"] == "SQ":
        item = key["Value"][0]
        return any(_item_matches(value, item) for value in values) or not any(
            nested.get("Value") for nested in item.values()
        )
    if not values:
        return True
    return any(_value_matches(key["vr"], wanted, value) for wanted in key["Value"] for value in values)


def _item_matches(item: Model, keys: Model) -> bool:
    return all(_attribute_matches(item.get(tag, {}), key) for tag, key in keys.items() if key.get("Value"))


def _value_matches(vr: str, wanted: Any, value: Any) -> bool:
    if vr == "PN":
        return fnmatchcase(value.get("Alphabetic", ""), wanted["Alphabetic"])
    if vr in ("DA", "TM") and "-" in str(wanted):
        low, high = str(wanted).split("-")
        return (low or "0") <= value <= (high or "9").ljust(len(value), "9")
    if vr in ("CS", "LO", "SH", "AE", "ST", "LT"):
        return fnmatchcase(value, str(wanted))
    return str(wanted) == str(value)
