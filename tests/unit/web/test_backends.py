"""What the handlers of one backend are given."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from tests.unit.web.test_routes import make_backend


def test_services_are_fixed_and_know_their_path() -> None:
    backend = make_backend(is_default=False)
    assert backend.path == "/backends/main/dicomweb"
    with pytest.raises(FrozenInstanceError):
        backend.name = "other"  # type: ignore[misc]
