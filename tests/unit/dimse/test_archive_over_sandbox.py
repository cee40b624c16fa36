"""One archive as services see it, over the sandbox: an independent implementation of the other side."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.dimse.archive import Archive, RetrieveAbilities, StorageContext
from gateway.dimse.scu.storage import InstanceToStore
from gateway.errors import (
    AssociationAborted,
    AssociationRejected,
    ConnectionLost,
    DimseStatusError,
    DimseTimeout,
    NoAcceptedContext,
)
from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour, Disturbance, Fault, Moment
from tests.support.dimse_operations import Destination, archive_at
from tests.support.scripted_peer import CT_IMAGE_STORAGE

EXPLICIT = "1.2.840.10008.1.2.1"
ALL_IMAGES = {
    "00080052": {"vr": "CS", "Value": ["IMAGE"]},
    "0020000D": {"vr": "UI", "Value": ["1.2.1"]},
    "0020000E": {"vr": "UI", "Value": ["1.2.1.1"]},
    "00080018": {"vr": "UI"},
}
CT_CONTEXTS = (StorageContext(CT_IMAGE_STORAGE, (EXPLICIT,)),)
PAYLOAD = bytes(100_000)


def make_instance(number: int, *, pixels: int = 128) -> Dataset:
    instance = Dataset()
    instance.SOPClassUID = CT_IMAGE_STORAGE
    instance.SOPInstanceUID = f"1.2.1.1.{number}"
    instance.StudyInstanceUID, instance.SeriesInstanceUID = "1.2.1", "1.2.1.1"
    instance.PatientID, instance.PatientName, instance.Modality = "P1", "Test^One", "CT"
    instance.StudyDate, instance.StudyTime, instance.AccessionNumber, instance.StudyID = "20240101", "10", "A", "1"
    instance.SeriesNumber, instance.InstanceNumber = 1, number
    instance.BitsAllocated = 8
    instance.add_new(0x7FE00010, "OB", bytes([number]) * pixels)
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.MediaStorageSOPClassUID = CT_IMAGE_STORAGE
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    return instance


COUNT = 12


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[SandboxArchive]:
    with SandboxArchive(tmp_path / "archive", ae_title="ARCHIVE") as running:
        for number in range(1, COUNT + 1):
            path = tmp_path / f"{number}.dcm"
            make_instance(number, pixels=200_000).save_as(path, enforce_file_format=True)
            running.index.add_file(path)
        yield running


@asynccontextmanager
async def archive_of(sandbox: SandboxArchive, **settings: Any) -> AsyncIterator[Archive]:
    destination = Destination()
    async with archive_at(sandbox.port, destination, **settings) as archive:
        sandbox.add_move_destination("GATEWAY", "127.0.0.1", destination.acceptor.port)
        yield archive
    assert await asyncio.to_thread(sandbox.wait_for, lambda counters: counters.associations_open == 0)


async def read_series(archive: Archive, method: str) -> dict[int, bytes]:
    """Pixel data by instance number."""
    images = {}
    retrieving = archive.get(SERIES, CT_CONTEXTS) if method == "get" else archive.move(SERIES, ())
    async with retrieving as retrieval:
        async for instance in retrieval:
            buffer = io.BytesIO()
            while (piece := await instance.read_piece()) is not None:
                buffer.write(piece)
            buffer.seek(0)
            assert instance.transfer_syntax_uid == EXPLICIT
            data_set = dcmread(buffer, force=True)
            images[int(data_set.InstanceNumber)] = data_set[0x7FE00010].value
        assert retrieval.outcome is not None
        assert retrieval.outcome.delivered == len(images)
    return images


SERIES = {**ALL_IMAGES, "00080052": {"vr": "CS", "Value": ["SERIES"]}}
del SERIES["00080018"]
EXPECTED = {number: bytes([number]) * 200_000 for number in range(1, COUNT + 1)}


class TestSandbox:
    async def test_echo_and_negotiation(self, sandbox: SandboxArchive) -> None:
        async with archive_of(sandbox) as archive:
            await archive.echo()
            assert (await archive.query_capabilities()).relational
            assert await archive.retrieve_abilities() == RetrieveAbilities(True, True)
            assert sandbox.counters.associations_total == 1

    async def test_fifty_searches_at_once_over_four_associations(self, sandbox: SandboxArchive) -> None:
        async with archive_of(sandbox, max_associations=4) as archive:

            async def search() -> int:
                async with archive.find(ALL_IMAGES) as responses:
                    return len([match async for match in responses])

            assert await asyncio.gather(*(search() for _ in range(50))) == [COUNT] * 50
            assert sandbox.counters.associations_total == 4

    @pytest.mark.parametrize("ignores", [False, True])
    async def test_a_search_left_early(self, sandbox: SandboxArchive, ignores: bool) -> None:
        sandbox.behaviour = Behaviour(response_delay_s=0.05, ignore_cancel=ignores)
        async with archive_of(sandbox, cancel_timeout_s=0.2 if ignores else 2) as archive:
            async with archive.find(ALL_IMAGES) as responses:
                assert (await anext(responses)).all_keys_supported
            assert await asyncio.to_thread(sandbox.wait_for, lambda counters: counters.cancels == 1)
            assert archive.pool.idle_count == (0 if ignores else 1)
            sandbox.behaviour = Behaviour()
            async with archive.find(ALL_IMAGES) as responses:
                assert len([match async for match in responses]) == COUNT
            assert sandbox.counters.aborts == (1 if ignores else 0)

    @pytest.mark.parametrize("method", ["get", "move"])
    @pytest.mark.parametrize(
        "behaviour",
        [
            Behaviour(),
            Behaviour(omit_pending_responses=True),
            Behaviour(omit_move_originator=True),
            Behaviour(late_store=True),
        ],
        ids=["well-behaved", "no pendings", "no originator", "late store"],
    )
    async def test_a_series(self, sandbox: SandboxArchive, method: str, behaviour: Behaviour) -> None:
        sandbox.behaviour = behaviour
        async with archive_of(sandbox, move_grace_s=5) as archive:
            assert await read_series(archive, method) == EXPECTED
            assert await read_series(archive, method) == EXPECTED
            assert archive.pool.statistics.opened == 1

    @pytest.mark.parametrize("method", ["get", "move"])
    async def test_left_in_mid_instance(self, sandbox: SandboxArchive, method: str) -> None:
        async with archive_of(sandbox, cancel_timeout_s=5) as archive:
            retrieving = archive.get(SERIES, CT_CONTEXTS) if method == "get" else archive.move(SERIES, ())
            async with retrieving as retrieval:
                await anext(retrieval)
                instance = await anext(retrieval)
                assert await instance.read_piece() is not None
            assert archive.pool.idle_count == 0 and archive.pool.statistics.released == 1, "drained and ended in order"
            assert sandbox.counters.cancels == 1
            assert sandbox.counters.suboperations < COUNT
            assert await read_series(archive, method) == EXPECTED
            assert sandbox.counters.aborts == 0

    @pytest.mark.parametrize("method", ["get", "move"])
    @pytest.mark.parametrize("fault", [Fault.ABORT, Fault.DROP])
    async def test_lost_in_mid_instance(self, sandbox: SandboxArchive, method: str, fault: Fault) -> None:
        sandbox.behaviour = Behaviour(
            disturbance=Disturbance(fault, Moment.WITHIN_SUBOPERATION, count=50_000, suboperation=3)
        )
        async with archive_of(sandbox) as archive:
            with pytest.raises((AssociationAborted, ConnectionLost)):
                await read_series(archive, method)
            assert archive.pool.busy_count == 0
            sandbox.behaviour = Behaviour()
            assert await read_series(archive, method) == EXPECTED

    async def test_a_stall_in_mid_instance(self, sandbox: SandboxArchive) -> None:
        sandbox.behaviour = Behaviour(disturbance=Disturbance(Fault.STALL, Moment.WITHIN_SUBOPERATION, count=50_000))
        async with archive_of(sandbox, silence_timeout_s=0.1, cancel_timeout_s=0.1) as archive:
            with pytest.raises(DimseTimeout):
                await read_series(archive, "get")

    @pytest.mark.parametrize("method", ["get", "move"])
    async def test_failed_suboperations_are_counted(self, sandbox: SandboxArchive, method: str) -> None:
        sandbox.behaviour = Behaviour(failing_suboperations=frozenset({2, 3}))
        async with archive_of(sandbox) as archive:
            retrieving = archive.get(SERIES, CT_CONTEXTS) if method == "get" else archive.move(SERIES, ())
            async with retrieving as retrieval:
                async for _instance in retrieval:
                    pass
                assert retrieval.outcome is not None
                assert (retrieval.outcome.status, retrieval.outcome.failed) == (0xB000, 2)
                assert retrieval.outcome.delivered == retrieval.received == COUNT - 2

    async def test_a_status_before_anything(self, sandbox: SandboxArchive) -> None:
        sandbox.behaviour = Behaviour(find_status=0xA700, retrieve_status=0xA801)
        async with archive_of(sandbox) as archive:
            with pytest.raises(DimseStatusError) as caught:
                async with archive.find(ALL_IMAGES):
                    pytest.fail("answered")
            assert caught.value.status == 0xA700
            async with archive.move(SERIES, ()) as retrieval:
                assert retrieval.outcome is not None
                assert retrieval.outcome.status == 0xA801

    async def test_no_role_for_storage(self, sandbox: SandboxArchive) -> None:
        sandbox.behaviour = Behaviour(refuse_role=True)
        async with archive_of(sandbox) as archive:
            with pytest.raises(NoAcceptedContext) as caught:
                await read_series(archive, "get")
            assert caught.value.result == 0

    async def test_an_archive_with_fewer_associations_than_we_allow_ourselves(self, sandbox: SandboxArchive) -> None:
        sandbox.behaviour = Behaviour(max_associations=2)
        async with archive_of(sandbox, max_associations=2) as archive:

            async def work(number: int) -> None:
                if number % 2:
                    await archive.echo()
                else:
                    async with archive.get(SERIES, CT_CONTEXTS) as retrieval:
                        await anext(retrieval)

            await asyncio.gather(*(work(number) for number in range(12)))
            assert sandbox.counters.associations_rejected == 0

    async def test_rejected(self, sandbox: SandboxArchive) -> None:
        sandbox.behaviour = Behaviour(rejection=(1, 1, 7))
        async with archive_of(sandbox) as archive:
            with pytest.raises(AssociationRejected, match="called AE title"):
                await archive.echo()

    async def test_store_and_find_again(self, sandbox: SandboxArchive) -> None:
        instance = make_instance(99, pixels=1_000_000)
        buffer = io.BytesIO()
        instance.save_as(buffer, implicit_vr=False, little_endian=True)
        raw = buffer.getvalue()
        start = raw.index(b"\x08\x00\x16\x00UI")
        async with archive_of(sandbox) as archive:
            async with archive.store(InstanceToStore(CT_IMAGE_STORAGE, "1.2.1.1.99", EXPLICIT)) as operation:
                for at in range(start, len(raw), 65_537):
                    await operation.write(raw[at : at + 65_537])
                await operation.end()
                assert (await operation.finish()).status == 0
            assert (await read_series(archive, "get"))[99] == bytes([99]) * 1_000_000

    @pytest.mark.parametrize("fault", [Fault.ABORT, Fault.DROP])
    async def test_a_store_cut_short(self, sandbox: SandboxArchive, fault: Fault) -> None:
        sandbox.behaviour = Behaviour(disturbance=Disturbance(fault, Moment.WITHIN_STORE, count=300_000))
        async with archive_of(sandbox) as archive:
            with pytest.raises((AssociationAborted, ConnectionLost)):
                async with archive.store(InstanceToStore(CT_IMAGE_STORAGE, "1.2.9", EXPLICIT)) as operation:
                    for _ in range(200):
                        await operation.write(PAYLOAD)
                    await operation.end()
                    await operation.finish()
            assert archive.pool.busy_count == 0

    async def test_many_things_at_once(self, sandbox: SandboxArchive) -> None:
        """Searches, retrievals both ways, some left early, over few associations: nothing is left behind."""
        async with archive_of(sandbox, max_associations=3, cancel_timeout_s=5, pool_timeout_s=60) as archive:

            async def work(number: int) -> None:
                match number % 4:
                    case 0:
                        await archive.echo()
                    case 1:
                        assert await read_series(archive, "get" if number % 8 == 1 else "move") == EXPECTED
                    case 2:
                        async with archive.move(SERIES, ()) as retrieval:
                            await anext(retrieval)
                    case 3:
                        async with archive.find(ALL_IMAGES) as responses:
                            await anext(responses)

            await asyncio.gather(*(work(number) for number in range(24)))
            assert archive.pool.busy_count == 0
            assert sandbox.counters.associations_rejected == 0
