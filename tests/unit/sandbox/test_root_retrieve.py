"""Composite Instance Root Retrieve and Retrieve Without Bulk Data of the sandbox archive."""

from __future__ import annotations

import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pynetdicom import build_role, evt

from gateway.sandbox import Behaviour
from tests.unit.sandbox.conftest import CT, identifier, make_instance, save

ROOT, WITHOUT = "1.2.840.10008.5.1.4.1.2.4.3", "1.2.840.10008.5.1.4.1.2.5.3"
JPEG = "1.2.840.10008.1.2.4.50"


def get(associate, model: str, level: str, syntaxes: list[str] | None = None, /, **keys: object):
    """The data sets that come, and the final status."""
    arrived: list[Dataset] = []
    with associate(model, CT, transfer_syntax=syntaxes, ext_neg=[build_role(CT, scp_role=True)]) as assoc:
        assoc.bind(evt.EVT_C_STORE, lambda event: (arrived.append(event.dataset), 0)[1])
        statuses = [status.Status for status, _ in assoc.send_c_get(identifier(level, **keys), model)]
    return arrived, statuses[-1]


def test_not_offered_unless_it_is_switched_on(archive, associate):
    with associate(ROOT, WITHOUT, "1.2.840.10008.1.1") as assoc:
        assert [context.abstract_syntax for context in assoc.accepted_contexts] == ["1.2.840.10008.1.1"]


@pytest.mark.parametrize("uids", ["1.2.1.1.2", ["1.2.1.1.1", "1.2.1.1.3"]])
def test_instances_without_bulk_data(archive, associate, uids):
    archive.behaviour = Behaviour(offer_root_retrieve=True)
    arrived, status = get(associate, WITHOUT, "IMAGE", SOPInstanceUID=uids)
    assert (sorted(one.SOPInstanceUID for one in arrived), status) == (
        sorted([uids] if isinstance(uids, str) else uids),
        0,
    )
    assert all("PixelData" not in one and one.Rows == 8 for one in arrived)


def test_whole_instances_by_their_uid(archive, associate):
    archive.behaviour = Behaviour(offer_root_retrieve=True)
    (arrived,), status = get(associate, ROOT, "IMAGE", SOPInstanceUID="1.2.1.1.2")
    assert (arrived.PixelData, status) == (bytes(range(128)), 0)


def test_frames_become_an_instance_of_their_own(archive, associate, tmp_path):
    archive.behaviour = Behaviour(offer_root_retrieve=True)
    frames = [bytes([n]) * 128 for n in range(1, 5)]
    loop = make_instance("1.2.5.1.1", NumberOfFrames=4, PixelData=b"".join(frames))
    archive.index.add_file(save(loop, tmp_path / "files"))
    for wanted in (3, [2, 4]):
        (arrived,), _ = get(associate, ROOT, "FRAME", SOPInstanceUID="1.2.5.1.1", SimpleFrameList=wanted)
        numbers = [wanted] if isinstance(wanted, int) else wanted
        assert arrived.PixelData == b"".join(frames[n - 1] for n in numbers)
        assert arrived.NumberOfFrames == len(numbers) and arrived.SOPInstanceUID != "1.2.5.1.1"
        assert arrived.FrameExtractionSequence[0].MultiFrameSourceSOPInstanceUID == "1.2.5.1.1"
    assert get(associate, ROOT, "FRAME", SOPInstanceUID="1.2.5.1.1", SimpleFrameList=5)[1] == 0xA702


@pytest.mark.parametrize(
    ("model", "level", "keys"),
    [
        (ROOT, "SERIES", {"SOPInstanceUID": "1.2.1.1.1"}),
        (ROOT, "FRAME", {"SOPInstanceUID": "1.2.1.1.1"}),
        (ROOT, "FRAME", {"SOPInstanceUID": ["1.2.1.1.1", "1.2.1.1.2"], "SimpleFrameList": 1}),
        (WITHOUT, "FRAME", {"SOPInstanceUID": "1.2.1.1.1", "SimpleFrameList": 1}),
        (WITHOUT, "IMAGE", {}),
    ],
)
def test_identifiers_that_break_the_model(archive, associate, model, level, keys):
    archive.behaviour = Behaviour(offer_root_retrieve=True)
    assert get(associate, model, level, **keys) == ([], 0xA900)


def test_compressed_frames(archive, associate, tmp_path):
    archive.behaviour = Behaviour(offer_root_retrieve=True)
    frames = [b"\xff\xd8" + bytes([n]) * 4 + b"\xff\xd9" for n in (1, 2, 3)]
    loop = make_instance("1.2.5.1.1", NumberOfFrames=3, PixelData=encapsulate(frames))
    loop.file_meta.TransferSyntaxUID = JPEG
    loop["PixelData"].VR = "OB"
    archive.index.add_file(save(loop, tmp_path / "files"))
    syntaxes = [JPEG, "1.2.840.10008.1.2.1"]
    (arrived,), _ = get(associate, ROOT, "FRAME", syntaxes, SOPInstanceUID="1.2.5.1.1", SimpleFrameList=[1, 3])
    assert list(generate_frames(arrived.PixelData, number_of_frames=2)) == [frames[0], frames[2]]
