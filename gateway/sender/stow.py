"""STOW-RS as a client: files to one request, its response to an outcome a file (PS3.18 §10.5.1, Annex I).

A body is streamed from disk. An instance of which the response says nothing counts as not stored. So does a file that
cannot be read any more: its request is given up, and what else was in it is sent without it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from gateway.codecs.multipart import MultipartEncoder
from gateway.sender.files import InstanceFile, describe_fault

__all__ = ["BUSY", "Outcome", "ServiceUnavailable", "StowClient", "choose_pause", "divide", "read_response"]

BUSY = frozenset({429, 502, 503, 504})
"""Statuses after which the same request may succeed later."""

READ_BYTES = 262_144
ATTEMPTS = 4
PAUSE_S = 2.0
"""Before the second attempt, twice as long before each further one, unless the service says how long."""
LONGEST_PAUSE_S = 60.0

_REFERENCED, _FAILED = "00081199", "00081198"
_INSTANCE, _REASON, _WARNING = "00081155", "00081197", "00081196"


class ServiceUnavailable(Exception):
    """The service could not be reached, or refused, as often as is worth trying."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file; `trouble` is empty for a stored one, `warning` a status that came with success."""

    file: InstanceFile
    trouble: str = ""
    warning: int = 0


@dataclass(slots=True)
class _Attempt:
    """One request: bytes of files sent, which files could not be read, what the service answered."""

    sent: int = 0
    unreadable: dict[InstanceFile, str] = field(default_factory=dict)
    status: int = 0
    body: bytes = b""


def divide(files: Sequence[InstanceFile], *, max_files: int, max_bytes: int) -> list[list[InstanceFile]]:
    """Portions for one request each, of one study each; a file over `max_bytes` goes alone."""
    portions: list[list[InstanceFile]] = []
    size = 0
    for file in sorted(files, key=lambda file: file.study_uid):
        last = portions[-1] if portions else []
        is_same = bool(last) and last[-1].study_uid == file.study_uid
        if is_same and len(last) < max_files and size + file.size <= max_bytes:
            last.append(file)
            size += file.size
        else:
            portions.append([file])
            size = file.size
    return portions


