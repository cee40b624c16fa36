"""STOW-RS as a client: portions, bodies, responses, attempts."""

from __future__ import annotations

import errno
import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateway.codecs.multipart import MultipartReader, PartChunk, PartStart
from gateway.sender.files import InstanceFile
from gateway.sender.stow import ServiceUnavailable, StowClient, divide, read_response
from tests.support.http_server import serve


def make_file(folder: Path, number: int, size: int = 10, study: str = "1.3") -> InstanceFile:
    path = folder / f"{number}.dcm"
    path.write_bytes(bytes([number]) * size)
    return InstanceFile(path, size, 0, "1.1", f"1.2.{number}", study)


def module(stored: list[str], failed: list[str] | None = None) -> bytes:
    def items(uids: list[str], **more: Any) -> dict[str, Any]:
        return {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [uid]}, **more} for uid in uids]}

    reason = {"00081197": {"vr": "US", "Value": [0xA700]}}
    return orjson.dumps({"00081199": items(stored), "00081198": items(failed or [], **reason)})


Answer = Callable[[web.Request, list[bytes]], Any]


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[str]:
    """A service that takes multiparts to their end and has `answer` say what became of the parts."""

    async def store(request: web.Request) -> web.StreamResponse:
        reader = MultipartReader(request.headers["Content-Type"].partition("boundary=")[2].strip('"'))
        parts: list[bytes] = []
        async for piece in request.content.iter_any():
            for event in reader.feed(piece):
                if isinstance(event, PartStart):
                    parts.append(b"")
                elif isinstance(event, PartChunk):
                    parts[-1] += event.data
        reader.finish()
        return answer(request, parts)

    app = web.Application()
    app.router.add_post("/dicomweb/studies", store)
    async with serve(app) as url:
        yield f"{url}/dicomweb/"


# --- portions ---


def test_portions_are_of_one_study_and_within_the_limits(tmp_path: Path) -> None:
    files = [
        make_file(tmp_path, number, size, study)
        for number, (size, study) in enumerate(
            [(10, "1.4"), (10, "1.3"), (10, "1.3"), (10, "1.3"), (50, "1.3"), (5, "1.3")]
        )
    ]
    portions = divide(files, max_files=2, max_bytes=30)
    assert [[file.sop_instance_uid for file in portion] for portion in portions] == [
        ["1.2.1", "1.2.2"],
        ["1.2.3"],
        ["1.2.4"],
        ["1.2.5"],
        ["1.2.0"],
    ]


# --- requests ---


async def never(seconds: float) -> None:
    raise AssertionError("nothing to wait for")


async def test_bodies_are_the_files(tmp_path: Path) -> None:
    files = [make_file(tmp_path, 1, 700_000), make_file(tmp_path, 2, 1)]
    seen: list[list[bytes]] = []
    counted: list[int] = []

    def answer(request: web.Request, parts: list[bytes]) -> web.Response:
        seen.append(parts)
        assert request.headers["Accept"] == "application/dicom+json"
        return web.Response(body=module(["1.2.1", "1.2.2"]))

    async with serving(answer) as url, aiohttp.ClientSession() as session:
        outcomes = await StowClient(session, url, on_bytes=counted.append).store(files)
    assert seen == [[b"\1" * 700_000, b"\2"]]
    assert [outcome.trouble for outcome in outcomes] == ["", ""] and sum(counted) == 700_001


async def test_a_busy_service_is_asked_again_when_it_says(tmp_path: Path) -> None:
    answers = [
        web.Response(status=503, headers={"Retry-After": "7"}),
        web.Response(status=502),
        web.Response(body=module(["1.2.1"])),
    ]
    pauses: list[float] = []
    counted: list[int] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async with serving(lambda request, parts: answers.pop(0)) as url, aiohttp.ClientSession() as session:
        client = StowClient(session, url, on_bytes=counted.append, pause=pause)
        (outcome,) = await client.store([make_file(tmp_path, 1)])
    assert not outcome.trouble and pauses == [7.0, 4.0] and sum(counted) == 10


