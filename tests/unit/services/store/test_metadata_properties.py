"""Any data set, taken apart into metadata and bulk parts in any order, is stored as it was; any cut of it is not."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID

from gateway.errors import MalformedBody
from tests.support.metadata_uploads import JSON, XML, Bulk, Upload, data_elements, read_stored, split_off_bulk
from tests.support.uploads import CT, STUDY, sop_uid
from tests.unit.services.store.test_metadata_request import Seen, read

CREATOR, BLOCK = "PROPERTIES", 0x0029
SYNTAXES = [  # media type of a frame, transfer syntax
    ("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.50"),
    ("image/jp2", "1.2.840.10008.1.2.4.90"),
    ("image/dicom-rle", "1.2.840.10008.1.2.5"),
]


def texts(most: int, *, ascii_only: bool = False) -> st.SearchStrategy[str]:
    """Text without delimiters, and without blanks at the ends."""
    alphabet = "ABCabc019 _-" if ascii_only else "ABCabc 019.,;:<>&\"'äöüßéЖ山田太郎ก"
    return st.text(alphabet, min_size=1, max_size=most).map(str.strip).filter(bool)


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(values, max_size=3).map(lambda found: found[0] if len(found) == 1 else found or None)


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[Any]:
    low = -(2 ** (bits - 1)) if signed else 0
    return several(st.integers(low, low + 2**bits - 1))


def words(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=600).map(lambda data: data[: len(data) // size * size])


NAMES = st.lists(texts(8), min_size=1, max_size=3).map("^".join)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "AE": several(texts(16, ascii_only=True)),
    "AS": several(st.from_regex(r"[0-9]{3}[DWMY]", fullmatch=True)),
    "AT": several(st.integers(0x00080000, 0x7FE00010)),
    "CS": several(texts(16, ascii_only=True)),
    "DA": several(st.dates().map(lambda day: f"{day.year:04d}{day.month:02d}{day.day:02d}")),
    "DS": several(st.decimals(-9999, 9999, places=3).map(str)),
    "DT": several(st.datetimes().map(lambda time: f"{time.year:04d}{time.month:02d}{time.day:02d}120000.5+0100")),
    "FD": several(st.floats(allow_nan=False, allow_infinity=False)),
    "FL": several(st.floats(width=32, allow_nan=False, allow_infinity=False)),
    "IS": several(st.integers(-(2**31), 2**31 - 1).map(str)),
    "LO": several(texts(64)),
    "LT": texts(200) | st.just("two\r\nlines \\ and a backslash"),
    "OB": words(2),
    "OD": words(8),
    "OF": words(4),
    "OL": words(4),
    "OV": words(8),
    "OW": words(2),
    "PN": several(st.lists(NAMES, min_size=1, max_size=3).map("=".join)),
    "SH": several(texts(16)),
    "SL": integers(32, signed=True),
    "SS": integers(16, signed=True),
    "ST": texts(100),
    "SV": integers(64, signed=True),
    "TM": several(st.times().map(lambda time: f"{time.hour:02d}{time.minute:02d}{time.second:02d}.25")),
    "UC": several(texts(30)),
    "UI": several(st.from_regex(r"1\.[1-9][0-9]{0,9}", fullmatch=True)),
    "UL": integers(32, signed=False),
    "UN": words(2),
    "UR": st.just("https://h/a?b=c"),
    "US": integers(16, signed=False),
    "UT": texts(500),
    "UV": integers(64, signed=False),
}
PUBLIC = {"CS": 0x00080008, "LO": 0x00081030, "PN": 0x00081070, "DS": 0x00281050, "OW": 0x00281201, "UT": 0x0040A160}


@st.composite
def data_sets(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """Elements of every VR in a private block, some public ones, and sequences of the same."""
    made = Dataset()
    for vr in draw(st.sets(st.sampled_from(sorted(PUBLIC)), max_size=4)):
        made.add_new(PUBLIC[vr], vr, draw(VALUES[vr]))
    chosen = draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=6, unique=True))
    if chosen:
        block = made.private_block(BLOCK, CREATOR, create=True)
        for number, vr in enumerate(chosen, start=1):
            block.add_new(number, vr, draw(VALUES[vr]))
    if depth < 2 and draw(st.booleans()):
        made.add_new(0x00081140, "SQ", draw(st.lists(data_sets(depth + 1), max_size=2)))
    return made


def as_instance(data_set: Dataset) -> Dataset:
    data_set.SOPClassUID, data_set.SOPInstanceUID = UID(CT), UID(sop_uid(1))
    data_set.StudyInstanceUID, data_set.SeriesInstanceUID = UID(STUDY), UID(f"{STUDY}.1")
    return data_set


def add_pixels(upload: Upload, draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """Native or compressed pixel data; the transfer syntax and the values of its parts."""
    frames = draw(st.integers(1, 3))
    media_type, syntax = draw(st.sampled_from([("application/octet-stream", "1.2.840.10008.1.2.1"), *SYNTAXES]))
    is_native = media_type == "application/octet-stream"
    size = (10 * 7 * 16 * frames) // 8 if is_native else 0
    values = [random.Random(frames + n).randbytes(size or 100 + n) for n in range(1 if is_native else frames)]
    numbers = {
        "00280002": 1,
        "00280010": 10,
        "00280011": 7,
        "00280100": 16,
        "00280101": 12,
        "00280102": 11,
        "00280103": 0,
    }
    attributes: dict[str, Any] = {tag: {"vr": "US", "Value": [number]} for tag, number in numbers.items()}
    attributes["00280004"] = {"vr": "CS", "Value": ["MONOCHROME2"]}
    attributes["00280008"] = {"vr": "IS", "Value": [frames]}
    upload.models[0] |= attributes | {"7FE00010": {"vr": "OW", "BulkDataURI": "pixels"}}
    upload.parts += [Bulk("pixels", value, media_type) for value in values]
    return syntax, values


@given(data_sets(), st.sampled_from([JSON, XML]), st.integers(0, 300), st.sampled_from([1 << 20, 1000, 61]), st.data())
def test_what_is_stored_is_what_was_taken_apart(
    data_set: Dataset, root: str, threshold: int, size: int, data: st.DataObject
) -> None:
    original = as_instance(data_set)
    upload = split_off_bulk(original, max(threshold, 1))
    pixels: list[bytes] = []
    syntax = "1.2.840.10008.1.2.1"
    if data.draw(st.booleans()):
        syntax, pixels = add_pixels(upload, data.draw)
    body = upload.body(root, random.Random(data.draw(st.integers())))
    (seen,) = run(read(body, size=size))
    assert seen.is_complete and seen.head.transfer_syntax_uid == syntax
    stored = read_stored(bytes(seen.data))
    if pixels:
        found = stored.PixelData
        is_native = syntax == "1.2.840.10008.1.2.1"
        values = [found] if is_native else list(generate_frames(found, number_of_frames=len(pixels)))
        assert values == [value + b"\0" * (len(value) % 2) for value in pixels]
    leave_out = {0x00080005, 0x7FE00010} | (set(range(0x00280002, 0x00280104)) if pixels else set())
    assert normal(original, leave_out) == normal(stored, leave_out)
    chance = random.Random(len(body))
    cut = chance.randrange(len(body) - 5)
    begun: list[Seen] = []
    with pytest.raises(MalformedBody):
        run(read(body[:cut], seen=begun))
    assert not any(it.is_complete for it in begun)


def run(reading: Any) -> Any:
    """In a loop of its own, as hypothesis calls the test many times."""
    return asyncio.run(reading)


def normal(data_set: Dataset, leave_out: set[int]) -> list[Any]:
    return [_normal_element(it, leave_out) for it in data_elements(data_set) if it[0] not in leave_out]


def _normal_element(element: tuple[int, str, Any], leave_out: set[int]) -> Any:
    tag, vr, value = element
    if vr == "SQ":
        return tag, vr, [[_normal_element(it, set()) for it in item if it[0] != 0x00080005] for item in value]
    if vr in ("DS", "FL") and value != "":
        values = list(value) if hasattr(value, "append") else [value]
        return tag, vr, struct.pack(f"<{len(values)}{'f' if vr == 'FL' else 'd'}", *map(float, values))
    return tag, vr, str(value) if not isinstance(value, bytes) else value


def test_the_comparison_sees_a_difference() -> None:
    one, other = Dataset(), Dataset()
    for data_set, text in ((one, "a"), (other, "b")):
        inner = Dataset()
        inner.add(DataElement(0x00081030, "LO", text))
        data_set.add_new(0x00081140, "SQ", [inner])
    assert normal(one, set()) != normal(other, set())


# --- whatever a client sends ---

TAGS = ["00020010", "00080005", "00080016", "00081140", "00100010", "00280002", "00280008", "00280010", "00280011"]
TAGS += [
    "00280100",
    "00291001",
    "00420011",
    "00420012",
    "7FE00001",
    "7FE00008",
    "7FE00010",
    "7fe00010",
    "x",
    "FFFEE000",
]
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["AAAA", "1.2.3", "b/1"])
)
JSON_VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*TAGS, "vr", "Value", "BulkDataURI", "InlineBinary"]), inner, max_size=3),
        st.fixed_dictionaries(
            {"vr": st.sampled_from([*VALUES, "SQ", "XX"])},
            optional={"Value": st.lists(inner, max_size=3), "BulkDataURI": inner, "InlineBinary": inner},
        ),
    ),
    max_leaves=12,
)
MEDIA_TYPES = [
    "application/octet-stream",
    "image/jpeg",
    "image/jp2",
    "image/png",
    "video/mpeg",
    "application/pdf",
    "x",
    "",
]


@given(
    st.dictionaries(st.sampled_from(TAGS), JSON_VALUES, max_size=8),
    st.lists(st.tuples(st.sampled_from(["b/1", "b/2", "", "http://[", "b/1/frames/1"]), st.sampled_from(MEDIA_TYPES))),
    st.sampled_from(["", "Content-Length: 3\r\n", "Content-Length: x\r\n", "Content-Length: 99999999999\r\n"]),
    st.booleans(),
)
def test_any_metadata_is_stored_or_refused(
    attributes: dict[str, Any], parts: list[tuple[str, str]], more: str, whole: bool
) -> None:
    model = (as_instance(Dataset()).to_json_dict() if whole else {}) | attributes
    bulk = [Bulk(location, b"abc", media_type, more) for location, media_type in parts]
    seen: list[Seen] = []
    try:
        run(read(Upload([model], bulk).body(), size=500, seen=seen))
    except MalformedBody:
        assert not any(it.is_complete for it in seen)
    else:
        (stored,) = seen
        assert stored.is_complete and len(read_stored(bytes(stored.data))) >= 4
