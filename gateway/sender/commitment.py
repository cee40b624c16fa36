"""Storage commitment as a client: the archive's own word for what was sent (PS3.18 §13).

A service that is busy while it is asked for the result is asked again, as long as there is time; one that is busy when
the request is made is not.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
import orjson

from gateway.sender.files import InstanceFile
from gateway.sender.stow import BUSY, choose_pause

__all__ = ["CommitmentFailed", "commit"]

JSON = "application/dicom+json"
SHORT_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0

_REFERENCED, _FAILED = "00081199", "00081198"
_CLASS, _INSTANCE, _REASON = "00081150", "00081155", "00081197"


class CommitmentFailed(Exception):
    """The service does not offer storage commitment, refused it, did not answer in time or not with a result."""


async def commit(
    session: aiohttp.ClientSession,
    url: str,
    files: Sequence[InstanceFile],
    *,
    limit_s: float,
    pause: Callable[[float], Any] = asyncio.sleep,
) -> dict[str, str]:
    """Ask for commitment to `files` and wait for the result.

    Returns
    -------
    dict of str to str
        Why not, by SOP Instance UID, of those the archive did not commit to; empty if it committed to all.

    Raises
    ------
    CommitmentFailed
        No result within `limit_s` seconds, or an answer that is none.
    """
    target = f"{url.rstrip('/')}/commitment-requests/2.25.{uuid.uuid4().int}"
    references = {file.sop_instance_uid: file.sop_class_uid for file in files}
    items = [{_CLASS: _ui(sop_class), _INSTANCE: _ui(uid)} for uid, sop_class in references.items()]
    request = {_REFERENCED: {"vr": "SQ", "Value": items}}
    status = 0
    try:
        async with asyncio.timeout(limit_s):
            headers = {"Content-Type": JSON, "Accept": JSON}
            async with session.post(target, json=request, headers=headers) as response:
                module, told_s = await _read(response), response.headers.get("Retry-After", "")
            wait_s = SHORT_PAUSE_S
            while module is None:
                await pause(max(choose_pause(told_s, wait_s), SHORT_PAUSE_S))
                wait_s = min(2 * wait_s, LONGEST_PAUSE_S)
                async with session.get(target, headers={"Accept": JSON}) as response:
                    status, told_s = response.status, response.headers.get("Retry-After", "")
                    module = None if status in BUSY else await _read(response)
    except TimeoutError:
        told = f", at last status {status}" if status in BUSY else ""
        raise CommitmentFailed(f"no result within {limit_s:g} s{told}") from None
    except aiohttp.ClientError as error:
        raise CommitmentFailed(f"{type(error).__name__}: {error}") from error
    try:
        return _list_failures(references, module)
    except (ValueError, TypeError, AttributeError, LookupError):
        raise CommitmentFailed("the answer is no response module") from None


async def _read(response: aiohttp.ClientResponse) -> dict[str, Any] | None:
    if response.status == 202:
        return None
    if response.status != 200:
        raise CommitmentFailed(f"status {response.status}")
    try:
        found = orjson.loads(await response.read())
    except ValueError:
        raise CommitmentFailed("the answer is no JSON") from None
    if not isinstance(found, dict):
        raise CommitmentFailed("the answer is no response module")
    return found


def _list_failures(references: dict[str, str], module: dict[str, Any]) -> dict[str, str]:
    committed = {_first(item, _INSTANCE) for item in module.get(_REFERENCED, {}).get("Value", [])}
    reasons = {_first(item, _INSTANCE): _first(item, _REASON) for item in module.get(_FAILED, {}).get("Value", [])}
    return {
        uid: f"failure reason {int(reasons[uid] or 0):04X}" if uid in reasons else "the result does not name it"
        for uid in references
        if uid in reasons or uid not in committed
    }


def _ui(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def _first(item: dict[str, Any], tag: str) -> Any:
    return (item.get(tag, {}).get("Value") or [""])[0]