async def test_files_that_vanish_do_not_keep_the_others_back(tmp_path: Path) -> None:
    files = [make_file(tmp_path, number, 700_000) for number in range(1, 7)]
    for gone in (2, 3, 5):
        files[gone - 1].path.unlink()
    requests: list[int] = []
    counted: list[int] = []

    def answer(request: web.Request, parts: list[bytes]) -> web.Response:
        requests.append(len(parts))
        return web.Response(body=module(["1.2.1", "1.2.4", "1.2.6"]))

    async with serving(answer) as url, aiohttp.ClientSession() as session:
        outcomes = await StowClient(session, url, on_bytes=counted.append, pause=never).store(files)
    gone_trouble = "cannot be read: No such file or directory"
    troubles = {outcome.file.sop_instance_uid: outcome.trouble for outcome in outcomes}
    assert troubles == {f"1.2.{number}": gone_trouble if number in (2, 3, 5) else "" for number in range(1, 7)}
    assert requests == [3] and sum(counted) == 3 * 700_000 and len(outcomes) == 6


async def test_where_all_files_vanish_nothing_is_left_to_send(tmp_path: Path) -> None:
    files = [make_file(tmp_path, number) for number in (1, 2)]
    for file in files:
        file.path.unlink()
    async with serving(lambda request, parts: web.Response()) as url, aiohttp.ClientSession() as session:
        outcomes = await StowClient(session, url, pause=never).store(files)
    assert [outcome.file for outcome in outcomes] == files
    assert {outcome.trouble for outcome in outcomes} == {"cannot be read: No such file or directory"}


async def test_a_file_that_cannot_be_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [make_file(tmp_path, number, 700_000) for number in (1, 2, 3)]

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    def open_broken(path: Path, mode: str) -> BinaryIO:
        return Broken(path.read_bytes()) if path == files[1].path else path.open("rb")

    monkeypatch.setattr("gateway.sender.stow.open", open_broken, raising=False)
    seen: list[list[bytes]] = []

    def answer(request: web.Request, parts: list[bytes]) -> web.Response:
        seen.append([part[:1] for part in parts])
        return web.Response(body=module(["1.2.1", "1.2.2", "1.2.3"]))

    async with serving(answer) as url, aiohttp.ClientSession() as session:
        outcomes = await StowClient(session, url, pause=never).store(files)
    assert seen == [[b"\1", b"\3"]]
    assert [(outcome.file, outcome.trouble) for outcome in outcomes] == [
        (files[1], "cannot be read: Input/output error"),
        (files[0], ""),
        (files[2], ""),
    ]


async def test_a_service_that_cannot_be_had(tmp_path: Path) -> None:
    async def pause(seconds: float) -> None:
        return

    def refuse(request: web.Request, parts: list[bytes]) -> web.Response:
        return web.Response(status=503, body=b'{"detail":"archive A is unreachable"}')

    def cut(request: web.Request, parts: list[bytes]) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    for answer, told in ((refuse, "status 503: archive A is unreachable"), (cut, "ServerDisconnected")):
        async with serving(answer) as url, aiohttp.ClientSession() as session:
            with pytest.raises(ServiceUnavailable, match=told):
                await StowClient(session, url, pause=pause).store([make_file(tmp_path, 1)])


# --- responses ---


@pytest.mark.parametrize(
    ("status", "body", "troubles"),
    [
        (200, module(["1.2.1", "1.2.2"]), ["", ""]),
        (202, module(["1.2.2"], ["1.2.1"]), ["failure reason A700", ""]),
        (202, b"[" + module(["1.2.2"], ["1.2.1"]) + b"]", ["failure reason A700", ""]),
        (200, module(["1.2.1"]), ["", "the response does not name it"]),
        (200, b"{}", ["status 200"] * 2),
        (200, b"", ["status 200"] * 2),
        (200, b"[1]", ["status 200"] * 2),
        (409, module([], ["1.2.1", "1.2.2"]), ["failure reason A700"] * 2),
        (400, b'{"detail":"no boundary"}', ["status 400: no boundary"] * 2),
        (404, b"<html>", ["status 404"] * 2),
    ],
)
def test_responses(tmp_path: Path, status: int, body: bytes, troubles: list[str]) -> None:
    files = [make_file(tmp_path, 1), make_file(tmp_path, 2)]
    assert [outcome.trouble for outcome in read_response(files, status, body)] == troubles
