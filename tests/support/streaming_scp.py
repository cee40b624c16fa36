"""An archive that holds one instance of any size without storing a byte of it; a program of its own.

It answers C-ECHO, C-FIND (whatever UIDs are asked for exist), C-GET and C-MOVE with a synthetic instance made as it
is sent, and takes C-STOREs at a chosen pace and forgets them. Speaks with the gateway's own upper layer: what is
measured with it is memory, what proves the protocol are the other archives. Run by `StreamingArchive`:
``python -m tests.support.streaming_scp FRAMES STORE_MB_PER_S MOVE_PORT``; it prints its port, then one word for
each association that ended.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import time
from typing import Any

from gateway.codecs.dicom_json import read_data_set
from gateway.codecs.identifier import encode_identifier
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.config import DimseSettings, LogSettings
from gateway.dimse.acceptor import Acceptor
from gateway.dimse.association import Association
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.contexts import Proposal, ProposedSyntax
from gateway.dimse.messages import MessageStart
from gateway.dimse.requestor import Peer, open_association
from gateway.dimse.scp.verification import VerificationProvider
from gateway.dimse.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gateway.dimse.ul.events import AssociateAccept, AssociateRequest, ProposedContext
from gateway.errors import BackendError, ConnectionLost
from gateway.log import configure_logging
from tests.support.peers import LOOPBACK
from tests.support.scp_process import ScpProcess
from tests.support.synthetic_instance import ENHANCED_CT, FRAME_BYTES, SyntheticInstance

__all__ = ["StreamingArchive"]

AE_TITLE = "STREAM"
FRAGMENT_BYTES = 65_536
STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
START_LIMIT_S = 30.0


# --- the program -------------------------------------------------------------------------------------------------


class _Provider:
    """What its services share: one abstract syntax, Explicit VR Little Endian."""

    request: CommandField
    abstract_syntax: str
    is_scu = False

    def __init__(self, frames: int) -> None:
        self.frames = frames

    def serves(self, abstract_syntax: str) -> bool:
        return abstract_syntax == self.abstract_syntax

    def choose(self, context: ProposedContext, calling_ae_title: str) -> str | None:
        return EXPLICIT_VR_LE if EXPLICIT_VR_LE in context.transfer_syntaxes else None

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        raise NotImplementedError


async def _read_keys(association: Association) -> dict[str, Any]:
    return read_data_set(await association.read_data_set(), EXPLICIT_VR_LE, "ISO_IR 6")


def _answer(request: Command, status: int, **fields: Any) -> Command:
    return Command(
        command_field=CommandField(request.command_field | 0x8000),
        message_id_being_responded_to=request.message_id,
        affected_sop_class_uid=request.affected_sop_class_uid,
        status=status,
        **fields,
    )


def _name_instance(keys: dict[str, Any], frames: int) -> SyntheticInstance:
    """The instance with the UIDs asked for."""
    uids = {tag: (keys.get(tag, {}).get("Value") or [None])[0] for tag in (STUDY, SERIES, INSTANCE)}
    named = {"study_uid": uids[STUDY], "series_uid": uids[SERIES], "instance_uid": uids[INSTANCE]}
    return SyntheticInstance(frames, **{name: uid for name, uid in named.items() if uid})


class _Find(_Provider):
    request = CommandField.C_FIND_RQ
    abstract_syntax = STUDY_ROOT_FIND

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        keys = await _read_keys(association)
        instance = _name_instance(keys, self.frames)
        held = {STUDY: instance.study_uid, SERIES: instance.series_uid, INSTANCE: instance.instance_uid}
        held |= {"00080016": ENHANCED_CT, "00080060": "CT"}
        match = {tag: attribute | {"Value": [held[tag]]} for tag, attribute in keys.items() if tag in held}
        match["00080052"] = keys["00080052"]
        pending = _answer(message.command, 0xFF00, has_data_set=True)
        await association.send(message.context_id, pending, encode_identifier(match, EXPLICIT_VR_LE))
        await association.send(message.context_id, _answer(message.command, 0))


async def _send_instance(association: Association, instance: SyntheticInstance, **originator: Any) -> int:
    """Send C-STORE-RQ, make the data set as it goes, and answer the status of the response."""
    context = association.contexts.find(ENHANCED_CT, EXPLICIT_VR_LE)
    assert context is not None
    request = Command(
        command_field=CommandField.C_STORE_RQ,
        message_id=association.next_message_id(),
        affected_sop_class_uid=ENHANCED_CT,
        affected_sop_instance_uid=instance.instance_uid,
        priority=0,
        has_data_set=True,
        **originator,
    )
    await association.send(context.context_id, request)
    head = instance.encode_head()
    await association.write_parts(
        [association.frame_fragment(context.context_id, last=False, length=len(head)), head],
    )
    for number, filling in instance.iter_frames():
        is_last = int.from_bytes(number, "little") == instance.frames
        await association.write_parts(_fragment_frame(association, context.context_id, number, filling, is_last))
    answer = await association.receive(None, waiting_for="C-STORE-RSP")
    return answer.command.status or 0


def _fragment_frame(
    association: Association, context_id: int, number: bytes, filling: bytes, is_last: bool
) -> list[bytes | memoryview]:
    view = memoryview(filling)
    ends = range(FRAGMENT_BYTES - len(number), FRAME_BYTES, FRAGMENT_BYTES)
    parts: list[bytes | memoryview] = []
    for end in ends:
        last = is_last and end == ends[-1]
        parts.append(association.frame_fragment(context_id, last=last, length=FRAGMENT_BYTES))
        parts += [number, view[:end]] if end == ends[0] else [view[end - FRAGMENT_BYTES : end]]
    return parts


class _Get(_Provider):
    request = CommandField.C_GET_RQ
    abstract_syntax = STUDY_ROOT_GET

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        status = await _send_instance(association, _name_instance(await _read_keys(association), self.frames))
        await association.send(message.context_id, _count(message.command, status))


def _count(request: Command, status: int) -> Command:
    failed = int(status != 0)
    counts = {"completed_suboperations": 1 - failed, "failed_suboperations": failed, "warning_suboperations": 0}
    return _answer(request, 0xA702 if failed else 0, **counts)


class _Move(_Provider):
    request = CommandField.C_MOVE_RQ
    abstract_syntax = STUDY_ROOT_MOVE

    def __init__(self, frames: int, port: int) -> None:
        super().__init__(frames)
        self._port = port

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        instance = _name_instance(await _read_keys(association), self.frames)
        destination = message.command.move_destination or ""
        peer = Peer(LOOPBACK, self._port, destination, AE_TITLE, 131_072, 5, 5, 60)
        channel = await open_association(peer, Proposal((ProposedSyntax(ENHANCED_CT, (EXPLICIT_VR_LE,)),)))
        try:
            status = await _send_instance(
                channel,
                instance,
                move_originator_ae_title=calling_ae_title,
                move_originator_message_id=message.command.message_id,
            )
        finally:
            await channel.release()
        await association.send(message.context_id, _count(message.command, status))


class _Store(_Provider):
    request = CommandField.C_STORE_RQ
    abstract_syntax = ENHANCED_CT

    def __init__(self, frames: int, bytes_per_s: float) -> None:
        super().__init__(frames)
        self._bytes_per_s = bytes_per_s

    async def handle(self, association: Association, message: MessageStart, calling_ae_title: str) -> None:
        began, taken = time.monotonic(), 0
        while (piece := await association.read_piece()) is not None:
            taken += len(piece)
            await asyncio.sleep(max(began + taken / self._bytes_per_s - time.monotonic(), 0))
        status = 0 if taken == SyntheticInstance(self.frames).size else 0xC000
        uid = message.command.affected_sop_instance_uid
        await association.send(message.context_id, _answer(message.command, status, affected_sop_instance_uid=uid))


class _Acceptor(Acceptor):
    """Grants every role, and says how each association ended."""

    def _accept(self, request: AssociateRequest) -> AssociateAccept:
        return dataclasses.replace(super()._accept(request), roles=request.roles)

    async def _serve_messages(self, association: Association, calling_ae_title: str) -> None:
        try:
            await super()._serve_messages(association, calling_ae_title)
        except ConnectionLost as error:
            print("released" if "released" in str(error) else "lost", flush=True)
            raise
        except BackendError:
            print("aborted", flush=True)
            raise


async def _serve(frames: int, store_bytes_per_s: float, move_port: int) -> None:
    settings = DimseSettings(listen=f"{LOOPBACK}:0", idle_timeout_s=600)
    providers = (
        VerificationProvider(),
        _Find(frames),
        _Get(frames),
        _Move(frames, move_port),
        _Store(frames, store_bytes_per_s),
    )
    acceptor = _Acceptor(settings, lambda: frozenset({AE_TITLE}), providers)
    await acceptor.start()
    print(acceptor.port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until whoever started it is gone


# --- as tests use it ---------------------------------------------------------------------------------------------


class StreamingArchive(ScpProcess):
    """The program above as a child process; a context manager that ends it.

    Parameters
    ----------
    frames
        Of the instance, half a MiB each.
    store_mb_per_s
        At which it takes C-STOREs.
    move_port
        Where it sends for C-MOVE, whatever the destination is called.

    Attributes
    ----------
    ends : list of str
        How each association ended so far: ``released``, ``aborted`` or ``lost``.
    """

    ae_title = AE_TITLE

    def __init__(self, frames: int, *, store_mb_per_s: float = 1_000, move_port: int = 0) -> None:
        super().__init__(__name__, frames, store_mb_per_s, move_port)
        self.ends: list[str] = []

    def _take(self, line: str) -> None:
        self.ends.append(line)


if __name__ == "__main__":
    configure_logging(LogSettings(level="error"))
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]) * 1e6, int(sys.argv[3])))
