"""Guessing storage classes."""

from __future__ import annotations

import pytest
from pydicom.uid import UID

from gateway.services.retrieve.context_offers import MAX_STORAGE_CONTEXTS
from gateway.services.retrieve.inventories.storage_classes import _BY_MODALITY, ALL_STORAGE_CLASSES, guess_classes


@pytest.mark.parametrize("modality", [*_BY_MODALITY, "", "UNHEARD OF"])
def test_guesses_are_storage_classes_with_room_for_every_form(modality: str) -> None:
    guessed = guess_classes([modality])
    assert set(guessed) <= set(ALL_STORAGE_CLASSES) and len(set(guessed)) == len(guessed)
    assert 0 < len(guessed) <= MAX_STORAGE_CONTEXTS // 5


def test_several_modalities_add_up() -> None:
    assert set(guess_classes(["CT"])) | set(guess_classes(["SR"])) == set(guess_classes(["CT", "SR", ""]))


def test_every_class_is_one_that_instances_are_of() -> None:
    assert {"CT Image Storage", "Basic Text SR Storage", "Encapsulated PDF Storage"} <= {
        UID(uid).name for uid in ALL_STORAGE_CLASSES
    }
    assert all("Storage" in UID(uid).name or uid in guess_classes(["SEG"]) for uid in ALL_STORAGE_CLASSES)
    assert "1.2.840.10008.1.3.10" not in ALL_STORAGE_CLASSES  # a DICOMDIR is no instance of a study
