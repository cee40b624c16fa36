"""The functions that worker processes are given: they can be named there, and load nothing here."""

from __future__ import annotations

import pickle
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.parameters import FrameSource, RenderParameters
from gateway.imaging.shared_bytes import Place, SharedBytes
from gateway.services.rendered.worker_calls import (
    Handover,
    SharedFrames,
    find_frames_over,
    make_animation,
    make_document,
    make_picture,
)

GIF, HTML = RenderParameters("image/gif"), RenderParameters("text/html")


def encode(data_set: Dataset) -> bytes:
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, data_set)
    return buffer.getvalue()


@pytest.mark.parametrize("function", [make_animation, make_document, make_picture])
def test_they_travel_by_name(function: object) -> None:
    assert pickle.loads(pickle.dumps(function)) is function


async def test_a_picture_is_made_of_what_is_shared() -> None:
    image = Dataset()
    image.Rows, image.Columns, image.BitsAllocated, image.SamplesPerPixel = 1, 2, 8, 1
    image.PhotometricInterpretation, image.PixelRepresentation = "MONOCHROME2", 0
    given, made = SharedBytes(), SharedBytes()
    header, frame = await given.extend(encode(image)), await given.extend(b"\0\xff")
    handover = Handover(made.address, header, (frame,), "1.2.840.10008.1.2.1", 1)
    make_picture(handover, RenderParameters("image/png"))
    assert np.asarray(Image.open(BytesIO(made.read()))).tolist() == [[0, 255]]
    make_animation(Handover(made.address, header, (frame, frame), "1.2.840.10008.1.2.1", 0), GIF)
    assert made.read().startswith(b"GIF89a")


async def test_what_is_drawn_over_a_picture_is_read_by_the_worker() -> None:
    given = SharedBytes()
    header, frames = await given.extend(b"header"), [await given.extend(frame) for frame in (b"1", b"22")]
    over = SharedFrames(header, "1.2.3", tuple(zip((4, 7), frames, strict=True)))
    above = SharedFrames(header, "1.2.4", ((1, frames[1]),))
    handover = Handover(given.address, header, (), "1.2", 1, over, above)
    assert handover.complete(GIF) == RenderParameters(
        "image/gif",
        segmentations=(FrameSource(b"header", "1.2.3", b"1", 4), FrameSource(b"header", "1.2.3", b"22", 7)),
        superimposed=FrameSource(b"header", "1.2.4", b"22", 1),
    )
    assert Handover(given.address, header, (), "1.2", 1).complete(GIF) == GIF


def test_a_document_that_is_none() -> None:
    given, made = SharedBytes.from_bytes(b""), SharedBytes()
    with pytest.raises(ImagingFailed):
        make_document(Handover(made.address, Place(given.address, 0, 0), (), "1.2.840.10008.1.2.1", 0), HTML)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((), {1: {2}, 2: set(), 4: {1, 3}, 5: set(), 6: {7}}),
        ((1, 2), {1: {2}, 2: set(), 4: {1, 3}, 5: set()}),
        ((5,), {2: set(), 5: set()}),
    ],
)
def test_frames_of_a_segmentation_and_what_they_were_drawn_on(asked: tuple[int, ...], expected: object) -> None:
    def derive(*sources: tuple[str, list[int]]) -> Dataset:
        group, derivation = Dataset(), Dataset()
        derivation.SourceImageSequence = []
        for uid, frames in sources:
            source = Dataset()
            source.ReferencedSOPInstanceUID = uid
            if frames:
                source.ReferencedFrameNumber = frames
            derivation.SourceImageSequence.append(source)
        group.DerivationImageSequence = [derivation]
        return group

    segmentation = Dataset()
    segmentation.PerFrameFunctionalGroupsSequence = [
        derive(("1.1", [2]), ("1.2", [5])),
        derive(("1.1", [])),
        derive(("1.2", [])),
        derive(("1.1", [3]), ("1.1", [1])),
        derive(("1.1", [3]), ("1.1", [])),
        Dataset(),  # what is shared counts
    ]
    segmentation.SharedFunctionalGroupsSequence = [derive(("1.1", [7]))]
    given = SharedBytes.from_bytes(encode(segmentation))
    header = Place(given.address, 0, given.size)
    assert find_frames_over(header, "1.1", asked) == expected
    assert find_frames_over(header, "1.9", asked) == {}


def test_neither_codecs_nor_arrays_are_loaded_to_name_them() -> None:
    program = (
        "import sys, gateway.services.rendered.worker_calls, gateway.services.rendered.references\n"
        "print([name for name in ('numpy', 'imagecodecs', 'PIL', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
