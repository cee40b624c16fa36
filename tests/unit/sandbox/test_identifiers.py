"""gateway/sandbox/identifiers.py"""

from __future__ import annotations

import pytest

from gateway.sandbox.identifiers import IdentifierError, read_scope
from tests.unit.sandbox.conftest import PATIENT_FIND, STUDY_FIND, identifier


def test_a_scope_holds_the_unique_keys_down_to_its_level():
    keys = identifier("SERIES", StudyInstanceUID="1.2", SeriesInstanceUID=["1.3", "1.4"], SOPInstanceUID="1.5")
    scope = read_scope(keys, STUDY_FIND, relational=False)
    assert (scope.level, scope.unique_keys) == ("SERIES", {"STUDY": ("1.2",), "SERIES": ("1.3", "1.4")})


@pytest.mark.parametrize("level", ["", "PATIENT", "FRAME", ["STUDY", "SERIES"]])
def test_a_level_that_study_root_does_not_have_is_refused(level):
    with pytest.raises(IdentifierError):
        read_scope(identifier(level, PatientID="1"), STUDY_FIND, relational=True)


@pytest.mark.parametrize(
    ("level", "keys"),
    [
        ("SERIES", {}),
        ("SERIES", {"StudyInstanceUID": ""}),
        ("SERIES", {"StudyInstanceUID": ["1.2", "1.3"]}),
        ("IMAGE", {"SeriesInstanceUID": "1.2"}),
        ("IMAGE", {"SOPInstanceUID": "1.2"}),
    ],
)
def test_unique_keys_of_upper_levels_are_needed_unless_relational(level, keys):
    with pytest.raises(IdentifierError):
        read_scope(identifier(level, **keys), STUDY_FIND, relational=False)
    assert read_scope(identifier(level, **keys), STUDY_FIND, relational=True).level == level


def test_patient_root_wants_the_patient_id_too():
    with pytest.raises(IdentifierError):
        read_scope(identifier("STUDY", StudyInstanceUID="1.2"), PATIENT_FIND, relational=False)
    scope = read_scope(identifier("STUDY", PatientID="P"), PATIENT_FIND, relational=False)
    assert scope.unique_keys == {"PATIENT": ("P",)}
