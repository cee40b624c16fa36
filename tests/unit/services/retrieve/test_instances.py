"""The protocol of retrievals, and that both kinds of retrieval have it."""

from __future__ import annotations

import inspect

import pytest

from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.service import InstanceStream
from gateway.services.retrieve.sharing.turns import SharedInstance

NAMES = {name for name in vars(Instances) if not name.startswith("_")} | {"__aiter__", "__anext__"}


def test_what_the_protocol_names() -> None:
    assert {"__aiter__", "__anext__", "expected", "first", "unavailable"} == NAMES


@pytest.mark.parametrize("kind", [InstanceStream, SharedInstance])
def test_both_kinds_have_it(kind: type) -> None:
    source = inspect.getsource(kind)
    missing = {name for name in NAMES if not hasattr(kind, name) and f"self.{name} =" not in source}
    assert missing == set()