class StowClient:
    """Stores through one service.

    Parameters
    ----------
    url
        The service root, for instance ``https://host/dicomweb``.
    on_bytes
        Told of each piece of a file that was read for sending; negative where it will be sent again.
    pause
        Waits, in seconds; for tests.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        on_bytes: Callable[[int], None] = lambda count: None,
        pause: Callable[[float], Any] = asyncio.sleep,
    ) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._on_bytes = on_bytes
        self._pause = pause

    async def store(self, files: Sequence[InstanceFile]) -> list[Outcome]:
        """Send `files` in one request; again where the service was busy or the connection broke.

        Returns
        -------
        list of Outcome
            One for each file; those that could not be read come first.

        Raises
        ------
        ServiceUnavailable
            Every attempt failed.
        """
        unreadable: dict[InstanceFile, str] = {}
        while waiting := [file for file in files if file not in unreadable]:
            attempt = await self._try(waiting)
            if not attempt.unreadable:
                return [*_tell(unreadable), *read_response(waiting, attempt.status, attempt.body)]
            unreadable |= attempt.unreadable | await asyncio.to_thread(_find_unreadable, waiting)
        return _tell(unreadable)

    async def _try(self, files: Sequence[InstanceFile]) -> _Attempt:
        """The attempt that came to an end: with an answer of the service, or with a file that cannot be read."""
        trouble, wait_s = "", 0.0
        for number in range(ATTEMPTS):
            if number:
                await self._pause(wait_s)
            wait_s = min(PAUSE_S * 2**number, LONGEST_PAUSE_S)
            attempt = _Attempt()
            try:
                async with self._send(files, attempt) as response:
                    attempt.status, attempt.body = response.status, await response.read()
                    told_s = response.headers.get("Retry-After", "")
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            else:
                if not attempt.unreadable and attempt.status not in BUSY:
                    return attempt
                trouble = _describe_status(attempt.status, attempt.body)
                wait_s = choose_pause(told_s, wait_s)
            self._on_bytes(-attempt.sent)
            if attempt.unreadable:
                return attempt
        raise ServiceUnavailable(trouble)

    def _send(self, files: Sequence[InstanceFile], attempt: _Attempt) -> Any:
        encoder = MultipartEncoder("application/dicom", secrets.token_hex(16))
        headers = {"Content-Type": encoder.content_type, "Accept": "application/dicom+json"}
        body = self._iter_body(files, encoder, attempt)
        return self._session.post(f"{self._url}/studies", data=body, headers=headers)

    async def _iter_body(
        self, files: Sequence[InstanceFile], encoder: MultipartEncoder, attempt: _Attempt
    ) -> AsyncIterator[bytes]:
        for file in files:
            yield encoder.part_header("application/dicom")
            try:
                with await asyncio.to_thread(open, file.path, "rb") as source:
                    while piece := await asyncio.to_thread(source.read, READ_BYTES):
                        attempt.sent += len(piece)
                        self._on_bytes(len(piece))
                        yield piece
            except OSError as error:
                attempt.unreadable[file] = describe_fault(error)
                raise  # the body ends without its closing boundary, so that no half of a file is stored
        yield encoder.closing()


def _find_unreadable(files: Sequence[InstanceFile]) -> dict[InstanceFile, str]:
    # Where one file is gone the others often are too: found here they do not cost a request each.
    found = {}
    for file in files:
        try:
            file.path.open("rb").close()
        except OSError as error:
            found[file] = describe_fault(error)
    return found


def _tell(unreadable: Mapping[InstanceFile, str]) -> list[Outcome]:
    return [Outcome(file, f"cannot be read: {fault}") for file, fault in unreadable.items()]


def choose_pause(told_s: str, otherwise_s: float) -> float:
    """Seconds to wait: `told_s`, a Retry-After in seconds, up to a limit; `otherwise_s` where there is none."""
    return min(float(told_s), LONGEST_PAUSE_S) if told_s.isascii() and told_s.isdigit() else otherwise_s


def read_response(files: Sequence[InstanceFile], status: int, body: bytes) -> list[Outcome]:
    """The outcome of each file, from the response module where there is one."""
    try:
        module = orjson.loads(body)
        module = module[0] if isinstance(module, list) and module else module
        stored = {_first(item, _INSTANCE): _number(item, _WARNING) for item in _items(module, _REFERENCED)}
        failed = {_first(item, _INSTANCE): _number(item, _REASON) for item in _items(module, _FAILED)}
    except (ValueError, AttributeError, TypeError):
        stored, failed = {}, {}
    if not stored and not failed:
        return [Outcome(file, _describe_status(status, body)) for file in files]
    return [_judge(file, stored, failed) for file in files]


def _judge(file: InstanceFile, stored: Mapping[str, int], failed: Mapping[str, int]) -> Outcome:
    uid = file.sop_instance_uid
    if uid in failed:
        return Outcome(file, f"failure reason {failed[uid]:04X}")
    if uid in stored:
        return Outcome(file, warning=stored[uid])
    return Outcome(file, "the response does not name it")


def _describe_status(status: int, body: bytes) -> str:
    try:
        detail = str(orjson.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = ""
    return f"status {status}: {detail}" if detail else f"status {status}"


def _items(module: Mapping[str, Any], tag: str) -> list[dict[str, Any]]:
    return list(module.get(tag, {}).get("Value", []))


def _first(item: Mapping[str, Any], tag: str) -> str:
    return str((item.get(tag, {}).get("Value") or [""])[0])


def _number(item: Mapping[str, Any], tag: str) -> int:
    return int((item.get(tag, {}).get("Value") or [0])[0])
