"""Storage commitment as a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateway.sender.commitment import CommitmentFailed, commit
from gateway.sender.files import InstanceFile
from tests.support.http_server import serve

FILES = [InstanceFile(Path(f"{number}"), 1, 0, "1.1", f"1.2.{number}", "1.3") for number in (1, 2)]


def item(uid: str, **more: Any) -> dict[str, Any]:
    return {"00081150": {"vr": "UI", "Value": ["1.1"]}, "00081155": {"vr": "UI", "Value": [uid]}, **more}


BOTH = {"00081199": {"vr": "SQ", "Value": [item("1.2.1"), item("1.2.2")]}}


@asynccontextmanager
async def serving(*answers: tuple[int, Any], retry_after: str = "") -> AsyncIterator[tuple[str, list[Any]]]:
    """A service that gives one answer after the other, the last one for ever; bytes as they are, others as JSON."""
    seen: list[Any] = []
    left = list(answers)
    headers = {"Retry-After": retry_after} if retry_after else {}

    async def answer(request: web.Request) -> web.Response:
        seen.append((request.method, request.path, await request.json() if request.can_read_body else None))
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(
            body=body if isinstance(body, bytes) else orjson.dumps(body), status=status, headers=headers
        )

    app = web.Application()
    app.router.add_route("*", "/commitment-requests/{uid}", answer)
    async with serve(app) as url:
        yield url, seen


async def ask(url: str, *, limit_s: float = 10, pauses: list[float] | None = None) -> dict[str, str]:
    async def pause(seconds: float) -> None:
        if pauses is not None:
            pauses.append(seconds)

    async with aiohttp.ClientSession() as session:
        return await commit(session, url, FILES, limit_s=limit_s, pause=pause)


async def test_at_once_and_later() -> None:
    for answers in ([(200, BOTH)], [(202, None), (202, None), (200, BOTH)]):
        async with serving(*answers) as (url, seen):
            assert await ask(url) == {}
        assert [method for method, _, _ in seen] == ["POST", *["GET"] * (len(answers) - 1)]
        assert len({path for _, path, _ in seen}) == 1
        assert seen[0][2] == BOTH


async def test_what_is_not_committed_is_told() -> None:
    reason = {"00081197": {"vr": "US", "Value": [0x0112]}}
    result = {"00081198": {"vr": "SQ", "Value": [item("1.2.1", **reason)]}}
    async with serving((200, result)) as (url, _):
        assert await ask(url) == {"1.2.1": "failure reason 0112", "1.2.2": "the result does not name it"}


async def test_no_result() -> None:
    for status in (404, 410, 501, 503):
        async with serving((status, None)) as (url, _):
            with pytest.raises(CommitmentFailed, match=str(status)):
                await ask(url)
    async with serving((202, None)) as (url, _):
        with pytest.raises(CommitmentFailed, match="no result within"):
            await ask(url, limit_s=0.1)
    with pytest.raises(CommitmentFailed, match="Connect"):
        await ask(url)


async def test_a_service_that_is_busy_is_asked_for_the_result_again() -> None:
    answers = [(202, None), (503, None), (502, b"<html>"), (202, None), (503, None), (200, BOTH)]
    for retry_after, expected in (
        ("7", [7.0] * 5),
        ("0", [0.5] * 5),
        ("4000", [60.0] * 5),
        ("Fri, 31 Dec 1999 23:59:59 GMT", [0.5, 1.0, 2.0, 4.0, 8.0]),
        ("", [0.5, 1.0, 2.0, 4.0, 8.0]),
    ):
        pauses: list[float] = []
        async with serving(*answers, retry_after=retry_after) as (url, seen):
            assert await ask(url, pauses=pauses) == {}
        assert pauses == expected and [method for method, _, _ in seen] == ["POST", *["GET"] * 5]


async def test_a_service_that_stays_busy_and_one_that_refuses_the_result() -> None:
    async with serving((202, None), (503, None)) as (url, _):
        with pytest.raises(CommitmentFailed, match="^no result within 0.2 s, at last status 503$"):
            await ask(url, limit_s=0.2)
    async with serving((202, None), (410, None)) as (url, seen):
        with pytest.raises(CommitmentFailed, match="^status 410$"):
            await ask(url)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"<html>", "the answer is no JSON"),
        (b"", "the answer is no JSON"),
        (b"\xff\xfe", "the answer is no JSON"),
        (None, "the answer is no response module"),
        ("text", "the answer is no response module"),
        ({"00081199": []}, "the answer is no response module"),
        ({"00081199": {"Value": 5}}, "the answer is no response module"),
        ({"00081199": {"Value": ["1.2.1"]}}, "the answer is no response module"),
        ({"00081199": {"Value": [{"00081155": {"Value": {"a": 1}}}]}}, "the answer is no response module"),
        (
            {"00081198": {"Value": [item("1.2.1", **{"00081197": {"Value": ["x"]}})]}},
            "the answer is no response module",
        ),
    ],
)
async def test_an_answer_that_is_no_result(body: Any, told: str) -> None:
    for before in ([], [(202, None)]):
        async with serving(*before, (200, body)) as (url, _):
            with pytest.raises(CommitmentFailed, match=f"^{told}$"):
                await ask(url)
