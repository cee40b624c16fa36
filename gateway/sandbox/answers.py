"""C-FIND answers: candidates of a level, matching, computed keys and the data sets returned (PS3.4 §C.4.1).

No association here: a request identifier and the index go in, answers come out one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag

from gateway.sandbox.behaviour import Behaviour
from gateway.sandbox.identifiers import LEVELS, QueryScope, select_instances
from gateway.sandbox.index import InstanceIndex, StoredInstance
from gateway.sandbox.matching import MatchingOptions, match_data_set, match_element
from gateway.sandbox.values import read_element, read_items

__all__ = ["Answer", "find_answers"]

_CHARACTER_SET = 0x00080005
_LEVEL = 0x00080052
_RETRIEVE_AE_TITLE = 0x00080054
_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})

_LOWER_LEVEL_KEYS: Mapping[str, frozenset[int]] = {
    "IMAGE": frozenset(),
    "SERIES": frozenset({0x00080016, 0x00080018, 0x00200013}),
    "STUDY": frozenset({0x00080016, 0x00080018, 0x00200013, 0x00080060, 0x0020000E, 0x00200011}),
}
"""Keys that have no one value at a level; they are neither matched nor returned there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One match; `all_keys_supported` decides between FF00 and FF01."""

    data_set: Dataset
    all_keys_supported: bool


Rows = Sequence[StoredInstance]


def _count(column: str) -> Callable[[Rows], list[str]]:
    return lambda rows: [str(len({getattr(row, column) for row in rows}))]


def _list(column: str) -> Callable[[Rows], list[str]]:
    return lambda rows: sorted({getattr(row, column) for row in rows} - {""})


_COMPUTED: Mapping[int, tuple[str, str, Callable[[Rows], list[str]]]] = {
    0x00080056: ("CS", "IMAGE", lambda rows: ["ONLINE"]),  # Instance Availability
    0x00080061: ("CS", "STUDY", _list("modality")),  # Modalities in Study
    0x00080062: ("UI", "STUDY", _list("sop_class_uid")),  # SOP Classes in Study
    0x00083002: ("UI", "IMAGE", _list("transfer_syntax_uid")),  # Available Transfer Syntax UID
    0x00201200: ("IS", "PATIENT", _count("study_instance_uid")),
    0x00201202: ("IS", "PATIENT", _count("series_instance_uid")),
    0x00201204: ("IS", "PATIENT", _count("sop_instance_uid")),
    0x00201206: ("IS", "STUDY", _count("series_instance_uid")),
    0x00201208: ("IS", "STUDY", _count("sop_instance_uid")),
    0x00201209: ("IS", "SERIES", _count("sop_instance_uid")),
}
"""Tag: VR, the level whose instances count, and the rule."""

_OWN_KEYS = {_CHARACTER_SET, _LEVEL, _RETRIEVE_AE_TITLE, *_COMPUTED}


def find_answers(
    index: InstanceIndex,
    keys: Dataset,
    scope: QueryScope,
    options: MatchingOptions,
    behaviour: Behaviour,
    ae_title: str,
) -> Iterator[Answer]:
    """Yield the matches in the order in which their first instances were stored.

    Parameters
    ----------
    keys : Dataset
        The request identifier.
    scope : QueryScope
        Read from it and already checked.
    """
    query = _Query(index, keys, scope, options, behaviour, ae_title)
    for rows in _group(select_instances(index, scope, at_patient_id=False), scope.level):
        stored = index.read_head(rows[0])
        computed = query.compute(rows)
        if query.is_match(stored, computed):
            for _ in rows if behaviour.repeat_answers else rows[:1]:
                yield Answer(query.build(stored, computed), query.all_keys_supported)


def _group(rows: Rows, level: str) -> list[list[StoredInstance]]:
    groups: dict[str, list[StoredInstance]] = {}
    for row in rows:
        groups.setdefault(getattr(row, LEVELS[level].column), []).append(row)
    return list(groups.values())


class _Query:
    """One request, prepared once for all candidates."""

    def __init__(
        self,
        index: InstanceIndex,
        keys: Dataset,
        scope: QueryScope,
        options: MatchingOptions,
        behaviour: Behaviour,
        ae_title: str,
    ) -> None:
        self._index = index
        self._scope = scope
        self._options = options
        self._behaviour = behaviour
        self._ae_title = ae_title
        unsupported = set(_LOWER_LEVEL_KEYS.get(scope.level, _LOWER_LEVEL_KEYS["STUDY"]))
        if behaviour.omit_optional_keys:
            unsupported |= set(_COMPUTED)
        self._keys = [key for key in keys if int(key.tag) not in unsupported]
        self._identifier = keys
        self._computed_keys = [key for key in self._keys if int(key.tag) in _COMPUTED]
        self._ignored = unsupported | _OWN_KEYS
        self.all_keys_supported = len(self._keys) == len(keys)

    def compute(self, rows: Rows) -> Dataset:
        """Return the computed attributes that were asked for."""
        computed = Dataset()
        for key in self._computed_keys:
            vr, level, rule = _COMPUTED[int(key.tag)]
            values = rule(self._widen(rows, level))
            computed.add(DataElement(key.tag, vr, values if len(values) > 1 else "".join(values)))
        return computed

    def _widen(self, rows: Rows, level: str) -> Rows:
        """Return all instances of the patient, study or series that `rows` belong to, if it is above them."""
        order = list(LEVELS)
        if order.index(level) >= order.index(self._scope.level):
            return rows
        column = LEVELS[level].column
        return self._index.select({column: [getattr(rows[0], column)]})

    def is_match(self, stored: Dataset, computed: Dataset) -> bool:
        """Match every key, computed ones against what was computed."""
        return all(
            match_element(key, computed[key.tag], self._options) for key in self._computed_keys
        ) and match_data_set(self._identifier, stored, self._options, self._ignored)

    def build(self, stored: Dataset, computed: Dataset) -> Dataset:
        """Return the answer: every supported key, empty if the instance has none, in the stored character set."""
        answer = Dataset()
        for key in self._keys:
            answer[key.tag] = _pick(key, stored, computed)
        answer.QueryRetrieveLevel = self._scope.level
        answer.RetrieveAETitle = self._ae_title
        character_set = read_element(stored, _CHARACTER_SET)
        asked = _CHARACTER_SET in self._identifier
        if character_set is not None and (asked or not self._behaviour.omit_character_set):
            answer[_CHARACTER_SET] = character_set
        if self._behaviour.latin1_answers:
            _write_latin1(answer)
        return answer


def _pick(key: DataElement, stored: Dataset, computed: Dataset) -> DataElement | RawDataElement:
    if key.tag in computed:
        return computed[key.tag]
    if key.VR == "SQ":
        return _pick_sequence(key, stored)
    raw = stored.get_item(key.tag) if key.tag in stored else None
    if isinstance(raw, RawDataElement) and raw.VR is not None and raw.is_little_endian and raw.value is not None:
        return raw  # as stored, odd values included
    element = read_element(stored, int(key.tag))
    return element if element is not None else DataElement(key.tag, key.VR, None)


def _pick_sequence(key: DataElement, stored: Dataset) -> DataElement:
    """Return the stored items with the keys that the request's item names, all of them if it names none."""
    wanted = read_items(key)
    items = []
    for item in read_items(read_element(stored, int(key.tag))):
        if not wanted or not len(wanted[0]):
            items.append(item)
            continue
        picked = Dataset()
        for inner in wanted[0]:
            picked[inner.tag] = _pick(inner, item, Dataset())
        items.append(picked)
    return DataElement(key.tag, "SQ", DicomSequence(items))


def _write_latin1(answer: Dataset) -> None:
    for tag in list(answer.keys()):
        element = read_element(answer, int(tag))
        if element is not None and element.VR in _TEXT_VRS:
            text = str(element.value or "") if element.VM < 2 else "\\".join(map(str, element.value))
            value = text.encode("latin-1", "replace")
            value += b" " * (len(value) % 2)
            answer[tag] = RawDataElement(Tag(tag), element.VR, len(value), value, 0, False, True)
    if _CHARACTER_SET in answer:
        del answer[_CHARACTER_SET]
