"""Instances and frames of real archives in transfer syntaxes that they do not deliver."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import DecodeError, ImagingFailed, NotAcceptable
from gateway.imaging.conversion import convert_frame, plan_conversion
from gateway.imaging.decode import DECODABLE
from gateway.imaging.description import describe_image
from gateway.resources import is_valid_uid
from tests.interop.conftest import Served
from tests.interop.test_retrieve_parts import can_be_had
from tests.support.archive_contents import StoredInstance
from tests.support.converting import read_frames
from tests.support.reference_decoders import extract_frames
from tests.support.wado import fetch, split_file

pytestmark = pytest.mark.peer

OCTETS = f'multipart/related; type="application/octet-stream"; transfer-syntax={EXPLICIT_VR_LE}'
FILES = 'multipart/related; type="application/dicom"; transfer-syntax={}'
RLE, JPEG_LS, JPEG_2000, HTJ2K = (f"1.2.840.10008.1.2.{suffix}" for suffix in ("5", "4.80", "4.90", "4.201"))
AT_ONCE = 4


async def gather(tasks: Iterable[Any]) -> list[Any]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(task: Any) -> Any:
        async with gate:
            return await task

    return await asyncio.gather(*map(one, tasks))


def is_compressed(stored: StoredInstance) -> bool:
    syntax = get_transfer_syntax(stored.transfer_syntax)
    if not syntax.encapsulated or syntax.video or syntax.uid not in DECODABLE:
        return False
    return is_valid_uid(stored.study) and "Rows" in stored.read()


def decode(stored: StoredInstance) -> list[bytes] | int:
    """The native frames as they are decoded here, which `test_decode` compares with others; or a status."""
    try:
        source = describe_image(stored.read(), stored.transfer_syntax)
        target = plan_conversion(source, EXPLICIT_VR_LE)
        frames = extract_frames(stored.data_set, stored.transfer_syntax)
        return [convert_frame(source, target, frame).data for frame in frames]
    except NotAcceptable:
        return 406
    except (DecodeError, ImagingFailed):
        return 502


@pytest.mark.parametrize(("kind", "every"), [("sandbox", 1), ("dcmany", 12)])
async def test_compressed_frames_are_given_native(served: Served, kind: str, every: int) -> None:
    """Archives that hold every syntax, and convert none."""
    url = served.url(kind, "c-get")
    images = [stored for stored in served.archives[kind].contents.values() if is_compressed(stored)][::every]

    async def compare(stored: StoredInstance) -> str | None:
        expected = decode(stored)
        count = len(expected) if isinstance(expected, list) else 1
        numbers = sorted({1, count})
        answer = await fetch(f"{url}{stored.path}/frames/{','.join(map(str, numbers))}", OCTETS)
        if isinstance(expected, int):
            return None if answer.status == expected else f"{answer.status}, not {expected}"
        if answer.status != 200:
            return f"{answer.status} {answer.body[:200]!r}"
        found = [part.body for part in answer.parts]
        return None if found == [expected[number - 1] for number in numbers] else "differs"

    verdicts = await gather(compare(stored) for stored in images)
    named = zip(images, verdicts, strict=True)
    assert {stored.path: (stored.transfer_syntax, verdict) for stored, verdict in named if verdict} == {}
    assert len({stored.transfer_syntax for stored in images}) >= 4


def is_plain_image(stored: StoredInstance) -> bool:
    """Native, of whole bytes, and read by pydicom without further ado."""
    syntax = get_transfer_syntax(stored.transfer_syntax)
    if not syntax.is_uncompressed:
        return False
    data_set = stored.read()
    if "PixelData" not in data_set or data_set.get("BitsAllocated") not in (8, 16):
        return False
    try:
        return data_set.pixel_array.size < 1_000_000
    except Exception:
        return False


@pytest.mark.parametrize(
    ("kind", "method", "syntax"),
    [
        *(("sandbox", "c-get", syntax) for syntax in (RLE, JPEG_LS, JPEG_2000, HTJ2K)),
        ("dcmany", "c-get", JPEG_2000),
        ("dcmqrscp", "c-move", RLE),
        ("orthanc", "c-get", HTJ2K),
    ],
)
async def test_native_instances_are_given_compressed(served: Served, kind: str, method: str, syntax: str) -> None:
    url = served.url(kind, method)
    images = [stored for stored in can_be_had(served.archives[kind], method) if is_plain_image(stored)][::7]

    async def compare(stored: StoredInstance) -> str | None:
        answer = await fetch(url + stored.path, FILES.format(syntax))
        if answer.status != 200:
            return f"{answer.status} {answer.body[:200]!r}"
        (part,) = answer.parts
        uid, data_set = split_file(part.body)
        if (uid, part.transfer_syntax) != (syntax, syntax):
            return f"is {uid}"
        head, frames = read_frames(data_set, syntax)
        before = stored.read()
        if head.SOPInstanceUID != before.SOPInstanceUID or head.get("PatientName") != before.get("PatientName"):
            return "other attributes"
        before.pixel_array_options(raw=True)  # as it is: pydicom makes RGB of YBR otherwise
        expected = before.pixel_array.reshape(len(frames), *frames[0].shape)
        return None if np.array_equal(np.stack(frames), expected) else "other pixels"

    verdicts = await gather(compare(stored) for stored in images)
    assert {stored.path: verdict for stored, verdict in zip(images, verdicts, strict=True) if verdict} == {}
    assert len(images) >= 10


async def test_what_has_no_pixels_is_given_in_any_syntax(served: Served) -> None:
    """What has no pixel data says the same in every syntax."""
    url, held = served.url("sandbox", "c-get"), served.archives["sandbox"].contents.values()
    stored = next(it for it in held if "PixelData" not in it.read() and it.transfer_syntax == EXPLICIT_VR_LE)
    answer = await fetch(url + stored.path, FILES.format(JPEG_2000))
    assert answer.status == 200
    (part,) = answer.parts
    found = dcmread(BytesIO(part.body))
    assert found.file_meta.TransferSyntaxUID == JPEG_2000
    assert list(found) == list(dcmread(BytesIO(stored.content)))
