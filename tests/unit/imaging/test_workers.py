from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import BadParameter, ImagingFailed, NotAcceptable, ShuttingDown
from gateway.imaging.workers import ImagingWorkers, _start_process


def echo(*values: object, **named: object) -> tuple[tuple[object, ...], dict[str, object]]:
    return values, named


def name_process(_: int = 0) -> int:
    return os.getpid()


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def loop_for_ever(started: str) -> None:
    Path(started).touch()
    while True:
        pass


def work_a_moment(started: str) -> str:
    Path(started).touch()
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        pass
    return "done"


def wait_longer_than_allowed() -> str:
    time.sleep(0.6)
    return "done"


def quote_values() -> str:
    logging.getLogger("pydicom").error("Invalid value Doe^John")
    warnings.warn("Invalid value Doe^John", stacklevel=1)
    return "done"


def eat_memory() -> int:
    return len(bytearray(8 << 30))


def refuse() -> None:
    raise NotAcceptable(["image/jpeg"], "too many bits")


def complain() -> None:
    raise BadParameter("window", "no number")


def fail_unexpectedly() -> None:
    raise KeyError("PatientName: Doe")


def return_unpicklable() -> object:
    return lambda: None


class Unreadable:
    def __reduce__(self) -> tuple[object, ...]:
        return fail_unexpectedly, ()


def return_unreadable() -> object:
    return Unreadable()


@pytest.fixture
async def workers() -> AsyncIterator[ImagingWorkers]:
    pool = ImagingWorkers(1, task_timeout_s=20, memory_mib=512)
    yield pool
    await pool.close()


async def until_exists(path: Path) -> None:
    async with asyncio.timeout(20):
        while not path.exists():
            await asyncio.sleep(0.005)


async def test_nothing_runs_before_it_is_needed(workers: ImagingWorkers) -> None:
    assert workers.process_ids == ()
    assert await workers.run(echo, 1, b"bytes", name="x") == ((1, b"bytes"), {"name": "x"})
    assert len(workers.process_ids) == 1


async def test_a_process_is_used_again(workers: ImagingWorkers) -> None:
    first = await workers.run(name_process)
    assert first != os.getpid()
    assert await workers.run(name_process) == first


async def test_no_more_processes_than_allowed() -> None:
    pool = ImagingWorkers(2, task_timeout_s=20, memory_mib=512)
    try:
        ids = await asyncio.gather(*(pool.run(name_process, number) for number in range(8)))
        assert set(ids) <= set(pool.process_ids)
        assert len(pool.process_ids) <= 2
    finally:
        await pool.close()


async def test_long_messages_in_both_directions(workers: ImagingWorkers) -> None:
    data = os.urandom(5_000_000)
    assert (await workers.run(echo, data))[0] == (data,)


async def test_a_crash_fails_the_task_and_the_worker_is_replaced(workers: ImagingWorkers) -> None:
    before = await workers.run(name_process)
    with pytest.raises(ImagingFailed, match="process ended"):
        await workers.run(crash)
    assert await workers.run(name_process) != before


async def test_a_process_that_died_while_idle_is_replaced(workers: ImagingWorkers) -> None:
    before = await workers.run(name_process)
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    assert await workers.run(name_process) != before


async def test_a_stuck_task_fails_in_time_and_its_process_is_gone(tmp_path: Path) -> None:
    pool = ImagingWorkers(1, task_timeout_s=0.5, memory_mib=512)
    try:
        with pytest.raises(ImagingFailed, match=r"longer than 0\.5 s of processor time"):
            await pool.run(loop_for_ever, str(tmp_path / "started"))
        assert pool.process_ids == ()
        with pytest.raises(ImagingFailed, match=r"longer than 2 s$"):
            await pool.run(time.sleep, 60)
        assert pool.process_ids == ()
    finally:
        await pool.close()


async def test_a_task_that_has_to_wait_for_a_processor_is_late_and_does_not_fail() -> None:
    pool = ImagingWorkers(1, task_timeout_s=0.5, memory_mib=512)
    try:
        assert await pool.run(wait_longer_than_allowed) == "done"
        assert await pool.run(wait_longer_than_allowed) == "done"
    finally:
        await pool.close()


