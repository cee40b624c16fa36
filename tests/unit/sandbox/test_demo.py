"""gateway/sandbox/demo.py"""

from __future__ import annotations

import pytest
from pynetdicom import AE

from gateway.sandbox.demo import run_sandbox
from tests.unit.sandbox.conftest import STUDY_FIND, find, identifier


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    run_sandbox(folder).stop()
    return folder


def test_the_demo_studies_are_found(directory):
    archive = run_sandbox(directory, ae_title="DEMO", move_destinations={"GATEWAY": ("127.0.0.1", 11112)})
    try:
        ae = AE()
        ae.add_requested_context(STUDY_FIND)
        assoc = ae.associate("127.0.0.1", archive.port)
        answers, _ = find(assoc, identifier("STUDY", StudyInstanceUID="", ModalitiesInStudy="", PatientName=""))
        assoc.release()
    finally:
        archive.stop()
    assert len(answers) == 4
    assert {answer.RetrieveAETitle for answer in answers} == {"DEMO"}
    assert "Образцов^Пётр" in {str(answer.PatientName) for answer in answers}


def test_a_second_start_makes_nothing_again(directory):
    before = {path: path.stat().st_mtime_ns for path in (directory / "studies").rglob("*.dcm")}
    archive = run_sandbox(directory)
    archive.stop()
    assert len(before) == 100
    assert {path: path.stat().st_mtime_ns for path in (directory / "studies").rglob("*.dcm")} == before
