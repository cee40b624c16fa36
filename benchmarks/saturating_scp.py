"""An archive that is never what is measured: a C-GET SCP that sends prepared P-DATA as fast as the socket takes it.

A program of its own: ``python -m benchmarks.saturating_scp PORT HTTP_PORT`` ends when its standard input does. On the
first port it speaks DICOM (C-ECHO, C-FIND, C-GET; a thread an association, blocking sends, no Python for each
PDU); on the second it answers ``GET /INSTANCES/BYTES`` by HTTP with the very same bytes, for what stands beside.
What it holds is said by the Study Instance UID that is asked for: see `make_study`.

It waits for the response to each C-STORE, as an SCP without asynchronous operations must (PS3.7 §D.3.3.3).
"""

from __future__ import annotations

import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from benchmarks import wire
from tests.support.peers import LOOPBACK, find_free_port

__all__ = ["AE_TITLE", "SLICE_BYTES", "SaturatingArchive", "Shape", "make_study"]

AE_TITLE = "SATURATING"
ROOT = "1.2.826.0.1.3680043.2.9.2"
FIRST_INSTANCE = 1_000_001  # numbers of one length: prepared heads differ in digits only
LARGEST_PDU = 131_072
SLICE_BYTES = 524_288
"""Of a frame of 512 × 512 pixels."""
BLOCK_PDUS = 16
COMMAND, DATA_SET_TYPE, MESSAGE_ID, NO_DATA_SET = 0x0100, 0x0800, 0x0110, 0x0101
C_STORE_RQ, C_GET_RQ, C_FIND_RQ, C_ECHO_RQ, RESPONSE = 0x0001, 0x0010, 0x0020, 0x0030, 0x8000
_STUDY = re.compile(re.escape(ROOT).encode() + rb"\.(\d+)\.(\d+)\.(\d+)\.1")
_INSTANCE = re.compile(re.escape(ROOT).encode() + rb"\.\d+\.\d+\.\d+\.3\.(\d+)")


@dataclass(frozen=True, slots=True)
class Shape:
    """A series: so many `instances` of `size` bytes of pixels each; `variant` tells equal ones apart."""

    instances: int
    size: int
    variant: int = 0

    @property
    def root(self) -> str:
        """What its UIDs begin with."""
        return f"{ROOT}.{self.instances}.{self.size}.{self.variant}"

    @property
    def study(self) -> str:
        """Study Instance UID."""
        return f"{self.root}.1"

    @property
    def series(self) -> str:
        """Series Instance UID."""
        return f"{self.root}.2"

    @property
    def path(self) -> str:
        """URL path of the series."""
        return f"/studies/{self.study}/series/{self.series}"

    @property
    def total(self) -> int:
        """Bytes of pixels in all."""
        return self.instances * self.size

    def instance(self, number: int) -> str:
        """SOP Instance UID of the `number`-th, from 0."""
        return f"{self.root}.3.{FIRST_INSTANCE + number}"


def make_study(instances: int, size: int, variant: int = 0) -> Shape:
    """A study of one series that the archive holds as soon as somebody asks for it."""
    return Shape(instances, size + size % 2, variant)


# --- what is sent ------------------------------------------------------------------------------------------------


def _encode_head(shape: Shape) -> bytes:
    """The data set of the first instance up to the first byte of its pixels, Explicit VR Little Endian."""
    head = Dataset()
    head.SOPClassUID, head.SOPInstanceUID = wire.CT_IMAGE_STORAGE, shape.instance(0)
    head.Modality, head.PatientName, head.PatientID = "CT", "Saturating^Archive", "SATURATING"
    head.StudyInstanceUID, head.SeriesInstanceUID = shape.study, shape.series
    head.SamplesPerPixel, head.PhotometricInterpretation = 1, "MONOCHROME2"
    head.Rows = head.Columns = 512
    head.NumberOfFrames = max(shape.size // SLICE_BYTES, 1)
    head.BitsAllocated, head.BitsStored, head.HighBit, head.PixelRepresentation = 16, 12, 11, 0
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, head)
    return bytes(buffer.getvalue() + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, shape.size))


@dataclass(frozen=True, slots=True)
class _Prepared:
    """Everything of a series in the form it takes on an association."""

    heads: tuple[bytes, ...]
    block: memoryview
    blocks: int
    tail: bytes

    def parts(self, number: int) -> Iterator[bytes | memoryview]:
        """The `number`-th instance, in order."""
        yield self.heads[number]
        for _ in range(self.blocks):
            yield self.block
        yield self.tail


@lru_cache(maxsize=256)
def _prepare(shape: Shape, context_id: int, max_length: int) -> _Prepared:
    longest = min(max_length or LARGEST_PDU, 1 << 20) - 6
    blocks, rest = divmod(shape.size, longest * BLOCK_PDUS)
    first, head = shape.instance(0).encode(), _encode_head(shape)
    heads = tuple(
        _encode_store(shape, number, context_id)
        + wire.frame(context_id, head.replace(first, shape.instance(number).encode()), is_last=False)
        for number in range(shape.instances)
    )
    return _Prepared(heads, _frame_block(context_id, longest), blocks, _frame_tail(context_id, longest, rest))


