"""Events are values: equal by content, immutable, readable, and silent about credentials."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.dimse.ul import events
from gateway.dimse.ul.events import Abort, PDataFragment, ReleaseRequest, UserIdentity


def test_dataclasses_are_frozen_and_slotted() -> None:
    kinds = [getattr(events, name) for name in events.__all__]
    values = [kind for kind in kinds if isinstance(kind, type) and dataclasses.is_dataclass(kind)]
    assert len(values) == 12
    for kind in values:
        assert kind.__dataclass_params__.frozen
        assert "__slots__" in vars(kind)


def test_fragments_are_immutable() -> None:
    fragment = PDataFragment(1, True, b"ab", False)
    with pytest.raises(AttributeError):
        fragment.last = True  # type: ignore[misc]


def test_events_are_equal_by_content_and_readable() -> None:
    assert ReleaseRequest() == ReleaseRequest()
    assert Abort(2, 1) != Abort(2, 2)
    assert repr(Abort(2, 1)) == "Abort(source=2, reason=1)"


def test_user_identity_does_not_print_credentials() -> None:
    text = repr(UserIdentity(2, b"jane", b"hunter2", True))
    assert text == "UserIdentity(kind=2, response_requested=True)"
