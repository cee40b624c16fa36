"""What batches learn of an archive; the batches themselves are tested through ``test_coalescing.py``."""

from __future__ import annotations

import pytest

from gateway.services.retrieve.sharing.batch import PACE_WEIGHT, ArchivePace


def test_the_pace_follows_the_archive_slowly() -> None:
    pace = ArchivePace()
    pace.note(1.0)
    assert pace.instance_s == pytest.approx(PACE_WEIGHT)
    for _ in range(200):
        pace.note(1.0)
    assert pace.instance_s == pytest.approx(1.0)
    pace.note(0.0)
    assert pace.instance_s == pytest.approx(1.0 - PACE_WEIGHT)
