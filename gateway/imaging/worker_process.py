"""A worker process: takes one task after the other from its socket, answers each, ends when the socket closes.

Started by ``workers`` as ``python -m gateway.imaging.worker_process FD``; nothing else runs it. Decoders are C code
that is fed by strangers, so the process is short of everything: limits of address space and of processor time, no core
file (it would hold a patient's picture), nothing logged (libraries quote values), lower priority than the event loop,
and an alarm that ends it should whoever started it be gone.

On the wire each message is a length of eight bytes and a pickle, in both directions between a parent and its own child.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import pickle
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any

from gateway.errors import GatewayError, ImagingFailed

__all__ = ["LENGTH", "PROCESSOR_TIME_SIGNAL", "Limits", "Outcome", "Task", "main"]

LENGTH = Struct("<Q")
"""Precedes each message."""

PROCESSOR_TIME_SIGNAL = signal.SIGPROF
"""Ends a process whose task has used up its time."""

_NICENESS = 5
_ALARM_LIMITS = 5  # by the clock, in limits of processor time
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """First message to a worker: what it may use, and where its parent finds modules."""

    memory_mib: int
    task_timeout_s: float
    module_paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """A module-level function and what to call it with."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task.

    Parameters
    ----------
    value
        What the function returned; or, where it raised a GatewayError, the type and the attributes of that.
    error
        The type of that error; None if there was none.
    defect : str
        The name of any other exception, "" without one.
    is_spent : bool
        The process ran out of memory and is not to be used again.
    """

    value: Any = None
    error: type[GatewayError] | None = None
    defect: str = ""
    is_spent: bool = False


def main(descriptor: int) -> None:
    """Serve the socket `descriptor` until the other side closes it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then closes the socket
    signal.signal(PROCESSOR_TIME_SIGNAL, signal.SIG_DFL)  # whoever started us may have ignored it
    with socket.socket(fileno=descriptor) as connection:
        if (first := _receive(connection)) is None:
            return
        limits: Limits = pickle.loads(first)
        del first
        _restrict(limits)
        while (message := _receive(connection)) is not None:
            signal.setitimer(signal.ITIMER_PROF, limits.task_timeout_s)
            signal.setitimer(signal.ITIMER_REAL, math.ceil(_ALARM_LIMITS * limits.task_timeout_s))
            answer = _answer(message)
            del message
            connection.sendall(LENGTH.pack(len(answer)))
            connection.sendall(answer)
            del answer
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.setitimer(signal.ITIMER_REAL, 0)


def _restrict(limits: Limits) -> None:
    sys.path[:] = [*dict.fromkeys([*limits.module_paths, *sys.path])]
    logging.disable()  # libraries quote values of the data set in what they log or warn of
    warnings.simplefilter("ignore")
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ceiling = limits.memory_mib * _MEBIBYTE
    resource.setrlimit(resource.RLIMIT_AS, (ceiling, ceiling))


def _answer(message: bytearray) -> bytes:
    try:
        return pickle.dumps(_run(message), protocol=pickle.HIGHEST_PROTOCOL)
    except MemoryError:
        gc.collect()
        reason = "the task needs more memory than allowed"
        return pickle.dumps(Outcome(((reason,), {"reason": reason}), ImagingFailed, is_spent=True))
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        return pickle.dumps(Outcome(defect=type(error).__name__))


def _run(message: bytearray) -> Outcome:
    try:
        task: Task = pickle.loads(message)
        return Outcome(task.function(*task.arguments, **task.keywords))
    except GatewayError as error:
        is_spent = isinstance(error.__cause__, MemoryError)
        return Outcome((error.args, dict(vars(error))), type(error), is_spent=is_spent)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the boundary of a task
        return Outcome(defect=type(error).__name__)


def _receive(connection: socket.socket) -> bytearray | None:
    """The next message; None at the end."""
    header = _receive_exactly(connection, LENGTH.size)
    return None if header is None else _receive_exactly(connection, LENGTH.unpack(header)[0])


def _receive_exactly(connection: socket.socket, length: int) -> bytearray | None:
    data = bytearray(length)
    view = memoryview(data)
    position = 0
    while position < length:
        count = connection.recv_into(view[position:])
        if count == 0:
            return None
        position += count
    return data


if __name__ == "__main__":
    from gateway.imaging.worker_process import main as serve  # under its own name, so that pickles find the classes

    serve(int(sys.argv[1]))
