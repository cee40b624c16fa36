"""gateway/sandbox/loads.py"""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from gateway.sandbox.loads import write_ct_series, write_many_studies, write_multiframe

WRITERS = {
    "ct": lambda folder: write_ct_series(folder, slices=3, size=32),
    "multiframe": lambda folder: [write_multiframe(folder, gib=40 * 32 * 32 * 2 / 2**30, size=32)],
    "many": lambda folder: write_many_studies(folder, patients=3, studies=2, series=2, instances=1),
}


@pytest.mark.parametrize("kind", list(WRITERS))
def test_the_same_arguments_give_the_same_bytes(kind, tmp_path):
    first, second = (WRITERS[kind](tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_a_ct_slice_has_the_size_that_benchmarks_count_on(tmp_path):
    (path,) = write_ct_series(tmp_path, slices=1)
    assert 524_288 < path.stat().st_size < 527_000
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"


def test_every_frame_says_which_it_is(tmp_path):
    instance = pydicom.dcmread(write_multiframe(tmp_path, gib=5000 * 16 * 16 * 2 / 2**30, size=16))
    frames = instance.pixel_array
    assert frames.shape == (5000, 16, 16)
    assert np.array_equal(frames[:, 0, 0] + (frames[:, 0, 1].astype(int) << 12), np.arange(5000))
    assert len(instance.PerFrameFunctionalGroupsSequence) == instance.NumberOfFrames == 5000


@pytest.mark.parametrize("gib", [0, 1e-9, 4, 8])
def test_impossible_sizes_are_refused(tmp_path, gib):
    with pytest.raises(ValueError, match="4 GiB"):
        write_multiframe(tmp_path, gib=gib)


def test_many_studies_differ_in_what_searches_look_at(tmp_path):
    heads = [
        pydicom.dcmread(path) for path in write_many_studies(tmp_path, patients=11, studies=2, series=3, instances=2)
    ]
    assert len(heads) == 11 * 2 * 3 * 2
    assert len({head.StudyInstanceUID for head in heads}) == 22
    assert len({head.SeriesInstanceUID for head in heads}) == 66
    assert len({str(head.PatientName) for head in heads}) == 11
    assert len({str(head.get("SpecificCharacterSet")) for head in heads}) >= 7
    assert {head.Modality for head in heads} == {"CR", "CT", "MR"}
    assert len({head.StudyDate for head in heads}) > 15
