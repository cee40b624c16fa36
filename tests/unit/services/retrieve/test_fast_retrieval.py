"""Retrievals that begin early, stop early or ask nothing: the same bytes and documents as the plain ones."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.codecs.frames import FrameChunk, FrameStart
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.dimse.association_cost import AssociationCost
from gateway.errors import GatewayError
from gateway.resources import ResourcePath
from gateway.sandbox import Behaviour
from gateway.services.retrieve.pixels.pixel_stream import PixelDataService
from gateway.services.retrieve.service import RetrieveService
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand
from tests.support.fake_archive import instance
from tests.support.metadata_site import MetadataSite
from tests.support.retrieve_site import open_site, take
from tests.unit.sandbox.conftest import CT, MR, make_instance, save

# --- early stop ---

RLE = "1.2.840.10008.1.2.5"
PATH = ResourcePath("1.2.5", "1.2.5.1", "1.2.5.1.1")


class InMemory:
    """A retrieval of one instance that arrives in pieces of one size; what is cut off arrives no more."""

    expected, unavailable = 1, ()

    def __init__(self, transfer_syntax_uid: str, data: bytes, size: int) -> None:
        self._pieces = [data[start : start + size] for start in range(0, len(data), size)]
        self.transfer_syntax_uid, self.path, self.sop_class_uid = transfer_syntax_uid, PATH, CT
        self.read_bytes = 0
        self.is_cut = False

    async def read_piece(self) -> bytes | None:
        assert not self.is_cut
        if not self._pieces:
            return None
        self.read_bytes += len(self._pieces[0])
        return self._pieces.pop(0)

    def cut(self) -> None:
        self.is_cut = True

    def __aiter__(self) -> AsyncIterator[InMemory]:
        async def iterate() -> AsyncIterator[InMemory]:
            yield self

        return iterate()


async def fetch_frames(source: InMemory, wanted: Sequence[int], break_even: int) -> dict[int, bytes]:
    """The frames that a service finds where reading on is cheaper up to `break_even` bytes."""

    class Cost(AssociationCost):
        break_even_bytes = break_even  # type: ignore[assignment]

    @asynccontextmanager
    async def open_instances(path: ResourcePath, demand: TransferDemand) -> AsyncIterator[InMemory]:
        yield source

    @asynccontextmanager
    async def open_no_extract(*_: object) -> AsyncIterator[None]:
        yield None

    retrieve = SimpleNamespace(
        open_instances=open_instances,
        association_cost=Cost(),
        partial=SimpleNamespace(open_frames=open_no_extract),
    )
    found: dict[int, bytes] = {}
    number = 0
    async with PixelDataService(cast(RetrieveService, retrieve)).open_frames(PATH, wanted, AS_STORED) as stream:
        async for event in stream:
            if isinstance(event, FrameStart):
                number = event.number
                found[number] = b""
            elif isinstance(event, FrameChunk):
                found[number] += bytes(event.data)
    return found


def encode(data_set: Dataset, transfer_syntax_uid: str, frames: list[bytes]) -> bytes:
    if transfer_syntax_uid == RLE:
        data_set.PixelData = encapsulate(frames)
        data_set["PixelData"].VR = "OB"
        data_set["PixelData"].is_undefined_length = True
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, data_set)
    return file.getvalue()


@pytest.mark.parametrize("transfer_syntax_uid", [EXPLICIT_VR_LE, RLE])
@given(
    st.integers(1, 12).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(1, count), min_size=1))),
    st.sampled_from([0, 100, 400, 1 << 63]),
    st.sampled_from([1, 7, 128, 1_000, 100_000]),
    st.booleans(),
)
def test_frames_are_the_same_wherever_reading_stops(
    transfer_syntax_uid: str, chosen: tuple[int, set[int]], break_even: int, size: int, has_trailer: bool
) -> None:
    count, wanted = chosen
    frames = [bytes([number]) * 128 for number in range(1, count + 1)]
    data_set = make_instance("1.2.5.1.1", NumberOfFrames=count, PixelData=b"".join(frames))
    if has_trailer:
        data_set.add_new(0xFFFCFFFC, "OB", bytes(2_000))
    data = encode(data_set, transfer_syntax_uid, frames)
    source = InMemory(transfer_syntax_uid, data, size)
    found = asyncio.run(fetch_frames(source, sorted(wanted), break_even))
    assert found == {number: frames[number - 1] for number in wanted}
    if break_even == 1 << 63:
        assert not source.is_cut and source.read_bytes == len(data)
    elif source.is_cut:
        assert source.read_bytes < len(data) + size


# --- retrievals that begin before the inventory is known ---

HABITS = st.sampled_from(
    [
        Behaviour(),
        Behaviour(omit_optional_keys=True),
        Behaviour(omit_pending_responses=True),
        Behaviour(refuse_relational=True),
        Behaviour(failing_suboperations=frozenset({2})),
    ]
)
LAYOUTS = st.lists(st.tuples(st.sampled_from([(CT, "CT"), (MR, "MR")]), st.integers(1, 3)), min_size=1, max_size=3)


@pytest.mark.parametrize("method", ["c-get", "c-move"])
@settings(max_examples=6, deadline=None)
@given(LAYOUTS, HABITS)
def test_begun_early_or_after_the_inventory_everything_comes_as_it_is_held(
    method: str, layout: list[tuple[tuple[str, str], int]], behaviour: Behaviour
) -> None:
    """Nothing begins early with one association; with several, the second retrieval does, since classes are known."""

    async def run(folder: Path, associations: int) -> tuple[list[dict[str, bytes]], dict[str, bytes]]:
        held: dict[str, bytes] = {}
        async with open_site(folder, behaviour, retrieve=method, max_associations=associations) as site:
            for series, ((sop_class, modality), count) in enumerate(layout, 1):
                for number in range(1, count + 1):
                    made = make_instance(f"1.2.3.{series}.{number}", SOPClassUID=sop_class, Modality=modality)
                    path = save(made, folder / "more")
                    site.sandbox.index.add_file(path)
                    held[str(made.SOPInstanceUID)] = path.read_bytes()
            taken = [(await take(site, ResourcePath("1.2.3"))).data_sets for _ in range(3)]
            taken.append((await take(site, ResourcePath("1.2.3", "1.2.3.1"))).data_sets)
            await site.check_clean()
        return taken, held

    with tempfile.TemporaryDirectory() as folder:
        (plain, held), (early, _) = (asyncio.run(run(Path(folder) / str(count), count)) for count in (1, 8))
    assert early == plain
    assert plain[:3] == [plain[0]] * 3 and set(plain[0]) == set(held)
    assert all(held[uid].endswith(data_set) and data_set for uid, data_set in plain[0].items())
    assert plain[3] == {uid: data for uid, data in plain[0].items() if uid.startswith("1.2.3.1.")}


# --- what is kept ---

STUDY, SERIES, INSTANCE = ResourcePath("1"), ResourcePath("1", "1.2"), ResourcePath("1", "1.2", "1.2.2")


def add(site: MetadataSite, number: int) -> None:
    uid = f"1.2.{10 + number}"
    if all(model["00080018"]["Value"] != [uid] for model in site.archive.instances):
        site.archive.instances.append(instance("1", "1.2", uid, PatientName="Test^Before"))


def remove(site: MetadataSite, number: int) -> None:
    if site.archive.instances:
        del site.archive.instances[number % len(site.archive.instances)]


def rename(site: MetadataSite, number: int) -> None:
    site.rename(f"Test^{number}")


def describe(site: MetadataSite, number: int) -> None:
    for model in site.archive.instances:
        model["0008103E"] = {"vr": "LO", "Value": [f"Series {number}"]}


CHANGES = st.tuples(st.sampled_from([add, remove, rename, describe]), st.integers(0, 3))
READS = st.lists(st.sampled_from([STUDY, SERIES, INSTANCE]), min_size=1, max_size=3)


async def read(site: MetadataSite, path: ResourcePath) -> Any:
    try:
        return await site.read(path)
    except GatewayError as error:
        return type(error)


@settings(max_examples=50)
@given(st.lists(CHANGES | READS, max_size=10), st.booleans())
def test_kept_metadata_is_what_would_be_read_anew(steps: list[Any], tells_counts: bool) -> None:
    """Warm as cold, alone and together, after any changes that the index shows."""

    async def run() -> None:
        site = MetadataSite(fresh_s=0, recheck_s=0)
        if not tells_counts:
            site.leave_out("00201206", "00201208", "00201209")
        for step in steps:
            if isinstance(step, tuple):
                change, number = step
                change(site, number)
                continue
            cold = MetadataSite(fresh_s=0)
            cold.archive.instances[:] = site.archive.instances
            expected = [await read(cold, path) for path in step]
            assert await asyncio.gather(*(read(site, path) for path in step)) == expected
            assert [await read(site, path) for path in step] == expected

    asyncio.run(run())
