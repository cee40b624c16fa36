"""The search against archives: Orthanc, which knows counts, dcmqrscp, which leaves them out, and the sandbox.

The first two take no relational queries, so searches across studies are walks; the sandbox is asked both ways.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

from gateway.config import BackendSettings, SearchSettings
from gateway.dimse.archive import Archive
from gateway.dimse.move_routing import MoveRegistry
from gateway.resources import Level
from gateway.sandbox.archive import SandboxArchive
from gateway.sandbox.behaviour import Behaviour
from gateway.services.contracts import SearchRequest
from gateway.services.search.keys import REQUIRED_TAGS
from gateway.services.search.service import MORE_RESULTS, UNSUPPORTED, ArchiveSearch
from gateway.tasks import running_tasks
from tests.support.peers import LOOPBACK, DcmqrscpPeer, OrthancPeer

pytestmark = pytest.mark.peer

STUDY, SERIES, IMAGE = Level.STUDY, Level.SERIES, Level.IMAGE
ROOT = "1.2.826.0.1.3680043.8.498.1"
STUDIES = {  # number → name, character set, date, time, modalities of its series
    1: ("Doe^Anna", "ISO_IR 6", "20200101", "090000", ("CT", "MR")),
    2: ("Müller^Bernd", "ISO_IR 100", "20200102", "120000", ("CT",)),
    3: ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192", "20200103", "200000", ("MR", "MR")),
}
INSTANCES = 3
CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage}


def write_instances(folder: Path) -> list[Path]:
    paths = []
    for study, (name, character_set, date, time, modalities) in STUDIES.items():
        for series, modality in enumerate(modalities, 1):
            for number in range(1, INSTANCES + 1):
                data_set = Dataset()
                data_set.SpecificCharacterSet = character_set
                data_set.SOPClassUID, data_set.SOPInstanceUID = CLASSES[modality], f"{ROOT}.{study}.{series}.{number}"
                data_set.StudyInstanceUID, data_set.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.{series}"
                data_set.PatientName, data_set.PatientID = name, f"P{study}"
                data_set.StudyDate, data_set.StudyTime, data_set.StudyID = date, time, str(study)
                data_set.AccessionNumber, data_set.Modality = f"A{study}", modality
                data_set.SeriesNumber, data_set.InstanceNumber = series, number
                data_set.file_meta = FileMetaDataset()
                data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
                paths.append(folder / f"{study}-{series}-{number}.dcm")
                data_set.save_as(paths[-1], enforce_file_format=True)
    return paths


@dataclass(frozen=True)
class Running:
    """An archive that holds the studies."""

    kind: str
    ae_title: str
    port: int


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp", "relational sandbox", "hierarchical sandbox"])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("search")
    paths = write_instances(folder)
    if request.param.endswith("sandbox"):
        refuses = request.param.startswith("hierarchical")
        behaviour = Behaviour(refuse_relational=refuses, refuse_combined_datetime=refuses, refuse_fuzzy=True)
        with SandboxArchive(folder / "sandbox", behaviour=behaviour) as sandbox:
            assert sandbox.load(folder) == len(paths)
            yield Running(request.param, sandbox.ae_title, sandbox.port)
        return
    with {"orthanc": OrthancPeer, "dcmqrscp": DcmqrscpPeer}[request.param](folder / "peer") as started:
        assert len(started.load(paths).stored) == len(paths)
        yield Running(request.param, started.ae_title, started.dicom_port)


@asynccontextmanager
async def open_archive(peer: Running, **settings: Any) -> AsyncIterator[Archive]:
    backend = BackendSettings(ae_title=peer.ae_title, host=LOOPBACK, port=peer.port, **settings)
    archive = Archive("main", backend, ae_title="GATEWAY", registry=MoveRegistry())
    try:
        yield archive
    finally:
        await archive.pool.close()


async def search(
    archive: Archive, level: Level, query: str = "", study: int | None = None, series: int | None = None
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    path = (None if study is None else f"{ROOT}.{study}", None if series is None else f"{ROOT}.{study}.{series}")
    request = SearchRequest(level, query, "http://h/dw", *path)
    async with ArchiveSearch(archive, SearchSettings()).search(request) as results:
        found = [result async for result in results]
    assert running_tasks() == []
    return found, results.warnings


def uids(results: list[dict[str, Any]], level: Level) -> set[str]:
    tag = {STUDY: "0020000D", SERIES: "0020000E", IMAGE: "00080018"}[level]
    found = [result[tag]["Value"][0].removeprefix(f"{ROOT}.") for result in results]
    assert len(found) == len(set(found))
    return set(found)


def below(*series: str) -> set[str]:
    return {f"{name}.{number}" for name in series for number in range(1, INSTANCES + 1)}


CASES = [
    (STUDY, "", {"1", "2", "3"}),
    (STUDY, "PatientID=P2", {"2"}),
    (STUDY, "00100010=Doe*", {"1"}),
    (STUDY, "StudyDate=20200102-", {"2", "3"}),
    (STUDY, "StudyDate=20200101-20200103&StudyTime=1000-1900", {"2"}),
    (STUDY, "ModalitiesInStudy=CT", {"1", "2"}),
    (STUDY, "ModalitiesInStudy=CT%2CMR", {"1", "2", "3"}),
    (STUDY, f"StudyInstanceUID={ROOT}.1%5C{ROOT}.3", {"1", "3"}),
    (STUDY, "PatientID=nobody", set()),
    (SERIES, "", {"1.1", "1.2", "2.1", "3.1", "3.2"}),
    (SERIES, "Modality=MR", {"1.2", "3.1", "3.2"}),
    (SERIES, f"0020000E={ROOT}.3.2", {"3.2"}),
    (IMAGE, "", below("1.1", "1.2", "2.1", "3.1", "3.2")),
    (IMAGE, "PatientID=P1&Modality=CT", below("1.1")),
    (IMAGE, f"SOPInstanceUID={ROOT}.3.1.2", {"3.1.2"}),
]


@pytest.mark.parametrize("max_associations", [1, 8])
@pytest.mark.parametrize(("level", "query", "expected"), CASES)
async def test_searches(peer: Running, level: Level, query: str, expected: set[str], max_associations: int) -> None:
    async with open_archive(peer, max_associations=max_associations) as archive:
        results, warnings = await search(archive, level, query)
    assert uids(results, level) == expected and warnings == ()
    tables = {STUDY: (STUDY,), SERIES: (STUDY, SERIES), IMAGE: (STUDY, SERIES, IMAGE)}[level]
    required = {tag for table in tables for tag in REQUIRED_TAGS[table]}
    assert all(required <= set(result) for result in results)


async def test_counts_and_modalities_are_there_whoever_computes_them(peer: Running) -> None:
    async with open_archive(peer) as archive:
        studies, _ = await search(archive, STUDY)
        series, _ = await search(archive, SERIES, study=1)
    counts = {
        study["00200010"]["Value"][0].strip(): (
            sorted(study["00080061"]["Value"]),
            study["00201206"]["Value"],
            study["00201208"]["Value"],
        )
        for study in studies
    }
    assert counts == {
        "1": (["CT", "MR"], [2], [2 * INSTANCES]),
        "2": (["CT"], [1], [INSTANCES]),
        "3": (["MR"], [2], [2 * INSTANCES]),
    }
    assert [one["00201209"]["Value"] for one in series] == [[INSTANCES]] * 2


async def test_names_leave_as_unicode_whatever_they_were_stored_in(peer: Running) -> None:
    async with open_archive(peer) as archive:
        results, _ = await search(archive, STUDY)
    names = {result["00100020"]["Value"][0]: result["00100010"]["Value"][0] for result in results}
    assert names == {
        "P1": {"Alphabetic": "Doe^Anna"},
        "P2": {"Alphabetic": "Müller^Bernd"},
        "P3": {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"},
    }


@pytest.mark.parametrize(
    ("level", "study", "series", "expected"),
    [
        (SERIES, 3, None, {"3.1", "3.2"}),
        (IMAGE, 3, None, below("3.1", "3.2")),
        (IMAGE, 3, 1, below("3.1")),
    ],
)
async def test_below_a_study_with_its_patient(
    peer: Running, level: Level, study: int, series: int | None, expected: set[str]
) -> None:
    async with open_archive(peer) as archive:
        results, _ = await search(archive, level, "includefield=PatientID", study, series)
    assert uids(results, level) == expected
    assert all(result["00100020"]["Value"] == [f"P{study}"] for result in results)


@pytest.mark.parametrize("level", [STUDY, SERIES, IMAGE])
async def test_pages_and_cancelled_queries_leave_the_association_usable(peer: Running, level: Level) -> None:
    async with open_archive(peer, max_associations=1) as archive:
        everything = uids((await search(archive, level))[0], level)
        found: set[str] = set()
        for offset in range(len(everything)):
            results, warnings = await search(archive, level, f"limit=1&offset={offset}")
            assert warnings == ((MORE_RESULTS,) if offset + 1 < len(everything) else ())
            found |= uids(results, level)
        assert (await search(archive, level, f"limit=1&offset={len(everything)}")) == ([], ())
    assert found == everything


async def test_relational_queries_are_negotiated(peer: Running) -> None:
    async with open_archive(peer) as archive:
        assert (await archive.query_capabilities()).relational is (peer.kind == "relational sandbox")


async def test_what_dcmqrscp_knows_nothing_of_is_told(peer: Running) -> None:
    async with open_archive(peer) as archive:
        _, warnings = await search(archive, IMAGE, f"SOPClassUID={CTImageStorage}", 1, 1)
    expected = (f"{UNSUPPORTED}: SOPClassUID",) if peer.kind == "dcmqrscp" else ()
    assert warnings == expected
