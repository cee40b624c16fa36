from __future__ import annotations

from benchmarks.contest import Contestant, run_in_turn


def test_contestants_take_turns_and_the_warm_up_does_not_count() -> None:
    order: list[str] = []

    def make(name: str) -> Contestant:
        def run() -> float:
            order.append(name)
            return float(len(order))

        return Contestant(name, run, "MB/s")

    first, second = run_in_turn([make("a"), make("b")], rounds=2, warm_up=1)
    assert order == ["a", "b"] * 3
    assert (first.values, second.values) == ((3, 5), (4, 6))
    assert (first.name, first.unit) == ("a", "MB/s")
