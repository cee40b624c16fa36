"""The request and response modules of Storage Commitment, to and from references (PS3.18 Annex J, PS3.4 §J.3).

Pure: DICOM JSON Model objects in and out. On the web instances may be named in a flat list or by study and series;
the archive is always asked with the flat list, and answers come out in the form they were asked in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.errors import BadParameter
from gateway.resources import is_valid_uid

__all__ = [
    "COMMITTED",
    "PROCESSING_FAILURE",
    "Outcome",
    "Reference",
    "describe_outcomes",
    "describe_request",
    "read_outcomes",
    "read_request",
]

Model = dict[str, Any]

COMMITTED = 0x0000
PROCESSING_FAILURE = 0x0110

STUDY_UID, SERIES_UID, TRANSACTION_UID = "0020000D", "0020000E", "00081195"
REFERENCED_CLASS, REFERENCED_INSTANCE = "00081150", "00081155"
REFERENCED_SOPS, FAILED_SOPS, FAILURE_REASON = "00081199", "00081198", "00081197"
REFERENCED_STUDIES, FAILED_STUDIES = "00081110", "0008119B"
REFERENCED_SERIES, REFERENCED_BY_CLASS, REFERENCED_INSTANCES = "00081115", "00081112", "0008114A"


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance asked about; `study` and `series` are empty where it came in the flat list."""

    sop_class_uid: str
    sop_instance_uid: str
    study: str = ""
    series: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the archive said of an instance: `COMMITTED`, or a Failure Reason (PS3.3 §C.14.1.1); None: nothing yet."""

    reference: Reference
    reason: int | None = None


# --- requests ---


def read_request(module: Model) -> tuple[Reference, ...]:
    """The instances of a Storage Commitment Request Module (PS3.18 Table J.1-1), each once.

    Raises
    ------
    BadParameter
        Neither form is there, an item lacks a UID or has none that is valid; names the tag.
    """
    references = [*_read_flat(module), *_read_by_study(module)]
    if not references:
        raise BadParameter(REFERENCED_SOPS, "no instance is referenced")
    return tuple(dict.fromkeys(references))


def _read_flat(module: Model) -> Iterator[Reference]:
    for item in _items(module, REFERENCED_SOPS):
        yield Reference(_uid(item, REFERENCED_CLASS), _uid(item, REFERENCED_INSTANCE))


def _read_by_study(module: Model) -> Iterator[Reference]:
    for study in _items(module, REFERENCED_STUDIES):
        for series in _some(study, REFERENCED_SERIES):
            for by_class in _some(series, REFERENCED_BY_CLASS):
                for instance in _some(by_class, REFERENCED_INSTANCES):
                    yield Reference(
                        _uid(by_class, REFERENCED_CLASS),
                        _uid(instance, REFERENCED_INSTANCE),
                        _uid(study, STUDY_UID),
                        _uid(series, SERIES_UID),
                    )


def describe_request(transaction_uid: str, references: Iterable[Reference]) -> Model:
    """The action information of N-ACTION (PS3.4 Table J.3-1): every instance once, whatever its form."""
    flat = dict.fromkeys(replace(reference, study="", series="") for reference in references)
    return {
        TRANSACTION_UID: {"vr": "UI", "Value": [transaction_uid]},
        REFERENCED_SOPS: _sequence([_describe_reference(reference) for reference in flat]),
    }


# --- results ---


def read_outcomes(event: Model) -> tuple[str, dict[str, int]]:
    """Transaction UID and, by SOP Instance UID, the outcome of an N-EVENT-REPORT (PS3.4 Table J.3-2).

    Read by what is there and not by the event type: some archives report failures with event 1. Items without a UID
    are passed over.
    """
    uid = _first(event, TRANSACTION_UID)
    outcomes = {_first(item, REFERENCED_INSTANCE): COMMITTED for item in _items(event, REFERENCED_SOPS)}
    for item in _items(event, FAILED_SOPS):
        outcomes[_first(item, REFERENCED_INSTANCE)] = _read_reason(item)
    outcomes.pop("", None)
    return uid, outcomes


def _read_reason(item: Model) -> int:
    values = item.get(FAILURE_REASON, {}).get("Value") or [PROCESSING_FAILURE]
    return values[0] if isinstance(values[0], int) and values[0] else PROCESSING_FAILURE


def describe_outcomes(outcomes: Sequence[Outcome]) -> Model:
    """The Storage Commitment Response Module (PS3.18 Table J.2-1), in the form of the request.

    Parameters
    ----------
    outcomes
        All with a reason.
    """
    committed = [outcome for outcome in outcomes if outcome.reason == COMMITTED]
    failed = [outcome for outcome in outcomes if outcome.reason != COMMITTED]
    found = {
        REFERENCED_STUDIES: _describe_by_study(committed),
        FAILED_SOPS: _describe_flat(failed),
        REFERENCED_SOPS: _describe_flat(committed),
        FAILED_STUDIES: _describe_by_study(failed),
    }
    return {tag: _sequence(items) for tag, items in found.items() if items}


def _describe_flat(outcomes: Iterable[Outcome]) -> list[Model]:
    return [
        {
            **_describe_reference(outcome.reference),
            **_describe_reason(outcome),
        }
        for outcome in outcomes
        if not outcome.reference.study
    ]


def _describe_by_study(outcomes: Iterable[Outcome]) -> list[Model]:
    tree: dict[str, dict[str, dict[str, list[Model]]]] = {}
    for outcome in outcomes:
        one = outcome.reference
        if one.study:
            by_class = tree.setdefault(one.study, {}).setdefault(one.series, {})
            instance = {REFERENCED_INSTANCE: _ui(one.sop_instance_uid), **_describe_reason(outcome)}
            by_class.setdefault(one.sop_class_uid, []).append(dict(sorted(instance.items())))
    return [
        {
            REFERENCED_SERIES: _sequence(
                [
                    {
                        REFERENCED_BY_CLASS: _sequence(
                            [
                                {REFERENCED_INSTANCES: _sequence(instances), REFERENCED_CLASS: _ui(sop_class)}
                                for sop_class, instances in by_class.items()
                            ]
                        ),
                        SERIES_UID: _ui(series),
                    }
                    for series, by_class in by_series.items()
                ]
            ),
            STUDY_UID: _ui(study),
        }
        for study, by_series in tree.items()
    ]


def _describe_reference(reference: Reference) -> Model:
    return {
        REFERENCED_CLASS: _ui(reference.sop_class_uid),
        REFERENCED_INSTANCE: _ui(reference.sop_instance_uid),
    }


def _describe_reason(outcome: Outcome) -> Model:
    return {} if outcome.reason == COMMITTED else {FAILURE_REASON: {"vr": "US", "Value": [outcome.reason]}}


# --- the DICOM JSON Model ---


def _ui(uid: str) -> Model:
    return {"vr": "UI", "Value": [uid]}


def _sequence(items: list[Model]) -> Model:
    return {"vr": "SQ", "Value": items}


def _items(model: Model, tag: str) -> list[Model]:
    attribute = model.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _some(model: Model, tag: str) -> list[Model]:
    if items := _items(model, tag):
        return items
    raise BadParameter(tag, "a sequence with items is required")


def _first(model: Model, tag: str) -> str:
    attribute = model.get(tag)
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    return values[0] if isinstance(values, list) and values and isinstance(values[0], str) else ""


def _uid(model: Model, tag: str) -> str:
    uid = _first(model, tag)
    if not is_valid_uid(uid):
        raise BadParameter(tag, "not a UID")
    return uid
