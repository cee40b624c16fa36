"""Every stored instance through the gateway, by C-GET and by C-MOVE, from archives that nobody here wrote.

Whole studies are asked for; where one does not come whole, its instances are asked for one by one. What comes is
compared with the archive's own files; what is refused is compared with the table of what each archive cannot send.
"""

from __future__ import annotations

import asyncio
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gateway.codecs.transfer_syntax import UNCOMPRESSED
from gateway.errors import DecodeError
from gateway.resources import is_valid_uid
from tests.interop.conftest import METHODS, Loaded, Served
from tests.support.archive_contents import StoredInstance
from tests.support.encoding import JsonModelBuilder
from tests.support.mixed_series import MIXED_SERIES, MIXED_STUDY
from tests.support.wado import ANY_SYNTAX, BodyPart, fetch, split_file

pytestmark = pytest.mark.peer

KINDS = ("orthanc", "dcmqrscp", "dcmany", "sandbox")
DEFAULT_SYNTAX = 'multipart/related; type="application/dicom"'
AT_ONCE = 4
NEVER_LEAVE = (ImplicitVRLittleEndian, ExplicitVRBigEndian)
"""PS3.18 §8.7.3."""

PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)


async def fetch_studies(
    url: str, studies: dict[str, dict[str, StoredInstance]], accept: str
) -> tuple[dict[str, BodyPart], dict[str, tuple[int, str]]]:
    """Every instance that comes, and status and detail for every one that does not, by resource path."""
    gate = asyncio.Semaphore(AT_ONCE)
    parts: dict[str, BodyPart] = {}
    refused: dict[str, tuple[int, str]] = {}

    async def fetch_one(path: str, wanted: dict[str, StoredInstance]) -> None:
        try:
            async with gate:
                answer = await fetch(url + path, accept)
        except aiohttp.ClientError:  # begun and cut: not all of them can be had
            answer = None
        if answer is not None and answer.status == 200:
            found = {part.location.removeprefix(url): part for part in answer.parts}
            assert found.keys() == wanted.keys() and len(found) == len(answer.parts)
            parts.update(found)
        elif len(wanted) > 1:
            await asyncio.gather(*(fetch_one(path, {path: one}) for path, one in wanted.items()))
        else:
            assert answer is not None, "one instance was begun and not finished"
            refused[next(iter(wanted))] = (answer.status, answer.body.decode())

    await asyncio.gather(*(fetch_one(f"/studies/{uid}", wanted) for uid, wanted in studies.items()))
    return parts, refused


def has_pixels(data_set: Dataset) -> bool:
    return any(tag in data_set for tag in PIXELS)


def plain(data_set: Dataset) -> dict[int, Any]:
    """Values by tag, words little endian, for comparing across encodings; group lengths and padding left out."""
    swaps = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8} if data_set.original_encoding[1] is False else {}
    values = {}
    for element in data_set:
        if element.tag.element == 0:
            continue
        if element.VR == "SQ":
            values[element.tag] = [plain(item) for item in element.value]
            continue
        value = element.value
        if isinstance(value, bytes):
            size = swaps.get(element.VR, 1)
            value = b"".join(value[i : i + size][::-1] for i in range(0, len(value), size)) if size > 1 else value
            value = value.rstrip(b"\0")
        values[element.tag] = value
    return values


def assert_converted(part: BodyPart, stored: StoredInstance) -> None:
    """The same values in Explicit VR LE."""
    syntax, data_set = split_file(part.body)
    assert syntax == ExplicitVRLittleEndian
    whole, model = read_model(stored.data_set, stored.transfer_syntax)
    if whole:
        assert plain(dcmread(BytesIO(part.body))) == plain(stored.read())
    else:  # who converts it, the archive or the gateway, decides how much of the end is there
        assert read_model(data_set, syntax)[1]["00080018"] == model["00080018"]


def read_model(data_set: bytes, syntax: str) -> tuple[bool, dict[str, Any]]:
    builder = JsonModelBuilder(syntax, bulkdata_uri=str)
    try:
        builder.feed(data_set)
        return True, builder.finish()
    except DecodeError:
        return False, builder.salvage()


def assert_same(part: BodyPart, stored: StoredInstance) -> None:
    """What came is what the archive holds: the same bytes, or for what never leaves by HTTP the same values."""
    syntax, data_set = split_file(part.body)
    assert part.transfer_syntax == syntax
    if stored.transfer_syntax in NEVER_LEAVE:
        assert_converted(part, stored)
        return
    assert data_set == stored.inflated
    if stored.transfer_syntax in UNCOMPRESSED:
        # without pixel data, compressed syntaxes are Explicit VR LE by another name (PS3.5 §A.4)
        assert syntax == ExplicitVRLittleEndian or not has_pixels(stored.read())
    else:
        assert syntax == stored.transfer_syntax


def expected_refusal(archive: Loaded, method: str, stored: StoredInstance) -> tuple[int, str] | None:
    """The table of refusals: status and a part of the report, None where the instance must come."""
    if not all(map(is_valid_uid, (stored.study, stored.series, stored.instance))):
        return 400, "not a UID"
    cannot_get, cannot_move = REFUSALS[archive.kind]
    return (cannot_get if method == "c-get" else cannot_move)(stored)


def orthanc_cannot_get(stored: StoredInstance) -> tuple[int, str] | None:
    """Orthanc 1.10 grants the SCP role only for classes that its DCMTK knows, so not for private ones."""
    return (501, "does not let the gateway receive by C-GET") if stored.sop_class.startswith("2.25.") else None


