from __future__ import annotations

from benchmarks.gateways import COLD, Backend, Flavour, known_settings

BACKENDS = {"main": Backend("AE@host:104", {"retrieve": "c-get"})}


def test_settings_become_environment() -> None:
    flavour = Flavour("some", {"log": {"level": "error"}}, {"max_associations": 3})
    assert known_settings(flavour, BACKENDS) == {
        "GATEWAY__LOG__LEVEL": "error",
        "GATEWAY__BACKENDS__main__MAX_ASSOCIATIONS": "3",
        "GATEWAY__BACKENDS__main__RETRIEVE": "c-get",
    }


def test_settings_of_a_backend_come_before_those_of_all() -> None:
    environment = known_settings(Flavour("some", {}, {"retrieve": "c-move"}), BACKENDS)
    assert environment == {"GATEWAY__BACKENDS__main__RETRIEVE": "c-get"}


def test_settings_that_do_not_exist_are_left_away() -> None:
    flavour = Flavour("some", {"nothing": {"x": 1}, "log": {"nothing": 1}}, {"nothing": 1})
    assert known_settings(flavour, BACKENDS) == {"GATEWAY__BACKENDS__main__RETRIEVE": "c-get"}


def test_cold_means_that_nothing_is_kept() -> None:
    assert set(known_settings(COLD, BACKENDS).values()) <= {"0", "c-get"}
