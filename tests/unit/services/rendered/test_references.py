"""References of presentation states."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.errors import ImagingFailed
from gateway.services.rendered.references import References, ShownInstance, list_references

GSPS, BLENDING = "1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.11.4"


def encode(data_set: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, data_set)
    return buffer.getvalue()


def refer(series: str, *images: tuple[str, list[int]]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series
    item.ReferencedImageSequence = []
    for uid, frames in images:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2", uid
        if frames:
            image.ReferencedFrameNumber = frames
        item.ReferencedImageSequence.append(image)
    return item


def make_state(sop_class: str = GSPS, *series: Dataset) -> Dataset:
    state = Dataset()
    state.SOPClassUID = sop_class
    if series:
        state.ReferencedSeriesSequence = list(series)
    return state


def test_images_and_frames_in_their_order() -> None:
    state = make_state(GSPS, refer("1.2", ("1.2.2", []), ("1.2.1", [3])), refer("1.1", ("1.1.1", [4, 2, 2])))
    assert list_references(encode(state)) == References(
        (
            ShownInstance("", "1.2", "1.2.2"),
            ShownInstance("", "1.2", "1.2.1", (3,)),
            ShownInstance("", "1.1", "1.1.1", (2, 4)),
        )
    )
    assert list_references(encode(state)).picture_count == 4


@pytest.mark.parametrize(("said", "frames"), [([0, 1], (1,)), ([-2, 3, 0], (3,)), ([0], ()), ([-1], ()), ([0, 0], ())])
def test_numbers_that_name_no_frame(said: list[int], frames: tuple[int, ...]) -> None:
    shown = list_references(encode(make_state(GSPS, refer("1.1", ("1.1.1", said), ("1.1.2", [2]))))).shown
    assert shown == (ShownInstance("", "1.1", "1.1.1", frames), ShownInstance("", "1.1", "1.1.2", (2,)))


def test_a_blending_state_shows_what_is_underneath() -> None:
    state = make_state(BLENDING)
    state.BlendingSequence = []
    for position, study in (("SUPERIMPOSED", "2"), ("UNDERLYING", "1")):
        item = Dataset()
        item.BlendingPosition, item.StudyInstanceUID = position, study
        item.ReferencedSeriesSequence = [refer(f"{study}.1", (f"{study}.1.1", []))]
        state.BlendingSequence.append(item)
    expected = References((ShownInstance("1", "1.1", "1.1.1"),), (ShownInstance("2", "2.1", "2.1.1"),))
    assert list_references(encode(state)) == expected


@pytest.mark.parametrize("sop_class", [GSPS, BLENDING])
def test_a_state_that_refers_to_nothing(sop_class: str) -> None:
    with pytest.raises(ImagingFailed, match="no image"):
        list_references(encode(make_state(sop_class)))


def test_a_state_that_refers_to_too_much() -> None:
    with pytest.raises(ImagingFailed, match="more than"):
        list_references(encode(make_state(GSPS, refer("1.1", ("1.1.1", list(range(1, 10_002)))))))


@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_damage_gives_one_kind_of_error(place: int, damage: bytes) -> None:
    data = bytearray(encode(make_state(GSPS, refer("1.1", ("1.1.1", [1, 2])))))
    place %= len(data)
    data[place : place + len(damage)] = damage
    try:
        list_references(bytes(data))
    except ImagingFailed:
        pass
