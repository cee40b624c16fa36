"""Clients are sent away for longer while an archive keeps refusing."""

from __future__ import annotations

from gateway.web.retry_after import RetryAfter


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_the_delay_doubles_when_clients_come_back_in_vain() -> None:
    clock = Clock()
    retry_after = RetryAfter(clock)
    delays = []
    for _ in range(9):
        delays.append(retry_after.seconds("PACS"))
        clock.now += delays[-1]
    assert delays == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_refusals_at_the_same_moment_count_once() -> None:
    retry_after = RetryAfter(Clock())
    assert {retry_after.seconds("PACS") for _ in range(50)} == {5}


def test_an_archive_that_recovered_starts_anew() -> None:
    clock = Clock()
    retry_after = RetryAfter(clock)
    assert retry_after.seconds("PACS") == 5
    clock.now += 6
    assert retry_after.seconds("PACS") == 10
    clock.now += 41
    assert retry_after.seconds("PACS") == 5


def test_archives_are_counted_apart() -> None:
    clock = Clock()
    retry_after = RetryAfter(clock)
    retry_after.seconds("ONE")
    clock.now += 5
    assert (retry_after.seconds("ONE"), retry_after.seconds("TWO")) == (10, 5)
