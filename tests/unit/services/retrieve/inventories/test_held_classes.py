"""Classes remembered of an archive: by path and by modality, within limits."""

from __future__ import annotations

import pytest

from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.held_classes import MAX_CLASSES, HeldClasses
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory, SeriesRow

CT, MR, SC = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.7"
STUDY = ResourcePath("1")
ROWS = (SeriesRow("1.1", "CT"), SeriesRow("1.2", "MR"))


def make_inventory(path: ResourcePath, *held: tuple[str, str], availability: str = "") -> Inventory:
    """Of (series, class) pairs."""
    instances = {
        str(number): HeldInstance(ResourcePath("1", series, str(number)), sop_class, availability)
        for number, (series, sop_class) in enumerate(held, 1)
    }
    return Inventory(path, instances, {})


def test_what_was_seen_under_a_path_and_in_a_modality() -> None:
    classes = HeldClasses()
    assert (classes.find(STUDY), classes.guess(ROWS)) == ((), ())
    classes.note_inventory(make_inventory(STUDY, ("1.1", CT), ("1.2", MR), ("1.2", SC)), ROWS)
    assert classes.find(STUDY) == (CT, MR, SC)
    assert classes.find(ResourcePath("1", "1.1")) == (CT,)
    assert classes.find(ResourcePath("2", "1.1")) == ()
    assert classes.guess([SeriesRow("9", "MR")]) == (MR, SC)
    assert classes.guess([SeriesRow("9", "MR"), SeriesRow("8", "CT")]) == (CT, MR, SC)
    assert classes.guess([SeriesRow("9", "MR"), SeriesRow("8", "US")]) == ()
    assert classes.guess([SeriesRow("9", "")]) == ()


def test_a_path_is_remembered_as_it_was_last_and_a_modality_as_it_ever_was() -> None:
    classes = HeldClasses()
    series = ResourcePath("1", "1.2")
    for held in (MR, SC):
        classes.note_inventory(make_inventory(series, ("1.2", held)), ROWS)
        assert classes.find(series) == (held,)
    assert classes.guess(ROWS[1:]) == (MR, SC)


def test_what_is_not_told_is_learned_from_what_arrives() -> None:
    classes = HeldClasses()
    classes.note_inventory(make_inventory(STUDY, ("1.1", ""), ("1.2", MR)), ROWS)
    assert classes.find(STUDY) == ()
    classes.note_classes(STUDY, {"1.1": {CT}, "1.2": {MR}})
    assert (classes.find(STUDY), classes.guess(ROWS)) == ((CT, MR), (CT, MR))


def test_too_many_classes_are_no_hint() -> None:
    classes = HeldClasses()
    many = [("1.1", f"1.2.{number}") for number in range(MAX_CLASSES + 1)]
    classes.note_inventory(make_inventory(STUDY, *many[:-1]), ROWS)
    assert len(classes.find(STUDY)) == len(classes.guess(ROWS[:1])) == MAX_CLASSES
    classes.note_inventory(make_inventory(STUDY, *many), ROWS)
    assert classes.find(STUDY) == classes.guess(ROWS[:1]) == ()


@pytest.mark.parametrize(
    ("availability", "expected"), [("", False), ("ONLINE", False), ("OFFLINE", True), ("UNAVAILABLE", True)]
)
def test_whether_the_archive_ever_called_anything_unavailable(availability: str, expected: bool) -> None:
    classes = HeldClasses()
    classes.note_inventory(make_inventory(STUDY, ("1.1", CT), availability=availability))
    classes.note_inventory(make_inventory(STUDY, ("1.1", CT)))
    assert classes.tells_unavailable is expected
