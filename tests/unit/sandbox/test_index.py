"""gateway/sandbox/index.py"""

from __future__ import annotations

from io import BytesIO

import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit
from pynetdicom.dsutils import encode

from gateway.sandbox.index import InstanceIndex
from tests.unit.sandbox.conftest import CT, make_instance, save


@pytest.fixture
def index(tmp_path):
    opened = InstanceIndex(tmp_path)
    yield opened
    opened.close()


def encode_explicit(instance):
    return encode(instance, False, True)


def test_a_data_set_is_stored_bit_for_bit(index):
    data_set = encode_explicit(make_instance())
    row = index.add(data_set, CT, "1.2.1.1.1", ExplicitVRLittleEndian)
    with open(row.path, "rb") as file:
        stored = file.read()
    assert stored[row.data_offset :] == data_set
    assert stored[128:132] == b"DICM"
    assert pydicom.dcmread(BytesIO(stored)).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_a_row_holds_the_unique_keys(index):
    row = index.add(encode_explicit(make_instance("1.2.1.2.3")), CT, "1.2.1.2.3", ExplicitVRLittleEndian)
    assert (row.patient_id, row.study_instance_uid, row.series_instance_uid) == ("P1", "1.2.1", "1.2.1.2")
    assert (row.sop_class_uid, row.modality, row.sop_instance_uid) == (CT, "CT", "1.2.1.2.3")


def test_an_instance_of_the_same_uid_replaces_the_first(index):
    rows = [
        index.add(encode_explicit(make_instance(PatientID=name)), CT, "1.2.1.1.1", ExplicitVRLittleEndian)
        for name in ("A", "B")
    ]
    assert len(index) == 1
    assert [row.patient_id for row in index.select({})] == ["B"]
    assert str(index.read_head(rows[1]).PatientID) == "B"
    with pytest.raises(FileNotFoundError):
        open(rows[0].path, "rb")


def test_the_index_survives_a_restart(tmp_path):
    first = InstanceIndex(tmp_path)
    row = first.add(encode_explicit(make_instance()), CT, "1.2.1.1.1", ExplicitVRLittleEndian)
    first.close()
    second = InstanceIndex(tmp_path)
    assert second.select({}) == [row]
    assert str(second.read_head(row).PatientName) == "Test^Patient1"
    second.close()


def test_a_file_is_indexed_where_it_lies(index, tmp_path):
    path = save(make_instance(), tmp_path / "elsewhere")
    row = index.add_file(path)
    assert row.path == str(path)
    assert path.read_bytes()[row.data_offset :][:4] == b"\x08\x00\x05\x00"
    index.add(encode_explicit(make_instance()), CT, "1.2.1.1.1", ExplicitVRLittleEndian)
    assert path.exists()  # it is not the archive's to delete


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_an_instance_without_a_uid_is_refused_and_leaves_no_file(index, tmp_path, keyword):
    instance = make_instance()
    del instance[keyword]
    with pytest.raises(ValueError, match=keyword):
        index.add(encode_explicit(instance), CT, "1.2.1.1.1", ExplicitVRLittleEndian)
    assert list((tmp_path / "instances").iterdir()) == []


@pytest.mark.parametrize("garbage", [b"", b"\x08", b"garbage" * 100, bytes(500)])
def test_garbage_is_refused(index, garbage):
    with pytest.raises(ValueError, match=r"no |not readable"):
        index.add(garbage, CT, "1.2.3", JPEGBaseline8Bit)


def test_no_file_but_part_10_is_indexed(index, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("not DICOM")
    with pytest.raises(ValueError, match="not readable"):
        index.add_file(path)


def test_select_takes_lists_and_keeps_the_order_of_arrival(index):
    for uid in ("1.2.1.1.2", "1.2.1.1.1", "1.2.2.1.1"):
        index.add(encode_explicit(make_instance(uid)), CT, uid, ExplicitVRLittleEndian)
    found = index.select({"study_instance_uid": ["1.2.1"]})
    assert [row.sop_instance_uid for row in found] == ["1.2.1.1.2", "1.2.1.1.1"]
    both = index.select({"sop_instance_uid": ["1.2.2.1.1", "1.2.1.1.1"], "patient_id": ["P1", "P2"]})
    assert [row.sop_instance_uid for row in both] == ["1.2.1.1.1", "1.2.2.1.1"]