@lru_cache(maxsize=8)
def _frame_block(context_id: int, longest: int) -> memoryview:
    return memoryview(b"".join(wire.frame(context_id, bytes(longest), is_last=False) for _ in range(BLOCK_PDUS)))


@lru_cache(maxsize=16)
def _frame_tail(context_id: int, longest: int, size: int) -> bytes:
    """What is left after the blocks, ended by the last fragment."""
    sizes = [longest] * (size // longest) + [size % longest]
    frames = enumerate(sizes, 1)
    return b"".join(wire.frame(context_id, bytes(part), is_last=number == len(sizes)) for number, part in frames)


def _encode_store(shape: Shape, number: int, context_id: int) -> bytes:
    elements: dict[int, int | str] = {
        0x0002: wire.CT_IMAGE_STORAGE,
        COMMAND: C_STORE_RQ,
        MESSAGE_ID: number % 65_535 + 1,
        0x0700: 0,
        DATA_SET_TYPE: 1,
        0x1000: shape.instance(number),
    }
    return wire.frame(context_id, wire.encode_command(elements), is_command=True)


def _send_all(connection: socket.socket, parts: Sequence[bytes | memoryview]) -> None:
    """One system call for all `parts` where the kernel takes them at once."""
    sent = connection.sendmsg(parts)
    for part in parts:
        if sent < len(part):
            connection.sendall(memoryview(part)[sent:])
        sent = max(sent - len(part), 0)


# --- the services ------------------------------------------------------------------------------------------------


class _Association:
    """One association, served until the other side ends it."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def serve(self) -> None:
        kind, body = wire.read_pdu(self._socket)
        if kind != wire.ASSOCIATE_RQ:
            return
        request = wire.parse_request(body)
        syntaxes = {wire.CT_IMAGE_STORAGE: wire.EXPLICIT_LE}
        syntaxes |= dict.fromkeys((wire.VERIFICATION, wire.STUDY_ROOT_FIND, wire.STUDY_ROOT_GET), wire.IMPLICIT_LE)
        results = {
            context.context_id: syntaxes[context.abstract_syntax]
            for context in request.contexts
            if syntaxes.get(context.abstract_syntax, "") in context.transfer_syntaxes
        }
        stores = [it.context_id for it in request.contexts if it.abstract_syntax == wire.CT_IMAGE_STORAGE]
        self._store_context = next((number for number in stores if number in results), 0)
        self._max_length = request.max_length
        self._socket.sendall(wire.encode_accept(request, results, max_length=LARGEST_PDU))
        while self._serve_message():
            pass

    def _serve_message(self) -> bool:
        kind, command = wire.read_pdu(self._socket)
        if kind == wire.RELEASE_RQ:
            self._socket.sendall(struct.pack(">BxL4x", wire.RELEASE_RP, 4))
        if kind != wire.P_DATA:
            return False
        numbers = {number: _read_number(command, number) for number in (COMMAND, DATA_SET_TYPE, MESSAGE_ID)}
        has_data_set = numbers[DATA_SET_TYPE] != NO_DATA_SET
        identifier = self._read_identifier(command) if has_data_set else b""
        services = {C_ECHO_RQ: self._echo, C_FIND_RQ: self._find, C_GET_RQ: self._get}
        if service := services.get(numbers[COMMAND]):  # not C-CANCEL: what it was meant for is over
            service(command[4], numbers[MESSAGE_ID], identifier)
        return True

    def _read_identifier(self, command: bytes) -> bytes:
        length = int.from_bytes(command[:4], "big") + 4
        if length < len(command):  # in the same PDU
            return command[length:]
        return wire.read_pdu(self._socket)[1]

    def _answer(self, context_id: int, sop_class: str, field: int, message_id: int, status: int, **more: int) -> bytes:
        elements: dict[int, int | str] = {0x0002: sop_class, COMMAND: field | RESPONSE, 0x0120: message_id}
        has_identifier = status == 0xFF00
        elements |= {DATA_SET_TYPE: 1 if has_identifier else NO_DATA_SET, 0x0900: status}
        elements |= {int(name[1:], 16): value for name, value in more.items()}
        return wire.frame(context_id, wire.encode_command(elements), is_command=True)

    def _echo(self, context_id: int, message_id: int, identifier: bytes) -> None:
        self._socket.sendall(self._answer(context_id, wire.VERIFICATION, C_ECHO_RQ, message_id, 0))

    def _find(self, context_id: int, message_id: int, identifier: bytes) -> None:
        pending = self._answer(context_id, wire.STUDY_ROOT_FIND, C_FIND_RQ, message_id, 0xFF00)
        final = self._answer(context_id, wire.STUDY_ROOT_FIND, C_FIND_RQ, message_id, 0)
        matches = _match(identifier)
        self._socket.sendall(b"".join(pending + wire.frame(context_id, match) for match in matches) + final)

    def _get(self, context_id: int, message_id: int, identifier: bytes) -> None:
        shape, numbers = _read_target(identifier)
        prepared = _prepare(shape, self._store_context, self._max_length)
        completed = 0
        for number in numbers if self._store_context else ():
            self._send_instance(prepared, number)
            completed += wire.read_status(wire.read_pdu(self._socket)[1]) == 0
        failed = len(numbers) - completed
        counts = {"x1021": min(completed, 65_535), "x1022": min(failed, 65_535), "x1023": 0}
        status = 0xA702 if failed else 0
        self._socket.sendall(self._answer(context_id, wire.STUDY_ROOT_GET, C_GET_RQ, message_id, status, **counts))

    def _send_instance(self, prepared: _Prepared, number: int) -> None:
        if prepared.blocks < 2:
            _send_all(self._socket, list(prepared.parts(number)))
            return
        for part in prepared.parts(number):
            self._socket.sendall(part)


def _read_number(command: bytes, number: int) -> int:
    position = command.find(struct.pack("<HHL", 0, number, 2))
    return int.from_bytes(command[position + 8 : position + 10], "little") if position >= 0 else NO_DATA_SET


def _read_target(identifier: bytes) -> tuple[Shape, list[int]]:
    """The series asked for and which of its instances, from the UIDs that stand anywhere in `identifier`."""
    found = _STUDY.search(identifier)
    if found is None:
        return Shape(0, 0), []
    shape = Shape(*(int(digits) for digits in found.groups()))
    named = [int(digits) - FIRST_INSTANCE for digits in _INSTANCE.findall(identifier)]
    return shape, named or list(range(shape.instances))


@lru_cache(maxsize=16)
def _match(identifier: bytes) -> tuple[bytes, ...]:
    """The identifiers of all matches."""
    shape, numbers = _read_target(identifier)
    if not numbers:
        return ()
    shared = {0x00080060: "CT", 0x00080061: "CT", 0x0020000D: shape.study}
    shared |= {0x00201206: "1", 0x00201208: str(shape.instances), 0x00201209: str(shape.instances)}
    level = next(name for name in ("IMAGE", "SERIES", "STUDY") if name.encode() in identifier)
    if level == "STUDY":
        return (wire.encode_identifier(shared | {0x00080052: level}),)
    shared |= {0x00080052: level, 0x0020000E: shape.series}
    if level == "SERIES":
        return (wire.encode_identifier(shared),)
    shared |= {0x00080016: wire.CT_IMAGE_STORAGE, 0x00080056: "ONLINE"}
    return tuple(
        wire.encode_identifier(shared | {0x00080018: shape.instance(number), 0x00200013: f"{number + 1} "})
        for number in numbers
    )


def _serve_http(connection: socket.socket) -> None:
    """The same bytes as an HTTP response: head lines, then C-STORE after C-STORE, nothing awaited."""
    head = bytearray()
    while b"\r\n\r\n" not in head:
        piece = connection.recv(65_536)
        if not piece:
            return
        head += piece
    instances, size = (int(number) for number in head.split()[1].split(b"/")[1:3])
    shape = make_study(instances, size)
    prepared = _prepare(shape, 1, LARGEST_PDU)
    total = sum(len(part) for number in range(instances) for part in prepared.parts(number))
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {total}\r\nConnection: close\r\n\r\n".encode())
    for number in range(instances):
        if prepared.blocks < 2:
            _send_all(connection, list(prepared.parts(number)))
            continue
        for part in prepared.parts(number):
            connection.sendall(part)


def _run(listener: socket.socket, *, is_http: bool) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve_one, args=(connection, is_http), daemon=True).start()


def _serve_one(connection: socket.socket, is_http: bool) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection:
        try:
            _serve_http(connection) if is_http else _Association(connection).serve()
        except OSError:  # the other side has left, which is its right
            return


def main() -> None:
    """Serve until standard input ends."""
    for port, is_http in zip(map(int, sys.argv[1:]), (False, True), strict=True):
        listener = socket.create_server((LOOPBACK, port), backlog=256)
        threading.Thread(target=_run, args=(listener,), kwargs={"is_http": is_http}, daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()


# --- as the benchmarks use it ------------------------------------------------------------------------------------


class SaturatingArchive:
    """The program as a child process; a context manager that ends it."""

    def __init__(self) -> None:
        self.dicom_port, self.http_port = find_free_port(), find_free_port()

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.saturating_scp", str(self.dicom_port), str(self.http_port)],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline().strip() != "ready":
            raise RuntimeError("the saturating archive does not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()


if __name__ == "__main__":
    main()
