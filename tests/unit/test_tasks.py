"""Background tasks: named, kept, their failures logged without the text of the exception."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from gateway.tasks import cancel_and_wait, running_tasks, start_task


async def test_a_task_is_known_by_name_until_it_ends() -> None:
    release = asyncio.Event()
    task = start_task(release.wait(), name="waiting")
    assert running_tasks() == ["waiting"]
    release.set()
    assert await task is True
    assert running_tasks() == []


async def test_a_failure_is_logged_without_its_text() -> None:
    async def fail() -> None:
        raise ValueError("Doe^Jane")

    with capture_logs() as logs:
        task = start_task(fail(), name="failing")
        await asyncio.wait({task})
        await asyncio.sleep(0)
    assert [(line["event"], line["task"], line["error"]) for line in logs] == [("task_failed", "failing", "ValueError")]
    assert "fail" in logs[0]["where"][-1]
    assert "Jane" not in str({**logs[0], "where": ""})


async def test_cancellation_is_no_failure() -> None:
    with capture_logs() as logs:
        task = start_task(asyncio.Event().wait(), name="cancelled")
        await cancel_and_wait(task)
    assert task.cancelled()
    assert logs == []


async def test_waiting_for_a_cancelled_task_has_a_limit() -> None:
    release = asyncio.Event()

    async def resist() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = start_task(resist(), name="resisting")
    await asyncio.sleep(0)
    await cancel_and_wait(task, timeout=0.01)
    assert not task.done()
    release.set()
    await task
