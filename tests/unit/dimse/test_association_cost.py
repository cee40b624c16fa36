"""When reading on is cheaper than a new association."""

from __future__ import annotations

import pytest

from gateway.dimse.association_cost import LEAST_BYTES, MOST_BYTES, AssociationCost


def test_it_learns_from_set_up_and_throughput() -> None:
    cost = AssociationCost()
    at_first = cost.break_even_bytes
    for _ in range(50):
        cost.note_set_up(0.05)
        cost.note_transfer(10_000_000, 0.1)
    assert at_first == 4_000_000
    assert cost.break_even_bytes == pytest.approx(5_000_000, rel=0.01)


@pytest.mark.parametrize(("set_up_s", "seconds", "expected"), [(1e-5, 0.1, LEAST_BYTES), (10.0, 0.01, MOST_BYTES)])
def test_it_stays_within_bounds(set_up_s: float, seconds: float, expected: int) -> None:
    cost = AssociationCost()
    for _ in range(100):
        cost.note_set_up(set_up_s)
        cost.note_transfer(1_000_000, seconds)
    assert cost.break_even_bytes == expected


def test_short_transfers_tell_nothing() -> None:
    cost = AssociationCost()
    for _ in range(100):
        cost.note_transfer(1_000, 1.0)
        cost.note_transfer(1_000_000, 0.0)
    assert cost.break_even_bytes == 4_000_000


def test_where_nothing_may_be_cut_reading_on_is_always_cheaper() -> None:
    cost = AssociationCost(may_cut=False)
    cost.note_set_up(1e-5)
    assert cost.break_even_bytes > 1 << 62
