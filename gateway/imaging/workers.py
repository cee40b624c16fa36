"""A bounded pool of worker processes, so that no picture is decoded on the event loop.

    workers = ImagingWorkers(count=2, task_timeout_s=30, memory_mib=1024)
    picture = await workers.run(render_frame, source, parameters)
    await workers.close()

Processes are spawned when they are first needed. Each has one task at a time, within limits of time and memory
(``worker_process``). One that crashes, is stuck or ran out of memory is replaced, and its task fails with
``ImagingFailed``: the fault is the picture's, so a task is not tried again. Whatever is waited for here, the event loop
only moves bytes. Made by ``app.py``, used by services.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, cast

import structlog

from gateway.errors import GatewayError, ImagingFailed, ShuttingDown
from gateway.imaging.worker_process import LENGTH, PROCESSOR_TIME_SIGNAL, Limits, Outcome, Task
from gateway.tasks import start_task

__all__ = ["ImagingWorkers"]

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

_MODULE = "gateway.imaging.worker_process"
_ABANDONED_S = 0.5  # a task nobody waits for any more may end within this, so that its process need not be replaced
_RECEIVE_BYTES = 1024 * 1024
_PATIENCE = 4  # times the limit of processor time
_ENDING_S = 5  # a process whose socket is closed is gone soon
# numeric libraries start a thread for each processor otherwise, and each reserves address space
_ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_log = structlog.get_logger(__name__)


class ImagingWorkers:
    """Runs functions in worker processes.

    Parameters
    ----------
    count : int
        Processes at most; 0 for one per core.
    task_timeout_s : float
        A task that takes more processor time is ended with its process; so is one that takes four times as long by the
        clock. On a machine that has much else to do a picture is late, and not a failure.
    memory_mib : int
        Address space of one process.
    """

    def __init__(self, count: int = 0, task_timeout_s: float = 30, memory_mib: int = 1024) -> None:
        self._count = count or len(os.sched_getaffinity(0))
        self._limits = Limits(memory_mib, task_timeout_s, tuple(sys.path))
        self._slots = asyncio.Semaphore(self._count)
        self._idle: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._jobs: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    @property
    def count(self) -> int:
        """Processes at most, and so tasks at a time."""
        return self._count

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Of the processes that run now."""
        return tuple(sorted(worker.process_id for worker in self._all))

    async def run(self, function: Callable[P, T], /, *arguments: P.args, **keywords: P.kwargs) -> T:
        """Call `function` in a worker process, waiting for a free one first.

        Cancelling it lets a task that is nearly done end, and ends the process of one that is not.

        Parameters
        ----------
        function
            Importable, at the top of its module.
        *arguments, **keywords
            Can be pickled, as the result must be.

        Raises
        ------
        ImagingFailed
            The process crashed, the task took too long or needed too much memory, or the function failed with
            something that is no GatewayError.
        GatewayError
            What the function raised.
        ShuttingDown
            The pool is closed.
        """
        message = pickle.dumps(Task(function, arguments, dict(keywords)), protocol=pickle.HIGHEST_PROTOCOL)
        await self._slots.acquire()
        if self._is_closed:
            self._slots.release()
            raise ShuttingDown("the gateway is shutting down")
        job = self._keep(self._perform(message))
        del message
        try:
            outcome = await asyncio.shield(job)
        except asyncio.CancelledError:
            self._keep(_outlast(job))
            raise
        return cast(T, _unwrap(outcome))

    async def close(self) -> None:
        """End every process; tasks under way fail with ImagingFailed. Returns when all have ended."""
        self._is_closed = True
        for worker in self._all:
            worker.kill()
        if self._jobs:
            await asyncio.wait(self._jobs)
        for worker in list(self._all):
            await self._dismiss(worker)

    def _keep(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        task = start_task(work, name="imaging")
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
        return task

    async def _perform(self, message: bytes) -> Outcome:
        """Do one task with a slot that is held, and give both worker and slot back."""
        try:
            worker = await self._take_worker()
            try:
                outcome = await worker.exchange(message)
            except asyncio.CancelledError:
                await self._dismiss(worker)
                raise
            if outcome.is_spent or self._is_closed:
                await self._dismiss(worker)
            else:
                self._idle.append(worker)
            return outcome
        except GatewayError as error:  # there is no worker; for whoever still waits
            return Outcome((error.args, dict(vars(error))), type(error))
        finally:
            self._slots.release()

    async def _take_worker(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive:
                return worker
            await self._dismiss(worker)
        spawning = self._keep(_Worker.spawn(self._limits))
        try:
            worker = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await (await spawning).end()
            raise
        self._all.add(worker)
        if self._is_closed:  # meanwhile
            await self._dismiss(worker)
            raise ShuttingDown("the gateway is shutting down")
        return worker

    async def _dismiss(self, worker: _Worker) -> None:
        """End `worker`; the next task spawns another."""
        self._all.discard(worker)
        await worker.end()


async def _outlast(job: asyncio.Task[Outcome]) -> None:
    """Let a task nobody waits for end if it soon does; else its process is ended."""
    if not (await asyncio.wait({job}, timeout=_ABANDONED_S))[0]:
        job.cancel()


class _Worker:
    """One process and the socket to it; made by :meth:`spawn`, ended by :meth:`end`."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, limits: Limits) -> None:
        self._process = process
        self._connection = connection
        self._limit_s = limits.task_timeout_s
        self.process_id = process.pid

    @classmethod
    async def spawn(cls, limits: Limits) -> _Worker:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.to_thread(_start_process, theirs.fileno())
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        worker = cls(process, ours, limits)
        try:
            await worker._send(pickle.dumps(limits))
        except OSError as error:
            await worker.end()
            raise ImagingFailed("the worker process ended before it had the task") from error
        return worker

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    async def exchange(self, message: bytes) -> Outcome:
        """Have one task done; a worker that crashed, did not answer in time or answered nonsense is spent."""
        patience_s = _PATIENCE * self._limit_s
        try:
            async with asyncio.timeout(patience_s):
                await self._send(message)
                outcome: Outcome = pickle.loads(await self._receive())
                return outcome
        except TimeoutError:
            return self._give_up(f"the task took longer than {patience_s:g} s")
        except (OSError, EOFError):
            if await self._wait_for_end() == -PROCESSOR_TIME_SIGNAL:
                return self._give_up(f"the task took longer than {self._limit_s:g} s of processor time")
            return self._give_up("the worker process ended while it had the task")
        except Exception as error:  # noqa: BLE001 - whatever an answer ends in that cannot be read
            return self._give_up(f"the answer of the worker cannot be read: {type(error).__name__}")

    async def _wait_for_end(self) -> int | None:
        """The exit code of a process whose socket is closed, or None; a signal is a negative one."""
        try:
            return await asyncio.to_thread(self._process.wait, _ENDING_S)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        self._process.kill()

    async def end(self) -> None:
        """Kill the process if it still runs, and wait until it is gone."""
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        self._connection.close()

    def _give_up(self, reason: str) -> Outcome:
        _log.warning("imaging_worker_lost", reason=reason, exit_code=self._process.poll())
        return Outcome(((reason,), {"reason": reason}), ImagingFailed, is_spent=True)

    async def _send(self, message: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._connection, LENGTH.pack(len(message)))
        await loop.sock_sendall(self._connection, message)

    async def _receive(self) -> bytearray:
        return await self._receive_exactly(LENGTH.unpack(await self._receive_exactly(LENGTH.size))[0])

    async def _receive_exactly(self, length: int) -> bytearray:
        loop = asyncio.get_running_loop()
        data = bytearray(length)
        view = memoryview(data)
        position = 0
        while position < length:
            count = await loop.sock_recv_into(self._connection, view[position : position + _RECEIVE_BYTES])
            if count == 0:
                raise EOFError
            position += count
        return data


def _start_process(descriptor: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE, str(descriptor)],
        pass_fds=(descriptor,),
        stdin=subprocess.DEVNULL,
        env={**os.environ, **_ENVIRONMENT},
    )


def _unwrap(outcome: Outcome) -> Any:
    if outcome.error is not None:
        raise _rebuild(outcome.error, outcome.value[0], outcome.value[1])
    if outcome.defect:
        _log.error("imaging_task_failed", error=outcome.defect)
        raise ImagingFailed(f"the task failed: {outcome.defect}")
    return outcome.value


def _rebuild(kind: type[GatewayError], arguments: tuple[Any, ...], attributes: dict[str, Any]) -> GatewayError:
    """The error as it was raised, whatever its constructor takes."""
    error = kind.__new__(kind, *arguments)
    vars(error).update(attributes)
    return error
