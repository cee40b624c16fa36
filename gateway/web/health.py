"""Liveness, readiness and the list of backends: ``/healthz``, ``/readyz``, ``/backends``.

Readiness asks the archives by C-ECHO, at most every few seconds however often it is asked itself, so that
probes and status pages put no load on an archive.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway import __version__
from gateway.errors import GatewayError
from gateway.web.backends import BackendServices

__all__ = ["Health", "add_health_routes"]

FRESH_S = 3.0
"""How long an answer to a C-ECHO counts."""

VERIFY_TIMEOUT_S = 5.0
"""A probe must answer before its own client gives up; Kubernetes asks for far less than an archive may take."""


@dataclass(slots=True)
class _Verdict:
    reachable: bool
    reason: str
    at: float


class Health:
    """Knows which archives answer."""

    def __init__(self, backends: Sequence[BackendServices]) -> None:
        self._backends = backends
        self._verdicts: dict[str, _Verdict] = {}
        self._asking = {backend.name: asyncio.Lock() for backend in backends}

    async def describe_backends(self) -> list[dict[str, Any]]:
        """Each backend with its state, asked anew where the last answer is older than three seconds."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._describe(backend), name="health") for backend in self._backends]
        return [task.result() for task in tasks]

    async def _describe(self, backend: BackendServices) -> dict[str, Any]:
        verdict = await self._verify(backend)
        state: dict[str, Any] = {
            "name": backend.name,
            "ae_title": backend.ae_title,
            "default": backend.is_default,
            "dicomweb": backend.path,
            "reachable": verdict.reachable,
            "associations": backend.describe(),
        }
        return state if verdict.reachable else state | {"reason": verdict.reason}

    async def _verify(self, backend: BackendServices) -> _Verdict:
        async with self._asking[backend.name]:
            known = self._verdicts.get(backend.name)
            if known is None or time.monotonic() - known.at > FRESH_S:
                known = await _ask(backend)
                self._verdicts[backend.name] = known
            return known


async def _ask(backend: BackendServices) -> _Verdict:
    try:
        async with asyncio.timeout(VERIFY_TIMEOUT_S):
            await backend.verify()
    except GatewayError as error:
        return _Verdict(False, type(error).__name__, time.monotonic())
    except TimeoutError:
        return _Verdict(False, "NoAnswer", time.monotonic())
    return _Verdict(True, "", time.monotonic())


def add_health_routes(app: web.Application, backends: Sequence[BackendServices]) -> None:
    """Add ``/healthz``, ``/readyz`` and ``/backends``."""
    health = Health(backends)

    async def report_liveness(_: web.Request) -> web.Response:
        return _answer(200, {"status": "ok", "version": __version__})

    async def report_readiness(_: web.Request) -> web.Response:
        states = await health.describe_backends()
        ready = any(state["reachable"] for state in states)
        short = {state["name"]: "reachable" if state["reachable"] else state["reason"] for state in states}
        return _answer(200 if ready else 503, {"status": "ready" if ready else "not ready", "backends": short})

    async def list_backends(_: web.Request) -> web.Response:
        return _answer(200, {"version": __version__, "backends": await health.describe_backends()})

    app.router.add_get("/healthz", report_liveness)
    app.router.add_get("/readyz", report_readiness)
    app.router.add_get("/backends", list_backends)


def _answer(status: int, body: Mapping[str, Any]) -> web.Response:
    headers = {"Retry-After": "5"} if status == 503 else None
    return web.json_response(body, status=status, headers=headers)
