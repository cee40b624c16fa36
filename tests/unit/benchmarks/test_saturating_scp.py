"""The saturating SCP is a proper archive to pynetdicom, and its relay gives the same bytes."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from pynetdicom.association import Association

from benchmarks import wire
from benchmarks.raw_association import RawAssociation
from benchmarks.saturating_scp import AE_TITLE, SaturatingArchive, Shape, make_study
from tests.support.peers import LOOPBACK

PATIENT_ROOT = "1.2.840.10008.5.1.4.1.2.1.1"
SIZES = [2, 65_536, 131_066, 131_068, 131_066 * 16, 5_000_002]


@pytest.fixture(scope="module")
def archive() -> Iterator[SaturatingArchive]:
    with SaturatingArchive() as running:
        yield running


def associate(archive: SaturatingArchive, received: list[Dataset]) -> Association:
    def take(event: evt.Event) -> int:
        received.append(event.dataset)
        return 0

    ae = AE("TEST")
    ae.maximum_pdu_size = 131_072
    for uid in (wire.VERIFICATION, wire.STUDY_ROOT_FIND, wire.STUDY_ROOT_GET, wire.CT_IMAGE_STORAGE, PATIENT_ROOT):
        ae.add_requested_context(uid)
    role = build_role(wire.CT_IMAGE_STORAGE, scp_role=True)
    handlers = [(evt.EVT_C_STORE, take)]
    return ae.associate(LOOPBACK, archive.dicom_port, ae_title=AE_TITLE, ext_neg=[role], evt_handlers=handlers)


def identify(level: str, shape: Shape) -> Dataset:
    keys = Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID, keys.SOPInstanceUID = level, shape.study, ""
    return keys


def test_it_accepts_what_it_serves(archive: SaturatingArchive) -> None:
    association = associate(archive, [])
    try:
        assert association.is_established
        assert PATIENT_ROOT not in {context.abstract_syntax for context in association.accepted_contexts}
        assert association.send_c_echo().Status == 0
    finally:
        association.release()
    assert association.is_released


def test_it_lists_what_the_uid_says(archive: SaturatingArchive) -> None:
    shape = make_study(3, 10)
    association = associate(archive, [])
    try:
        for level, count in (("STUDY", 1), ("SERIES", 1), ("IMAGE", 3)):
            answers = list(association.send_c_find(identify(level, shape), wire.STUDY_ROOT_FIND))
            matches = [match for status, match in answers if status.Status == 0xFF00]
            assert len(matches) == count
            assert {match.QueryRetrieveLevel for match in matches} == {level}
        assert [match.SOPInstanceUID for match in matches] == [shape.instance(number) for number in range(3)]
        other = identify("STUDY", shape)
        other.StudyInstanceUID = "1.2.3"
        assert [status.Status for status, _ in association.send_c_find(other, wire.STUDY_ROOT_FIND)] == [0]
    finally:
        association.release()


@pytest.mark.parametrize("size", SIZES)
def test_it_sends_whole_instances(archive: SaturatingArchive, size: int) -> None:
    shape = make_study(2, size)
    received: list[Dataset] = []
    association = associate(archive, received)
    try:
        (final, _) = list(association.send_c_get(identify("STUDY", shape), wire.STUDY_ROOT_GET))[-1]
    finally:
        association.release()
    assert (final.Status, final.NumberOfCompletedSuboperations) == (0, 2)
    assert [it.SOPInstanceUID for it in received] == [shape.instance(0), shape.instance(1)]
    assert {len(it.PixelData) for it in received} == {size}
    assert {it.StudyInstanceUID for it in received} == {shape.study}


def test_one_instance_can_be_named(archive: SaturatingArchive) -> None:
    shape = make_study(5, 100)
    received: list[Dataset] = []
    association = associate(archive, received)
    keys = identify("IMAGE", shape)
    keys.SOPInstanceUID = shape.instance(3)
    try:
        list(association.send_c_get(keys, wire.STUDY_ROOT_GET))
    finally:
        association.release()
    assert [it.SOPInstanceUID for it in received] == [shape.instance(3)]


@pytest.mark.parametrize("size", SIZES)
def test_the_same_bytes_come_by_http(archive: SaturatingArchive, size: int) -> None:
    url = f"http://{LOOPBACK}:{archive.http_port}/3/{size}"
    with urllib.request.urlopen(url, timeout=30) as answer:
        body = answer.read()
    pixels = 0
    while body:
        length = int.from_bytes(body[2:6], "big") + 6
        assert (body[0], len(body) >= length) == (wire.P_DATA, True)
        pixels += 0 if body[11] & 1 else length - 12
        body = body[length:]
    assert 3 * size < pixels < 3 * (size + 2_000)  # with the heads of the data sets


def test_a_bare_socket_can_ask_too(archive: SaturatingArchive) -> None:
    shape = make_study(4, 100)
    with RawAssociation(archive.dicom_port, AE_TITLE) as association:
        seconds, matches = association.time_find({0x00080052: "IMAGE", 0x0020000D: shape.study})
        assert (matches, seconds > 0) == (4, True)
        assert association.time_first_store({0x00080052: "STUDY", 0x0020000D: shape.study}) > 0
    with RawAssociation(archive.dicom_port, AE_TITLE) as association, pytest.raises(RuntimeError, match="without"):
        association.time_first_store({0x00080052: "STUDY", 0x0020000D: "1.2.3"})
