"""Structured reports and key object selections read into ``content`` (PS3.3 §C.17.3, §C.17.4 to §C.17.7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pydicom.dataset import Dataset
from pydicom.uid import UID

from gateway.errors import ImagingFailed
from gateway.imaging.documents.content import ContentItem, InstanceReference, Report
from gateway.imaging.documents.values import (
    format_code,
    format_date,
    format_date_time,
    format_meaning,
    format_name,
    format_time,
)
from gateway.imaging.rendering.attributes import get_items, get_numbers, get_text, get_texts

__all__ = ["read_report"]

_DEEPEST = 48  # levels; deeper ones are left out
_MOST_ITEMS = 20_000
_CONTEXT = frozenset({"HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD"})
_EVIDENCE = ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence")

_Evidence = Mapping[str, tuple[str, str]]  # SOP Instance UID → Study and Series Instance UID


def read_report(data_set: Dataset) -> Report:
    """Read a data set with a content tree.

    Raises
    ------
    ImagingFailed
        It has no content tree, or one of more than 20,000 items.
    """
    if not get_text(data_set, "ValueType") and not get_items(data_set, "ContentSequence"):
        raise ImagingFailed("the instance holds no report")
    reader = _Reader(_read_evidence(data_set))
    root = reader.read(data_set, "1", is_root=True)
    return Report(root.name or "Report", tuple(_describe_patient(data_set)), tuple(_describe(data_set)), root)


def _describe_patient(data_set: Dataset) -> Iterator[tuple[str, str]]:
    rows = (
        ("Patient", format_name(get_text(data_set, "PatientName"))),
        ("Patient ID", get_text(data_set, "PatientID")),
        ("Born", format_date(get_text(data_set, "PatientBirthDate"))),
        ("Sex", get_text(data_set, "PatientSex")),
    )
    return ((label, value) for label, value in rows if value)


def _describe(data_set: Dataset) -> Iterator[tuple[str, str]]:
    content = format_date(get_text(data_set, "ContentDate")), format_time(get_text(data_set, "ContentTime"))
    status = (get_text(data_set, flag).lower() for flag in ("PreliminaryFlag", "CompletionFlag", "VerificationFlag"))
    rows = (
        ("Study", get_text(data_set, "StudyDescription")),
        ("Study date", format_date(get_text(data_set, "StudyDate"))),
        ("Accession number", get_text(data_set, "AccessionNumber")),
        ("Referring physician", format_name(get_text(data_set, "ReferringPhysicianName"))),
        ("Institution", get_text(data_set, "InstitutionName")),
        ("Written", " ".join(part for part in content if part)),
        ("Status", ", ".join(flag for flag in status if flag)),
        *(("Verified by", _describe_observer(item)) for item in get_items(data_set, "VerifyingObserverSequence")),
    )
    return ((label, value) for label, value in rows if value)


def _describe_observer(item: Dataset) -> str:
    parts = (
        format_name(get_text(item, "VerifyingObserverName")),
        get_text(item, "VerifyingOrganization"),
        format_date_time(get_text(item, "VerificationDateTime")),
    )
    return ", ".join(part for part in parts if part)


def _read_evidence(data_set: Dataset) -> _Evidence:
    """Where the instances that the report refers to belong (§C.17.2.3)."""
    found = {}
    for keyword in _EVIDENCE:
        for study in get_items(data_set, keyword):
            for series in get_items(study, "ReferencedSeriesSequence"):
                place = get_text(study, "StudyInstanceUID"), get_text(series, "SeriesInstanceUID")
                for instance in get_items(series, "ReferencedSOPSequence"):
                    found[get_text(instance, "ReferencedSOPInstanceUID")] = place
    return found


class _Reader:
    """Walks the tree and counts what it reads."""

    def __init__(self, evidence: _Evidence) -> None:
        self._evidence = evidence
        self._count = 0

    def read(self, item: Dataset, position: str, *, is_root: bool = False) -> ContentItem:
        self._count += 1
        if self._count > _MOST_ITEMS:
            raise ImagingFailed(f"the report has more than {_MOST_ITEMS} content items")
        value_type = get_text(item, "ValueType")
        children = get_items(item, "ContentSequence") if position.count(".") < _DEEPEST else []
        target = ".".join(str(int(number)) for number in get_numbers(item, "ReferencedContentItemIdentifier"))
        lines = _VALUES[value_type](item) if value_type in _VALUES else [get_text(item, "TextValue")]
        if target:
            lines = [f"see {target}"]
        return ContentItem(
            name=format_meaning(item, "ConceptNameCodeSequence"),
            code=format_code(item, "ConceptNameCodeSequence"),
            lines=tuple(line for line in lines if line),
            value_code=format_code(item, "ConceptCodeSequence"),
            is_container=is_root or value_type == "CONTAINER",
            is_context=get_text(item, "RelationshipType") in _CONTEXT,
            position=position,
            target=target,
            references=tuple(self._read_references(item)),
            children=tuple(self.read(child, f"{position}.{number}") for number, child in enumerate(children, 1)),
        )

    def _read_references(self, item: Dataset) -> Iterator[InstanceReference]:
        for reference in get_items(item, "ReferencedSOPSequence"):
            uid = get_text(reference, "ReferencedSOPInstanceUID")
            study, series = self._evidence.get(uid, ("", ""))
            frames = tuple(int(number) for number in get_numbers(reference, "ReferencedFrameNumber"))
            yield InstanceReference(uid, study, series, frames, _label_reference(reference, frames))


def _label_reference(reference: Dataset, frames: tuple[int, ...]) -> str:
    uid = get_text(reference, "ReferencedSOPClassUID")
    kind = UID(uid).name.removesuffix(" Storage") if uid else "Instance"
    parts = [kind]
    if frames:
        parts.append(f"frame{'s' if len(frames) > 1 else ''} {', '.join(map(str, frames))}")
    if segments := get_numbers(reference, "ReferencedSegmentNumber"):
        parts.append(f"segment {', '.join(str(int(number)) for number in segments)}")
    return ", ".join(parts)


# --- values by Value Type (Table C.17.3-1) ---


def _read_number(item: Dataset) -> list[str]:
    lines = []
    for measured in get_items(item, "MeasuredValueSequence"):
        unit = get_items(measured, "MeasurementUnitsCodeSequence")
        symbol = get_text(unit[0], "CodeValue") if unit else ""
        shown = format_meaning(measured, "MeasurementUnitsCodeSequence") if symbol.startswith("{") else symbol
        text = ", ".join(get_texts(measured, "NumericValue"))
        lines.append(f"{text} {'' if symbol == '1' else shown}".strip())
    return lines or [format_meaning(item, "NumericValueQualifierCodeSequence")]


def _read_coordinates(item: Dataset) -> list[str]:
    count = len(get_numbers(item, "GraphicData"))
    size = 3 if get_text(item, "ValueType") == "SCOORD3D" else 2
    return [f"{get_text(item, 'GraphicType').lower()} of {count // size} point{'s' if count // size != 1 else ''}"]


def _read_times(item: Dataset) -> list[str]:
    places = [
        *get_texts(item, "ReferencedSamplePositions"),
        *get_texts(item, "ReferencedTimeOffsets"),
        *map(format_date_time, get_texts(item, "ReferencedDateTime")),
    ]
    return [f"{get_text(item, 'TemporalRangeType').lower()} {', '.join(places)}".strip()]


_VALUES: dict[str, Callable[[Dataset], list[str]]] = {
    "CONTAINER": lambda _: [],
    "TEXT": lambda item: get_text(item, "TextValue").splitlines(),
    "CODE": lambda item: [format_meaning(item, "ConceptCodeSequence")],
    "NUM": _read_number,
    "PNAME": lambda item: [format_name(get_text(item, "PersonName"))],
    "DATE": lambda item: [format_date(get_text(item, "Date"))],
    "TIME": lambda item: [format_time(get_text(item, "Time"))],
    "DATETIME": lambda item: [format_date_time(get_text(item, "DateTime"))],
    "UIDREF": lambda item: [get_text(item, "UID")],
    "SCOORD": _read_coordinates,
    "SCOORD3D": _read_coordinates,
    "TCOORD": _read_times,
    "IMAGE": lambda _: [],
    "COMPOSITE": lambda _: [],
    "WAVEFORM": lambda _: [],
}
