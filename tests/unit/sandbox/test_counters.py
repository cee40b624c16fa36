"""gateway/sandbox/counters.py"""

from __future__ import annotations

import threading

from gateway.sandbox.counters import Observations


def test_waiting_ends_when_the_condition_holds():
    observations = Observations()
    thread = threading.Thread(target=lambda: [observations.count("finds") for _ in range(3)])
    thread.start()
    assert observations.wait_for(lambda counters: counters.finds == 3, 5)
    thread.join()
    assert observations.counters.finds == 3


def test_waiting_ends_with_the_time():
    assert not Observations().wait_for(lambda counters: counters.finds > 0, 0.01)


def test_a_snapshot_does_not_change():
    observations = Observations()
    before = observations.counters
    observations.count("associations_open")
    observations.count("associations_open", -1)
    assert before == observations.counters
    assert before is not observations.counters


def test_wait_while_ends_with_its_condition_and_with_its_limit():
    observations = Observations()
    left = [3]

    def is_waiting() -> bool:
        left[0] -= 1
        return left[0] > 0

    observations.wait_while(is_waiting, 0.001)
    assert left[0] == 0
    observations.wait_while(lambda: True, 0.001, 0.01)


def test_wake_makes_a_waiter_look_again():
    observations = Observations()
    flag = threading.Event()
    result: list[bool] = []
    thread = threading.Thread(target=lambda: result.append(observations.wait_for(lambda _: flag.is_set(), 5)))
    thread.start()
    flag.set()
    observations.wake()
    thread.join(5)
    assert result == [True]
