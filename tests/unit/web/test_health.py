"""Liveness, readiness and the list of backends; archives are asked seldom and never waited for too long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from gateway.errors import ConnectFailed, GatewayError, ShuttingDown
from gateway.web import health
from gateway.web.health import add_health_routes
from tests.support.http_server import serve
from tests.support.wado import fetch
from tests.unit.web.test_routes import make_backend


class Echo:
    """A verification that answers as told and counts."""

    def __init__(self, answer: GatewayError | None = None) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self) -> None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.answer is not None:
            raise self.answer


async def ask(path: str, *verifications: Callable[[], Awaitable[None]], times: int = 1) -> tuple[int, Any]:
    app = web.Application()
    backends = [
        replace(make_backend(is_default=number == 0), name=f"pacs{number}", verify=verify)
        for number, verify in enumerate(verifications)
    ]
    add_health_routes(app, backends)
    async with serve(app) as url:
        answers = await asyncio.gather(*(fetch(url + path, None) for _ in range(times)))
    assert ("Retry-After" in answers[0].headers) is (answers[0].status == 503)
    return answers[0].status, json.loads(answers[0].body)


async def test_alive_without_asking_anybody() -> None:
    echo = Echo(ConnectFailed("PACS", "refused"))
    status, body = await ask("/healthz", echo)
    assert (status, body["status"], echo.asked) == (200, "ok", 0)


async def test_ready_while_one_archive_answers() -> None:
    status, body = await ask("/readyz", Echo(), Echo(ConnectFailed("PACS", "refused")))
    assert status == 200
    assert body == {"status": "ready", "backends": {"pacs0": "reachable", "pacs1": "ConnectFailed"}}


@pytest.mark.parametrize("failure", [ConnectFailed("PACS", "refused"), ShuttingDown("closing")])
async def test_not_ready_while_none_does(failure: GatewayError) -> None:
    status, body = await ask("/readyz", Echo(failure))
    assert (status, body["backends"]) == (503, {"pacs0": type(failure).__name__})


async def test_an_archive_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "VERIFY_TIMEOUT_S", 0.01)
    status, body = await ask("/readyz", asyncio.Event().wait)  # type: ignore[arg-type]
    assert (status, body["backends"]) == (503, {"pacs0": "NoAnswer"})


async def test_many_probes_are_one_question() -> None:
    echo = Echo()
    status, body = await ask("/backends", echo, times=10)
    assert (status, echo.asked) == (200, 1)
    described = body["backends"][0]
    assert described["name"] == "pacs0" and described["reachable"] and described["dicomweb"] == "/dicomweb"


async def test_an_old_answer_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "FRESH_S", -1.0)
    echo = Echo()
    await ask("/readyz", echo, times=3)
    assert echo.asked == 3
