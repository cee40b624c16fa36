"""One sandbox archive for the whole folder, and a gateway in front of it for those who change no setting."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour
from tests.support.conformance_site import Site, open_site, run_small_archive


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxArchive]:
    """A sandbox archive with the small studies."""
    with run_small_archive(tmp_path_factory.mktemp("conformance")) as archive:
        yield archive


@pytest.fixture(scope="package", autouse=True)
def _quiet() -> Iterator[None]:
    """The gateways run on threads of their own, whose log lines would stand between the dots."""
    with capture_logs():
        yield


@pytest.fixture
def archive(small_archive: SandboxArchive) -> Iterator[SandboxArchive]:
    """The archive, well behaved before and after."""
    small_archive.behaviour = Behaviour()
    yield small_archive
    small_archive.behaviour = Behaviour()


@pytest.fixture(scope="session")
def shared_site(small_archive: SandboxArchive) -> Iterator[Site]:
    with open_site(small_archive) as site:
        yield site


@pytest.fixture
def site(shared_site: Site, archive: SandboxArchive) -> Site:
    """The gateway with the settings it comes with; requests that store go to archives of their own."""
    return shared_site
