"""The archive that the probes are tried on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox import SandboxArchive
from tests.support.probing import CT_FILE


@pytest.fixture
def empty_sandbox(tmp_path: Path) -> Iterator[SandboxArchive]:
    with SandboxArchive(tmp_path / "archive") as running:
        yield running


@pytest.fixture
def sandbox(empty_sandbox: SandboxArchive) -> SandboxArchive:
    """With one CT instance."""
    empty_sandbox.index.add_file(CT_FILE)
    return empty_sandbox
