"""gateway/sandbox/storage.py, over associations with pynetdicom and DCMTK."""

from __future__ import annotations

import subprocess

import pydicom
import pytest
from pydicom.uid import RLELossless

from gateway.sandbox import Behaviour
from tests.unit.sandbox.conftest import CT, MR, make_instance, save

VERIFICATION = "1.2.840.10008.1.1"
PRIVATE = "1.2.826.0.1.3680043.9.9999.1"


def test_echo(archive, associate):
    with associate(VERIFICATION) as assoc:
        assert assoc.send_c_echo().Status == 0
    assert archive.counters.echoes == 1


def test_echoscu(archive):
    subprocess.run(["/usr/bin/echoscu", "127.0.0.1", str(archive.port)], check=True)


def test_a_stored_instance_is_there_at_once(archive, associate):
    with associate(CT) as assoc:
        assert assoc.send_c_store(make_instance("1.2.5.1.1")).Status == 0
        assert [row.patient_id for row in archive.index.select({"study_instance_uid": ["1.2.5"]})] == ["P5"]
    assert archive.counters.stores == 1


def test_private_classes_are_stored(archive, associate):
    with associate(PRIVATE) as assoc:
        assert assoc.send_c_store(make_instance("1.2.5.1.1", SOPClassUID=PRIVATE)).Status == 0


def test_compressed_instances_are_stored_as_they_are(archive, associate):
    instance = make_instance("1.2.5.1.1")
    instance.compress(RLELossless, generate_instance_uid=False)
    with associate(CT, transfer_syntax=RLELossless) as assoc:
        assert assoc.send_c_store(instance).Status == 0
    (row,) = archive.index.select({"study_instance_uid": ["1.2.5"]})
    assert row.transfer_syntax_uid == RLELossless
    assert pydicom.dcmread(row.path).PixelData == instance.PixelData


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_an_instance_without_its_uids_is_refused(archive, associate, keyword):
    instance = make_instance("1.2.5.1.1")
    del instance[keyword]
    with associate(CT) as assoc:
        assert assoc.send_c_store(instance).Status == 0xC000
    assert archive.counters.stores == 0


def test_storescu(archive, tmp_path):
    paths = [save(make_instance(f"1.2.6.1.{number}"), tmp_path) for number in (1, 2)]
    paths.append(save(make_instance("1.2.6.2.1", SOPClassUID=MR), tmp_path))
    command = ["/usr/bin/storescu", "127.0.0.1", str(archive.port), *map(str, paths)]
    subprocess.run(command, check=True, capture_output=True)
    assert len(archive.index.select({"study_instance_uid": ["1.2.6"]})) == 3


def test_what_there_is_no_room_for_is_refused(archive, associate):
    archive.behaviour = Behaviour(store_capacity=len(archive.index) + 1)
    with associate(CT) as assoc:
        assert [assoc.send_c_store(make_instance(f"1.2.5.1.{number}")).Status for number in (1, 2)] == [0, 0xA700]
    assert [row.sop_instance_uid for row in archive.index.select({"study_instance_uid": ["1.2.5"]})] == ["1.2.5.1.1"]


@pytest.mark.parametrize("switch", ["store_delay_s", "pdata_delay_s"])
def test_a_slow_archive_answers_all_the_same(archive, associate, switch):
    archive.behaviour = Behaviour(**{switch: 0.02})
    with associate(CT) as assoc:
        assert assoc.send_c_store(make_instance("1.2.5.1.1")).Status == 0
