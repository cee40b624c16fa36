"""Kept metadata over real archives: used as long as nothing has changed there, and never after."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import aiohttp
import pytest
from pydicom import Dataset

from gateway.config import BackendSettings, CacheSettings
from tests.support.peers import LOOPBACK, DcmqrscpPeer, MoveDestination, OrthancPeer, Peer, find_free_port
from tests.support.running_gateway import RunningGateway, make_settings
from tests.support.small_archive import encode_file, make_instance
from tests.support.uploads import multipart, multipart_type
from tests.support.wado import Answer, fetch

ROOT = "1.2.826.0.1.3680043.8.498.77"
KINDS = ("orthanc", "dcmqrscp")
JSON, XML = "application/dicom+json", 'multipart/related; type="application/dicom+xml"'
INSTANCES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
by_kind = pytest.mark.parametrize("kind", KINDS)


def make_slice(study: str, number: int, name: str = "Test^Before") -> Dataset:
    """One instance of series 1 of a study."""
    ct = make_instance(f"{study}.1.{number}", PatientName=name, PatientID="P", StudyID="1", Modality="CT")
    ct.StudyDate, ct.StudyTime, ct.AccessionNumber, ct.SeriesNumber = "20240101", "101500", "A", 1
    ct.SamplesPerPixel, ct.PhotometricInterpretation, ct.Rows, ct.Columns = 1, "MONOCHROME2", 8, 8
    ct.BitsAllocated = ct.BitsStored = 16
    ct.HighBit, ct.PixelRepresentation, ct.PixelData = 15, 0, bytes(128)
    return ct


@dataclass
class Served:
    """Both archives behind a gateway that validates each time, one that keeps nothing, and one that trusts for long."""

    folder: Path
    peers: dict[str, Peer]
    gateways: dict[str, RunningGateway]
    studies: int = 0

    def make_study(self, kind: str) -> str:
        """A study with one series of two instances; its UID."""
        self.studies += 1
        study = f"{ROOT}.{self.studies}"
        self.store(kind, make_slice(study, 1), make_slice(study, 2))
        return study

    def store(self, kind: str, *instances: Dataset) -> None:
        paths = []
        for instance in instances:
            paths.append(self.folder / f"{instance.SOPInstanceUID}.dcm")
            paths[-1].write_bytes(encode_file(instance))
        assert not self.peers[kind].load(paths).refused

    def url(self, kind: str, way: str, study: str) -> str:
        return f"{self.gateways[way].base_url(kind)}/studies/{study}/series/{study}.1/metadata"

    async def read(self, kind: str, way: str, study: str, accept: str = JSON) -> Answer:
        return await fetch(self.url(kind, way, study), accept)


WAYS = {
    "validating": CacheSettings(fresh_s=0),
    "off": CacheSettings(fresh_s=0, metadata_memory_mib=0),
    "trusting": CacheSettings(fresh_s=3_600),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("kept")
    port = find_free_port()
    destinations = [MoveDestination("GATEWAY", port)]
    with ExitStack() as stack:
        peers: dict[str, Peer] = {
            "orthanc": stack.enter_context(OrthancPeer(folder / "orthanc", move_destinations=destinations)),
            "dcmqrscp": stack.enter_context(DcmqrscpPeer(folder / "dcmqrscp", move_destinations=destinations)),
        }
        backends = {
            kind: BackendSettings(ae_title=peer.ae_title, host=LOOPBACK, port=peer.dicom_port, max_associations=2)
            for kind, peer in peers.items()
        }
        gateways = {}
        for way, cache in WAYS.items():
            settings = make_settings(backends, port if way == "validating" else find_free_port())
            gateways[way] = stack.enter_context(RunningGateway(settings.model_copy(update={"cache": cache})))
        yield Served(folder, peers, gateways)


def models_of(answer: Answer) -> list[dict[str, Any]]:
    assert answer.status == 200
    return sorted(json.loads(answer.body), key=lambda model: str(model["00080018"]["Value"]))


def name_of(model: dict[str, Any]) -> str:
    return str(model["00100010"]["Value"][0]["Alphabetic"])


@by_kind
async def test_the_second_answer_is_kept_and_the_same_as_without_a_cache(served: Served, kind: str) -> None:
    study = served.make_study(kind)
    first = await served.read(kind, "validating", study)
    second = await served.read(kind, "validating", study)
    assert first.headers["ETag"] == second.headers["ETag"] and first.body == second.body
    plain = await served.read(kind, "off", study)
    assert "ETag" not in plain.headers
    address, other = (served.gateways[way].gateway.url for way in ("validating", "off"))
    assert models_of(second) == json.loads(json.dumps(models_of(plain)).replace(other, address))
    xml = [(await served.read(kind, way, study, XML)).parts for way in ("validating", "off")]
    kept, passing = ({part.location: part.body for part in parts} for parts in xml)
    assert kept == {
        location.replace(other, address): body.replace(other.encode(), address.encode())
        for location, body in passing.items()
    }


def add_one(served: Served, kind: str, study: str) -> None:
    served.store(kind, make_slice(study, 3))


def rename_all(served: Served, kind: str, study: str) -> None:
    """The same UIDs, another name: in Orthanc by what a user does there, in dcmqrscp by storing them again."""
    if kind == "dcmqrscp":
        served.store(kind, make_slice(study, 1, "Test^After"), make_slice(study, 2, "Test^After"))
        return
    orthanc = served.peers[kind]
    assert isinstance(orthanc, OrthancPeer)
    for identifier in find_instances(orthanc, study):
        assert orthanc.upload(modify(orthanc, identifier))  # in place of the one before


def modify(orthanc: OrthancPeer, identifier: str) -> bytes:
    """The file of an instance as Orthanc changes it."""
    kept = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    change = {"Replace": {"PatientName": "Test^After"}, "Keep": kept, "Force": True}
    url = f"http://{LOOPBACK}:{orthanc.http_port}/instances/{identifier}/modify"
    with urlopen(Request(url, data=json.dumps(change).encode(), method="POST"), timeout=30) as response:
        return bytes(response.read())


def find_instances(orthanc: OrthancPeer, study: str) -> list[str]:
    found = orthanc.rest("/tools/find", method="POST", body={"Level": "Instance", "Query": {"StudyInstanceUID": study}})
    return sorted(found)


CHANGES: dict[str, Callable[[Served, str, str], None]] = {"added": add_one, "renamed": rename_all}


@by_kind
@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_in_the_archive_is_seen(served: Served, kind: str, change: str) -> None:
    study = served.make_study(kind)
    first = {way: await served.read(kind, way, study) for way in WAYS}
    CHANGES[change](served, kind, study)
    models = models_of(await served.read(kind, "validating", study))
    assert len(models) == (3 if change == "added" else 2)
    assert {name_of(model) for model in models} == {"Test^After" if change == "renamed" else "Test^Before"}
    assert [model["00080018"] for model in models_of(await served.read(kind, "off", study))] == [
        model["00080018"] for model in models
    ]
    trusted = await served.read(kind, "trusting", study)
    assert trusted.body == first["trusting"].body  # not asked, as it was told


async def test_a_deletion_in_the_archive_is_seen(served: Served) -> None:
    study = served.make_study("orthanc")
    orthanc = served.peers["orthanc"]
    assert isinstance(orthanc, OrthancPeer)
    assert len(models_of(await served.read("orthanc", "validating", study))) == 2
    first, second = find_instances(orthanc, study)
    orthanc.rest(f"/instances/{first}", method="DELETE")
    assert len(models_of(await served.read("orthanc", "validating", study))) == 1
    orthanc.rest(f"/instances/{second}", method="DELETE")
    assert (await served.read("orthanc", "validating", study)).status == 404


async def test_what_was_deleted_in_the_archive_is_not_missing_from_instances(served: Served) -> None:
    """The inventory is trusted for an hour here; that it is wrong shows when an instance does not come."""
    study = served.make_study("orthanc")
    orthanc = served.peers["orthanc"]
    assert isinstance(orthanc, OrthancPeer)
    series = served.url("orthanc", "trusting", study).removesuffix("/metadata")
    assert len((await fetch(series, INSTANCES)).parts) == 2
    first, second = find_instances(orthanc, study)
    orthanc.rest(f"/instances/{first}", method="DELETE")
    answer = await fetch(series, INSTANCES)
    assert (answer.status, len(answer.parts)) == (200, 1)
    orthanc.rest(f"/instances/{second}", method="DELETE")
    assert (await fetch(series, INSTANCES)).status == 404


@by_kind
async def test_what_a_client_has_is_told_to_be_unchanged_until_it_is_not(served: Served, kind: str) -> None:
    study = served.make_study(kind)
    url = served.url(kind, "validating", study)
    tag = (await fetch(url, JSON)).headers["ETag"]
    assert (await fetch(url, JSON, known=tag)).status == 304
    add_one(served, kind, study)
    again = await fetch(url, JSON, known=tag)
    assert len(models_of(again)) == 3 and again.headers["ETag"] != tag


@by_kind
async def test_a_store_through_the_gateway_is_seen_at_once(served: Served, kind: str) -> None:
    study = served.make_study(kind)
    assert len(models_of(await served.read(kind, "trusting", study))) == 2
    body = multipart([encode_file(make_slice(study, 3))])
    url = served.gateways["trusting"].base_url(kind) + "/studies"
    async with aiohttp.ClientSession() as client:
        async with client.post(url, data=body, headers={"Content-Type": multipart_type()}) as response:
            assert response.status == 200
    assert len(models_of(await served.read(kind, "trusting", study))) == 3
