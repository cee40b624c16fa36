from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.samples import Samples, percentile, summarize

VALUES = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=50)


def samples(*values: float) -> Samples:
    return Samples("x", "s", values)


def test_a_summary_is_median_and_spread() -> None:
    summary = samples(3, 1, 10).summary
    assert (summary.median, summary.low, summary.high) == (3, 1, 10)


def test_no_values_have_no_summary() -> None:
    with pytest.raises(ValueError, match="no values"):
        summarize([])
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_ratios_and_differences_are_taken_round_by_round() -> None:
    ours, other = samples(2, 9), samples(1, 3)
    assert ours.ratios_to(other) == (2, 3)
    assert ours.differences_to(other) == (1, 6)


def test_rounds_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        samples(1, 2).ratios_to(samples(1))
    with pytest.raises(ValueError, match="zip"):
        samples(1, 2).differences_to(samples(1))


@pytest.mark.parametrize(("share", "expected"), [(0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1, 100)])
def test_percentile_of_a_hundred(share: float, expected: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == expected


@given(VALUES, st.floats(0, 1))
def test_a_percentile_is_one_of_the_values_and_enough_of_them_do_not_exceed_it(
    values: list[float], share: float
) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values)
