"""Store requests that are large: one instance beyond 4 GiB, 10,000 instances in one body; what the gateway holds.

The gateway runs in a process of its own, and its memory is watched (invariant 1 of the architecture). The figures are
printed (``pytest -s``).
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.discarding_scp import BLOCK_BYTES, DiscardingArchive, make_mark
from tests.support.elements import element
from tests.support.gateway_process import GatewayProcess, MemoryWatch
from tests.support.uploads import (
    BOUNDARY,
    EXPLICIT_VR_LE,
    make_data_set,
    make_file,
    multipart,
    multipart_type,
    sop_uid,
)

pytestmark = [pytest.mark.slow, pytest.mark.peer]

MPEG4 = "1.2.840.10008.1.2.4.102"
STREAM_LIMIT_MIB = 8
PARTS = 10_000
PARTS_LIMIT_MIB = 20
"""The outcome of each instance is kept until the answer, and the answer is one document: some 1.3 KiB each."""
WAIT_S = 120


def post(url: str, length: int | None, pieces: Iterable[bytes | memoryview]) -> tuple[int, dict[str, object]]:
    """POST a body as it is made, sized or, without `length`, chunked; give status and module."""
    target = urlsplit(url)
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    head = f"POST {target.path}/studies HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
    head += f"Accept: application/dicom+json\r\nContent-Type: {multipart_type()}\r\n{framing}\r\n\r\n"
    with socket.create_connection((target.hostname, target.port), timeout=WAIT_S) as connection:
        connection.sendall(head.encode())
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while received := connection.recv(1 << 20):
            answer += received
    status_line, _, rest = answer.partition(b"\r\n")
    return int(status_line.split()[1]), json.loads(rest.partition(b"\r\n\r\n")[2])


def tell(what: str, watch: MemoryWatch, size: int, began: float) -> None:
    seconds = time.monotonic() - began
    print(f"\n{what}: +{watch.growth_mib:.1f} MiB over {watch.before / 2**20:.0f} MiB, ", end="")
    print(f"{size / 1e6:.0f} MB in {seconds:.1f} s = {size / 1e6 / seconds:.0f} MB/s")


# --- one instance beyond what 32 bits count ---


def make_large(blocks: int, *, is_encapsulated: bool) -> tuple[bytes, bytes, bytes]:
    """What stands before, in each block beside its mark, and after the pixels of an instance of `blocks` MiB."""
    head = make_data_set(1, pixels=b"").removesuffix(element(0x7FE00010, "OW", b""))
    if is_encapsulated:
        start = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
        fragment = struct.pack("<HHI", 0xFFFE, 0xE000, BLOCK_BYTES - 8)
        return head + start + fragment, fragment, struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return head + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, blocks * BLOCK_BYTES), b"", b""


def iter_blocks(blocks: int, separator: bytes) -> Iterator[memoryview]:
    """Blocks of one MiB that begin with their mark; all but the last end with `separator`."""
    block = bytearray(BLOCK_BYTES)
    block[BLOCK_BYTES - len(separator) :] = separator
    for number in range(blocks - 1):
        block[0] = make_mark(number)
        yield memoryview(block)
    block[0] = make_mark(blocks - 1)
    yield memoryview(block)[: BLOCK_BYTES - len(separator)]


@pytest.mark.parametrize(("blocks", "is_encapsulated"), [(4_095, False), (4_097, True)], ids=["native", "encapsulated"])
def test_an_instance_of_4_gib(tmp_path: Path, blocks: int, is_encapsulated: bool) -> None:
    """The longest native value, and a video whose data set is longer than 32 bits count, made as they are sent."""
    head, separator, tail = make_large(blocks, is_encapsulated=is_encapsulated)
    file_head = make_file(head, MPEG4 if is_encapsulated else EXPLICIT_VR_LE)
    opening = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file_head
    closing = tail + f"\r\n--{BOUNDARY}--\r\n".encode()
    pixels = blocks * BLOCK_BYTES - len(separator)

    def iter_body() -> Iterator[bytes | memoryview]:
        yield opening
        yield from iter_blocks(blocks, separator)
        yield closing

    with DiscardingArchive(len(head)) as archive, GatewayProcess(archive.address, tmp_path) as gateway:
        small = multipart([make_file(make_data_set(2))])
        assert post(gateway.url, len(small), [small])[0] == 200  # what the first store loads stays
        assert archive.read_report()[0] == len(make_data_set(2))
        with gateway.watch_memory() as watch:
            began = time.monotonic()
            status, module = post(gateway.url, len(opening) + pixels + len(closing), iter_body())
        tell(f"one {'encapsulated' if is_encapsulated else 'native'} instance", watch, pixels, began)
        assert (status, set(module)) == (200, {"00081190", "00081199"})
        assert archive.read_report() == (len(head) + pixels + len(tail), 0)
    assert watch.growth_mib < STREAM_LIMIT_MIB


# --- many instances ---


def test_ten_thousand_parts(tmp_path: Path) -> None:
    """One request, one module: an item for each, in the order sent; all are held."""
    numbers = range(PARTS)
    body = [*iter_chunks(numbers)]
    with DiscardingArchive() as archive, GatewayProcess(archive.address, tmp_path) as gateway:
        assert post(gateway.url, None, iter_chunks(range(1)))[0] == 200  # what the first store loads stays
        with gateway.watch_memory() as watch:
            began = time.monotonic()
            status, module = post(gateway.url, None, body)
        tell(f"{PARTS} instances", watch, sum(map(len, body)), began)
        sizes = [archive.read_report()[0] for _ in range(PARTS + 1)]
    assert (status, set(module)) == (200, {"00081190", "00081199"})
    assert [it["00081155"]["Value"][0] for it in module["00081199"]["Value"]] == [sop_uid(it) for it in numbers]
    assert sizes[1:] == [len(make_data_set(number)) for number in numbers]
    assert watch.growth_mib < PARTS_LIMIT_MIB


def iter_chunks(numbers: range) -> Iterator[bytes]:
    """A chunked body of small instances."""
    for number in numbers:
        part = multipart([make_file(make_data_set(number))], closed=False)
        yield b"%x\r\n%b\r\n" % (len(part), part)
    end = f"--{BOUNDARY}--\r\n".encode()
    yield b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end)