def dcmqrscp_cannot_move(stored: StoredInstance) -> tuple[int, str] | None:
    """As move SCU, DCMTK 3.6.7 proposes its own list of 128 classes at most, in which these are missing."""
    missing = {
        "1.2.840.10008.5.1.4.1.1.30",  # Parametric Map
        "1.2.840.10008.5.1.4.1.1.91.1",  # Microscopy Bulk Simple Annotations
        "1.2.840.10008.5.1.4.1.1.104.3",  # Encapsulated STL
    }
    return (503, "A702") if stored.sop_class in missing else None


def dcmany_cannot_move(stored: StoredInstance) -> tuple[int, str] | None:
    """Its outgoing profile names three compressed transfer syntaxes: 27 classes of four contexts fill the 128."""
    proposed = {*UNCOMPRESSED, *(f"1.2.840.10008.1.2.4.{number}" for number in (50, 70, 90))}
    return (503, "A702") if stored.transfer_syntax not in proposed else None


def cannot_nothing(_: StoredInstance) -> None:
    return None


REFUSALS = {
    "orthanc": (orthanc_cannot_get, cannot_nothing),
    "dcmqrscp": (cannot_nothing, dcmqrscp_cannot_move),
    "dcmany": (cannot_nothing, dcmany_cannot_move),
    "sandbox": (cannot_nothing, cannot_nothing),
}


@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize("kind", KINDS)
async def test_every_stored_instance_comes_as_it_is_stored(served: Served, kind: str, method: str) -> None:
    archive = served.archives[kind]
    parts, refused = await fetch_studies(served.url(kind, method), archive.studies, ANY_SYNTAX)
    expected = {path: expected_refusal(archive, method, stored) for path, stored in archive.contents.items()}
    if method == "auto":  # either way will do, so only what neither can is refused
        by_get = {path: expected_refusal(archive, "c-get", stored) for path, stored in archive.contents.items()}
        by_move = {path: expected_refusal(archive, "c-move", stored) for path, stored in archive.contents.items()}
        expected = {path: by_get[path] and by_move[path] for path in by_get}
    assert {path: status for path, (status, _) in refused.items()} == {
        path: reason[0] for path, reason in expected.items() if reason is not None
    }
    for path, (_, report) in refused.items():
        assert expected[path][1] in report
    assert parts.keys() == {path for path, reason in expected.items() if reason is None}
    for path, part in parts.items():
        assert_same(part, archive.contents[path])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
async def test_native_studies_come_as_explicit_little_endian_by_default(served: Served, kind: str, method: str) -> None:
    archive = served.archives[kind]
    native = {
        uid: study
        for uid, study in archive.studies.items()
        if all(
            stored.transfer_syntax in UNCOMPRESSED and expected_refusal(archive, method, stored) is None
            for stored in study.values()
        )
    }
    chosen = dict(list(native.items())[:: 1 if kind == "sandbox" else 5])
    parts, refused = await fetch_studies(served.url(kind, method), chosen, DEFAULT_SYNTAX)
    assert refused == {} and parts.keys() == {path for study in chosen.values() for path in study}
    for path, part in parts.items():
        syntax, data_set = split_file(part.body)
        stored = archive.contents[path]
        assert part.transfer_syntax == syntax == ExplicitVRLittleEndian
        if stored.transfer_syntax in NEVER_LEAVE:
            assert_converted(part, stored)
        else:
            assert data_set == stored.inflated


@pytest.mark.parametrize("method", [*METHODS, "auto"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_series_in_many_transfer_syntaxes_comes_whole(served: Served, kind: str, method: str) -> None:
    archive = served.archives[kind]
    held = {path: stored for path, stored in archive.contents.items() if stored.series == MIXED_SERIES}
    reasons = [expected_refusal(archive, method, stored) for stored in held.values()]
    url = served.url(kind, method)
    series = f"{url}/studies/{MIXED_STUDY}/series/{MIXED_SERIES}"
    if method != "auto" and any(reasons):
        with pytest.raises(aiohttp.ClientError):  # some came, and it shows that not all did
            await fetch(series)
        return
    answer = await fetch(series)
    assert answer.status == 200
    assert {part.location for part in answer.parts} == {url + path for path in held}
    for part in answer.parts:
        assert_same(part, held[part.location.removeprefix(url)])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_does_not_exist_or_is_no_uid(served: Served, kind: str, method: str) -> None:
    url = served.url(kind, method)
    path, stored = next(
        (path, stored) for path, stored in served.archives[kind].contents.items() if stored.series == MIXED_SERIES
    )
    study, series = f"/studies/{MIXED_STUDY}", f"/studies/{MIXED_STUDY}/series/{MIXED_SERIES}"
    wrong = [
        f"/studies/{MIXED_STUDY}.99",
        f"{study}/series/{MIXED_SERIES}.99",
        f"{series}/instances/{stored.instance}.99",
        f"/studies/{MIXED_STUDY}.99/series/{MIXED_SERIES}",
        path.replace(f"/studies/{MIXED_STUDY}/", f"/studies/{MIXED_STUDY}.99/"),
        path.replace(f"/series/{MIXED_SERIES}/", f"/series/{MIXED_SERIES}.99/"),
    ]
    statuses = {path: (await fetch(url + path)).status for path in wrong}
    assert statuses == dict.fromkeys(wrong, 404)
    bad = [f"/studies/{MIXED_STUDY}..1", f"{study}/series/abc", f"{series}/instances/{'1' * 65}"]
    assert {path: (await fetch(url + path)).status for path in bad} == dict.fromkeys(bad, 400)
