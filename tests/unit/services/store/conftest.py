"""What every test of the store is held to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.tasks import running_tasks


@pytest.fixture(autouse=True)
def no_task_is_left() -> Iterator[None]:
    """Fail a test that ends before a task it has started."""
    yield
    assert running_tasks() == []