async def test_nothing_that_quotes_a_data_set_is_logged(
    workers: ImagingWorkers, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await workers.run(quote_values) == "done"
    assert capfd.readouterr() == ("", "")


async def test_too_much_memory_fails_the_task_and_the_worker_is_replaced(workers: ImagingWorkers) -> None:
    before = await workers.run(name_process)
    with pytest.raises(ImagingFailed, match="more memory than allowed"):
        await workers.run(eat_memory)
    assert await workers.run(name_process) != before


async def test_errors_of_the_gateway_come_back_as_they_were(workers: ImagingWorkers) -> None:
    with pytest.raises(NotAcceptable) as refused:
        await workers.run(refuse)
    assert (refused.value.available, refused.value.reason) == (("image/jpeg",), "too many bits")
    with pytest.raises(BadParameter) as complained:
        await workers.run(complain)
    assert str(complained.value) == "window: no number"


async def test_a_defect_names_its_type_and_no_data(workers: ImagingWorkers) -> None:
    with pytest.raises(ImagingFailed) as failed:
        await workers.run(fail_unexpectedly)
    assert str(failed.value) == "the task failed: KeyError"


async def test_a_result_that_cannot_be_sent_back_is_a_failure(workers: ImagingWorkers) -> None:
    with pytest.raises(ImagingFailed):
        await workers.run(return_unpicklable)
    assert (await workers.run(echo, 1))[0] == (1,)


async def test_a_worker_whose_answer_cannot_be_read_is_replaced(workers: ImagingWorkers) -> None:
    before = await workers.run(name_process)
    with pytest.raises(ImagingFailed, match="cannot be read: KeyError$"):
        await workers.run(return_unreadable)
    assert workers.process_ids == ()
    assert await workers.run(name_process) != before


async def test_a_process_that_does_not_listen_is_ended(
    workers: ImagingWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = []

    def start_another(_: int) -> subprocess.Popen[bytes]:
        processes.append(subprocess.Popen(["sleep", "60"]))
        return processes[0]

    with monkeypatch.context() as patched:
        patched.setattr("gateway.imaging.workers._start_process", start_another)
        with pytest.raises(ImagingFailed, match="before it had the task"):
            await workers.run(echo, 1)
    assert (workers.process_ids, processes[0].returncode) == ((), -signal.SIGKILL)
    assert (await workers.run(echo, 1))[0] == (1,)


async def test_cancelling_frees_the_slot_of_a_stuck_task(workers: ImagingWorkers, tmp_path: Path) -> None:
    stuck = asyncio.create_task(workers.run(loop_for_ever, str(tmp_path / "started")))
    await until_exists(tmp_path / "started")
    stuck.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stuck
    async with asyncio.timeout(20):
        assert (await workers.run(echo, 1))[0] == (1,)


async def test_cancelling_a_short_task_keeps_the_process(workers: ImagingWorkers, tmp_path: Path) -> None:
    before = await workers.run(name_process)
    short = asyncio.create_task(workers.run(work_a_moment, str(tmp_path / "started")))
    await until_exists(tmp_path / "started")
    short.cancel()
    with pytest.raises(asyncio.CancelledError):
        await short
    assert await workers.run(name_process) == before


async def test_cancelling_while_waiting_for_a_slot(workers: ImagingWorkers, tmp_path: Path) -> None:
    stuck = asyncio.create_task(workers.run(loop_for_ever, str(tmp_path / "started")))
    await until_exists(tmp_path / "started")
    waiting = asyncio.create_task(workers.run(echo, 1))
    await asyncio.sleep(0)
    for task in (waiting, stuck):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await workers.run(echo, 2))[0] == (2,)


async def test_cancelling_at_once_leaves_no_process_behind(workers: ImagingWorkers) -> None:
    task = asyncio.create_task(workers.run(echo, 1))
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await workers.close()
    assert workers.process_ids == ()


async def test_closing_ends_tasks_and_processes(tmp_path: Path) -> None:
    pool = ImagingWorkers(1, task_timeout_s=20, memory_mib=512)
    stuck = asyncio.create_task(pool.run(loop_for_ever, str(tmp_path / "started")))
    await until_exists(tmp_path / "started")
    (process_id,) = pool.process_ids
    await pool.close()
    with pytest.raises(ImagingFailed):
        await stuck
    with pytest.raises(ProcessLookupError):
        os.kill(process_id, 0)
    with pytest.raises(ShuttingDown):
        await pool.run(echo, 1)


async def test_closing_ends_a_process_that_is_being_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    may_start, processes = threading.Event(), []

    def start_late(descriptor: int) -> subprocess.Popen[bytes]:
        (tmp_path / "asked").touch()
        assert may_start.wait(20)
        processes.append(_start_process(descriptor))
        return processes[0]

    monkeypatch.setattr("gateway.imaging.workers._start_process", start_late)
    pool = ImagingWorkers(1, task_timeout_s=20, memory_mib=512)
    late = asyncio.create_task(pool.run(echo, 1))
    await until_exists(tmp_path / "asked")
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    may_start.set()
    await closing
    with pytest.raises(ShuttingDown):
        await late
    assert (pool.process_ids, processes[0].returncode) == ((), -signal.SIGKILL)
