"""Probing C-FIND: what was negotiated, whether small queries answer, and which instance to try retrieving.

The queries go down the levels as a retrieval does. They ask for UIDs and counts alone, begin with the latest
studies, so that a large archive need not list everything, and stop after a few matches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from gateway.codecs.dicom_json import read_data_set
from gateway.dimse.archive import Archive, Identifier
from gateway.errors import BackendError, DimseStatusError, UnknownResource
from gateway.probes.diagnosis import diagnose, state_error
from gateway.probes.findings import Finding, Result
from gateway.resources import ResourcePath, is_valid_uid
from gateway.services.retrieve.inventories.queries import take_inventory

__all__ = ["Sample", "probe_find"]

DAYS_BACK = (1, 30, 0)
"""Study dates asked for, one after the other until something matches; 0 for any."""

MATCHES_TAKEN = 20
CANDIDATES = 3
"""Studies, and series of each, that are looked into for an instance; the smallest of the matches taken."""

_STUDY_UID, _SERIES_UID = "0020000D", "0020000E"
_STUDY_COUNT, _SERIES_COUNT = "00201208", "00201209"
_STUDY_DATE, _MODALITY, _LEVEL = "00080020", "00080060", "00080052"
_UNKNOWN_COUNT = 1_000_000
_OPTIONS = ("relational", "combined_datetime", "fuzzy", "timezone")


@dataclass(frozen=True, slots=True)
class Sample:
    """An instance that C-FIND has shown, to try retrieving; `classes` are those it may be of."""

    path: ResourcePath
    classes: tuple[str, ...]
    transfer_syntax_uid: str

    @property
    def identifier(self) -> Identifier:
        """Asks for this one instance (PS3.4 §C.4.2.1.4)."""
        uids = ((_STUDY_UID, self.path.study), (_SERIES_UID, self.path.series), ("00080018", self.path.instance))
        return {_LEVEL: _level("IMAGE")} | {tag: {"vr": "UI", "Value": [uid]} for tag, uid in uids}


async def probe_find(archive: Archive) -> tuple[Finding, Sample | None]:
    """Whether C-FIND Study Root works, and an instance to try, None if there is none.

    Raises nothing of the archive's: that is the finding.
    """
    negotiated = await archive.query_capabilities(fuzzy=True)
    options = {option: getattr(negotiated, option) for option in _OPTIONS}
    try:
        studies = await _find_studies(archive)
    except BackendError as error:
        return diagnose(error, _hint_at_search(error)), None
    words = _describe_options(archive, options)
    facts = {"options": options, "has_studies": bool(studies)}
    if not studies:
        return Finding(Result.WORKS, f"answers, without any study; {words}", "", facts), None
    try:
        sample = await _find_sample(archive, studies)
    except BackendError as error:
        text = f"finds studies, but not what is in them: {state_error(error)}"
        return Finding(Result.FAILS, text, _hint_at_search(error), facts), None
    return Finding(Result.WORKS, f"finds studies, series and instances; {words}", "", facts), sample


def _describe_options(archive: Archive, options: dict[str, bool]) -> str:
    if not archive.settings.extended_negotiation_bytes:
        return "no options asked for"
    agreed = [option.replace("_", " ") for option, is_agreed in options.items() if is_agreed]
    return f"options agreed: {', '.join(agreed) or 'none'}"


def _hint_at_search(error: BackendError) -> str:
    if isinstance(error, DimseStatusError):
        return "the archive's log says why; is our AE title allowed to query?"
    return ""


async def _find_studies(archive: Archive) -> list[str]:
    """The UIDs of a few studies, small ones first.

    Raises
    ------
    BackendError
        No query was answered; one that an archive refuses as too broad does not matter if another was.
    """
    answered, refusal = False, None
    for keys in _iter_study_keys(date.today()):
        try:
            studies = await _list_smallest(archive, keys, _STUDY_UID, _STUDY_COUNT)
        except DimseStatusError as error:
            refusal = error
            continue
        if studies:
            return studies
        answered = True
    if refusal is not None and not answered:
        raise refusal
    return []


def _iter_study_keys(today: date) -> Iterator[Identifier]:
    for days in DAYS_BACK:
        dates = {"Value": [f"{today - timedelta(days):%Y%m%d}-"]} if days else {}
        yield {
            _LEVEL: _level("STUDY"),
            _STUDY_UID: {"vr": "UI"},
            _STUDY_COUNT: {"vr": "IS"},
            _STUDY_DATE: {"vr": "DA", **dates},
        }


async def _find_sample(archive: Archive, studies: list[str]) -> Sample | None:
    """The first instance that is not known to be offline, in a small series of a small study."""
    for study in studies[:CANDIDATES]:
        keys = {
            _LEVEL: _level("SERIES"),
            _STUDY_UID: {"vr": "UI", "Value": [study]},
            _SERIES_UID: {"vr": "UI"},
            _SERIES_COUNT: {"vr": "IS"},
            _MODALITY: {"vr": "CS"},
        }
        for series in (await _list_smallest(archive, keys, _SERIES_UID, _SERIES_COUNT))[:CANDIDATES]:
            if (sample := await _choose_instance(archive, ResourcePath(study, series))) is not None:
                return sample
    return None


async def _choose_instance(archive: Archive, series: ResourcePath) -> Sample | None:
    try:
        inventory = await take_inventory(archive, series)
    except UnknownResource:
        return None
    for uid, held in inventory.instances.items():
        if not held.is_unavailable:
            return Sample(held.path, inventory.list_classes([uid]), held.transfer_syntax_uid)
    return None


async def _list_smallest(archive: Archive, keys: Identifier, uid_tag: str, count_tag: str) -> list[str]:
    """The UIDs of the first matches, those with the smallest count first."""
    counts: dict[str, int] = {}
    async with archive.find(keys) as matches:
        async for match in matches:
            model = read_data_set(match.data, match.transfer_syntax, "ISO_IR 6")
            uid = str(_first(model, uid_tag))
            if is_valid_uid(uid):
                counts[uid] = _read_count(_first(model, count_tag))
            if len(counts) >= MATCHES_TAKEN:
                break
    return sorted(counts, key=counts.__getitem__)


def _read_count(value: Any) -> int:
    return int(value) if str(value).isdigit() else _UNKNOWN_COUNT


def _level(name: str) -> dict[str, Any]:
    return {"vr": "CS", "Value": [name]}


def _first(model: dict[str, Any], tag: str) -> Any:
    return (model.get(tag, {}).get("Value") or [""])[0]
