"""Fixtures and settings that every test shares."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.peers import DcmqrscpPeer, MoveDestination, OrthancPeer, find_free_port

# no deadline: a loaded machine is not a defect; the same examples every time where the outcome must not vary
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("ci", max_examples=100, derandomize=True, print_blob=True, **_COMMON)
settings.register_profile("developer", max_examples=100, **_COMMON)
settings.register_profile("thorough", max_examples=5_000, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def move_destination() -> MoveDestination:
    """The application entity that the shared archives may send to: where a gateway under test listens."""
    return MoveDestination("GATEWAY", find_free_port())


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory, move_destination: MoveDestination) -> Iterator[OrthancPeer]:
    """An empty Orthanc for the whole run; tests that kill or change their archive start one of their own."""
    folder: Path = tmp_path_factory.mktemp("orthanc")
    with OrthancPeer(folder, move_destinations=[move_destination]) as peer:
        yield peer


@pytest.fixture(scope="session")
def dcmqrscp(tmp_path_factory: pytest.TempPathFactory, move_destination: MoveDestination) -> Iterator[DcmqrscpPeer]:
    """An empty dcmqrscp with its default transfer syntaxes for the whole run."""
    folder: Path = tmp_path_factory.mktemp("dcmqrscp")
    with DcmqrscpPeer(folder, move_destinations=[move_destination]) as peer:
        yield peer
