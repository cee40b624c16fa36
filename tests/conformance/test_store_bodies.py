"""Bodies of store requests that are cut, framed badly or merely oddly (RFC 2046 §5.1, PS3.18 §8.6.1.2, §10.5.3).

Whatever comes, three things agree: the status, the response module, and what the archive holds afterwards.
"""

from __future__ import annotations

import gzip
import socket
import subprocess
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.sandbox import SandboxArchive
from tests.support.conformance_site import JSON, Site, open_site
from tests.support.peers import find_program
from tests.support.uploads import (
    BOUNDARY,
    JPEG_LS,
    make_data_set,
    make_file,
    multipart,
    multipart_type,
    sop_uid,
)
from tests.support.wado import split_file
from tests.support.web_client import WebResponse

_numbers = count(1_000_001)  # all UIDs of the same length, so that all bodies of two instances are as long as this one
LENGTH = len(multipart([make_file(make_data_set(1_000_000 + number)) for number in (0, 1)]))


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxArchive]:
    with SandboxArchive(tmp_path_factory.mktemp("bodies")) as shelf:
        yield shelf


@pytest.fixture(scope="module")
def store_site(shelf: SandboxArchive) -> Iterator[Site]:
    with open_site(shelf, http={"body_timeout_s": 2}) as site:
        yield site


def post(site: Site, body: bytes, content_type: str = "", **headers: str) -> WebResponse:
    """POST a body as it is."""
    return site.send("POST", "/studies", JSON, body=body, Content_Type=content_type or multipart_type(), **headers)


def read_stored(response: WebResponse) -> list[str]:
    """SOP Instance UIDs that a response module calls stored; none in a status report."""
    items = response.json.get("00081199", {}).get("Value", [])
    return [item["00081155"]["Value"][0] for item in items]


def read_failures(response: WebResponse) -> list[int]:
    """The Failure Reasons of a response module, those of Other Failures Sequence last."""
    items = [item for tag in ("00081198", "0008119A") for item in response.json.get(tag, {}).get("Value", [])]
    return [item["00081197"]["Value"][0] for item in items]


def read_held(shelf: SandboxArchive, number: int) -> bytes | None:
    """The data set that the archive holds of an instance."""
    for held in shelf.index.select({}):
        if held.sop_instance_uid == sop_uid(number):
            return Path(held.path).read_bytes()[held.data_offset :]
    return None


def make_pair() -> tuple[tuple[int, int], bytes]:
    """Two new instances and a whole body of them."""
    pair = next(_numbers), next(_numbers)
    return pair, multipart(make_file(make_data_set(number)) for number in pair)


# --- cut ---


def find_second_boundaries(body: bytes) -> tuple[int, int, int]:
    """How much of a body of two parts must have come for the first, for both, and for the whole of it."""
    line_end = b"\r\n--" + BOUNDARY.encode()
    first = body.index(line_end) + len(line_end)
    second = body.index(line_end, first) + len(line_end)
    return first, second, second + len("--")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("quarter", range(4))
def test_a_body_that_ends_after_any_byte(store_site: Site, shelf: SandboxArchive, quarter: int) -> None:
    """Table 10.5.3-1: stored is what came whole; 400 if that is nothing, 202 if the body is cut after an instance."""
    whole = {held.sop_instance_uid for held in shelf.index.select({})}
    for length in range(quarter * LENGTH // 4, (quarter + 1) * LENGTH // 4 + (quarter == 3)):
        pair, body = make_pair()
        first, second, end = find_second_boundaries(body)
        complete = (length >= first) + (length >= second)
        response = post(store_site, body[:length])
        assert response.status == (200 if length >= end else 202 if complete else 400), length
        assert read_stored(response) == [sop_uid(number) for number in pair[:complete]], length
        assert read_failures(response) == ([0xC000] if response.status == 202 else []), length
        whole.update(map(sop_uid, pair[:complete]))
    assert {held.sop_instance_uid for held in shelf.index.select({})} == whole
    for number in pair:
        assert read_held(shelf, number) == (make_data_set(number) if sop_uid(number) in whole else None)


def test_pieces_that_end_after_any_byte(store_site: Site, shelf: SandboxArchive) -> None:
    """RFC 9112 §7.1: two chunks, wherever they are divided, are the same body."""
    for length in range(1, LENGTH, 7):
        pair, body = make_pair()
        pieces = body[:length], body[length:]
        chunked = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        response = post(store_site, chunked, Transfer_Encoding="chunked")
        assert (response.status, read_stored(response)) == (200, [sop_uid(number) for number in pair])
    assert read_held(shelf, pair[1]) == make_data_set(pair[1])


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_client_that_leaves_after_any_byte(store_site: Site, shelf: SandboxArchive, is_chunked: bool) -> None:
    """Nobody is answered; of what did not come whole nothing is stored, and the gateway goes on."""
    begun: dict[str, int] = {}
    for length in range(0, LENGTH, 41):
        pair, body = make_pair()
        begun |= {sop_uid(number): number for number in pair[(length >= find_second_boundaries(body)[0]) :]}
        target = urlsplit(store_site.url)
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
        head = (
            f"POST {target.path}/studies HTTP/1.1\r\nHost: h\r\nContent-Type: {multipart_type()}\r\n{framing}\r\n\r\n"
        )
        with socket.create_connection((target.hostname, target.port)) as connection:
            size = b"%x\r\n" % len(body) if is_chunked else b""
            connection.sendall(head.encode() + size + body[:length])
    assert post(store_site, make_pair()[1]).status == 200
    held = {it.sop_instance_uid for it in shelf.index.select({})}
    second = find_second_boundaries(body)[1]
    assert second > length, "the last cut is inside the second instance"
    assert not held & set(begun)


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_client_that_leaves_within_a_single_part(store_site: Site, shelf: SandboxArchive, is_chunked: bool) -> None:
    """Where no boundary tells the end, the framing of HTTP does: a data set cut between two elements is not stored."""
    begun = set()
    whole = make_file(make_data_set(1_000_000))
    for length in range(0, len(whole), 5):
        number = next(_numbers)
        begun.add(sop_uid(number))
        body = make_file(make_data_set(number))
        target = urlsplit(store_site.url)
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
        head = f"POST {target.path}/studies HTTP/1.1\r\nHost: h\r\nContent-Type: application/dicom\r\n{framing}\r\n\r\n"
        with socket.create_connection((target.hostname, target.port)) as connection:
            sent = b"%x\r\n%b\r\n" % (length, body[:length]) if is_chunked and length else body[:length]
            connection.sendall(head.encode() + sent)
    assert post(store_site, make_pair()[1]).status == 200
    assert not begun & {it.sop_instance_uid for it in shelf.index.select({})}


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_compressed_body_that_ends_after_any_byte(
    store_site: Site, shelf: SandboxArchive, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    """RFC 9110 §8.4: 200 for the whole of it only, checksum included; what came whole of the instances is stored."""
    length = len(compress(make_pair()[1]))
    before = len(shelf.index)
    claimed = 0
    for cut in range(1, length, 9):
        pair, body = make_pair()
        sent = compress(body)[:-cut]
        response = post(store_site, sent, Content_Encoding=coding)
        assert response.status in (400, 202)
        assert read_stored(response) == [sop_uid(number) for number in pair][: len(read_stored(response))]
        claimed += len(read_stored(response))
    assert len(shelf.index) == before + claimed
    assert claimed, "the last cuts leave the first instance whole"


def test_a_compressed_body_that_is_damaged(store_site: Site, shelf: SandboxArchive) -> None:
    """RFC 1952 §2.3.1: the checksum is wrong, so anything may be; of a body in one piece nothing is stored."""
    before = len(shelf.index)
    sent = bytearray(gzip.compress(make_pair()[1]))
    sent[-8] ^= 1
    for body in (bytes(sent), b"\x1f\x8b no gzip"):
        assert post(store_site, body, Content_Encoding="gzip").status == 400
    assert len(shelf.index) == before


def test_a_client_that_stops_sending(store_site: Site) -> None:
    """§8.5: 408 after http.body_timeout_s, or 202 if something is stored; the answer comes over the same connection."""
    _, body = make_pair()
    first = find_second_boundaries(body)[0]
    assert ask_and_wait(store_site, body, first - 30) == 408
    assert ask_and_wait(store_site, body, first + 100) == 202


def ask_and_wait(site: Site, body: bytes, length: int) -> int:
    """Send the beginning of a body, then nothing, and give the status that comes."""
    target = urlsplit(site.url)
    head = f"POST {target.path}/studies HTTP/1.1\r\nHost: h\r\nContent-Type: {multipart_type()}\r\n"
    with socket.create_connection((target.hostname, target.port), timeout=20) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:length])
        return int(connection.recv(65_536).split()[1])


# --- framed badly ---


def frame(*parts: bytes, boundary: str = BOUNDARY, end: str = "--\r\n", line: str = "\r\n", blanks: str = "") -> bytes:
    """Parts, headers included, between boundary lines."""
    opening, closing = f"--{boundary}{blanks}{line}".encode(), f"--{boundary}{end}".encode()
    return b"".join(opening + part + line.encode() for part in parts) + closing


HEAD = b"Content-Type: application/dicom\r\n\r\n"
LONG = "b" * 70

BOUNDARIES = [
    # the boundary of the body, that of the Content-Type, the status
    (BOUNDARY, BOUNDARY, 200),
    (LONG, LONG, 200),
    ("a", "a", 200),
    ("with space", "with space", 200),
    ("'()+_,-./:=?", "'()+_,-./:=?", 200),
    (BOUNDARY, "other", 400),
    (BOUNDARY, BOUNDARY.upper(), 400),
    (BOUNDARY, BOUNDARY + "x", 400),
    (BOUNDARY, f"--{BOUNDARY}", 400),
    (LONG + "b", LONG + "b", 400),
    (BOUNDARY, "", 400),
]


@pytest.mark.parametrize(("used", "stated", "status"), BOUNDARIES)
def test_boundaries(store_site: Site, used: str, stated: str, status: int) -> None:
    """RFC 2046 §5.1.1: 1 to 70 characters, matched to the letter."""
    number = next(_numbers)
    body = frame(HEAD + make_file(make_data_set(number)), boundary=used)
    response = post(store_site, body, f'multipart/related; type="application/dicom"; boundary="{stated}"')
    assert response.status == status
    assert read_stored(response) == ([sop_uid(number)] if status == 200 else [])


def test_a_boundary_that_begins_another_line(store_site: Site, shelf: SandboxArchive) -> None:
    """RFC 2046 §5.1.1: a line that begins with the delimiter ends the part; other text after it is wrong."""
    number = next(_numbers)
    pixels = f"\r\n--{BOUNDARY}".encode().ljust(64, b"x")
    response = post(store_site, frame(HEAD + make_file(make_data_set(number, pixels=pixels))))
    assert response.status == 400
    near = f"\r\n--{BOUNDARY[:-1]}".encode().ljust(64, b"\r")
    response = post(store_site, frame(HEAD + make_file(make_data_set(number, pixels=near))))
    assert response.status == 200
    assert read_held(shelf, number) == make_data_set(number, pixels=near)


PART_HEADS = [
    # the headers of a part up to its body, the status
    (b"Content-Type: application/dicom\r\n\r\n", 200),
    (b"content-type:application/dicom\r\nX-Y: \xe4\xff\r\n\r\n", 200),
    (b"Content-Type: application/dicom;\r\n transfer-syntax=1.2.840.10008.1.2.1\r\n\r\n", 200),
    (b"Content-Type: Application/DICOM\r\nContent-Location: bulk/1\r\nContent-Length: 7\r\n\r\n", 200),
    (b"Content-Type: application/octet-stream\r\n\r\n", 200),
    (b"\r\n", 200),
    (b"Content-Type: text/plain\r\n\r\n", 400),
    (b"Content-Type: image/jpeg\r\n\r\n", 400),
    (b"Content-Type: multipart/related; boundary=inner\r\n\r\n", 400),
    (b"no colon here\r\n\r\n", 400),
    (b": no name\r\n\r\n", 400),
    (b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n", 400),
    (b"X-Many: 1\r\n" * 2_000 + b"\r\n", 400),
    (b"", 400),
]


@pytest.mark.parametrize(("head", "status"), PART_HEADS, ids=[str(number) for number in range(len(PART_HEADS))])
def test_headers_of_parts(store_site: Site, head: bytes, status: int) -> None:
    """§8.6.1.2: Content-Type names what a part is; lines without a name, or without end, break the message."""
    before, number = next(_numbers), next(_numbers)
    response = post(store_site, frame(head + make_file(make_data_set(number))))
    assert (response.status, read_stored(response)) == (status, [sop_uid(number)] if status == 200 else [])
    response = post(store_site, frame(HEAD + make_file(make_data_set(before)), head + make_file(make_data_set(number))))
    stored = [before, number] if status == 200 else [before]
    assert (response.status, read_stored(response)) == (200 if status == 200 else 202, list(map(sop_uid, stored)))
    assert read_failures(response) == ([] if status == 200 else [0xC000])


EDGES: dict[str, tuple[Callable[[list[bytes]], bytes], int, int]] = {
    # how the parts are put together, the status, how many are stored
    "no dashes": (lambda parts: frame(*parts, end=""), 202, 2),
    "one dash": (lambda parts: frame(*parts, end="-"), 202, 2),
    "open": (lambda parts: frame(*parts, end="\r\n"), 202, 2),
    "cut": (lambda parts: frame(*parts)[: -len(BOUNDARY) - 8], 202, 1),
    "epilogue": (lambda parts: frame(*parts) + b"epilogue" * 9_000, 200, 2),
    "preamble": (lambda parts: b"preamble\r\n" * 9_000 + frame(*parts), 200, 2),
    "line feeds": (lambda parts: frame(*parts, line="\n"), 200, 2),
    "blanks": (lambda parts: frame(*parts, blanks=" \t ", end="-- \r\n"), 200, 2),
    "no line end": (lambda parts: frame(*parts, end="--"), 200, 2),
    "twice": (lambda parts: frame(*parts) + frame(*parts), 200, 2),
}


@pytest.mark.parametrize("edge", EDGES)
def test_ends_and_edges(store_site: Site, edge: str) -> None:
    """RFC 2046 §5.1.1: without the closing boundary something may be missing: 202; what surrounds is ignored."""
    put_together, status, stored = EDGES[edge]
    pair, _ = make_pair()
    response = post(store_site, put_together([HEAD + make_file(make_data_set(number)) for number in pair]))
    assert (response.status, read_stored(response)) == (status, [sop_uid(number) for number in pair[:stored]])
    assert read_failures(response) == ([] if status == 200 else [0xC000])


def test_a_part_within_a_part_is_no_instance(store_site: Site) -> None:
    """§8.6.1.2: parts do not nest; the body inside is not looked at."""
    number = next(_numbers)
    inner = frame(HEAD + make_file(make_data_set(number)), boundary="inner")
    head = b"Content-Type: multipart/related; boundary=inner\r\n\r\n"
    assert post(store_site, frame(head + inner)).status == 400


# --- as DCMTK makes them ---

CONVERSIONS = [
    ["dcmconv", "+te"],
    ["dcmconv", "+ti"],
    ["dcmconv", "+tb"],
    ["dcmconv", "+td"],
    ["dcmconv", "+te", "+g"],
    ["dcmconv", "+te", "-e"],
    ["dcmconv", "+te", "+p", "512", "64"],
    ["dcmcrle"],
    ["dcmcjpeg"],
    ["dcmcjpls"],
]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file made by DCMTK from a dump: an image with a sequence."""
    folder = tmp_path_factory.mktemp("dump")
    pixels = folder / "pixels.raw"
    pixels.write_bytes(bytes(range(256)) * 32)
    lines = [
        "(0008,0016) UI 1.2.840.10008.5.1.4.1.1.7",
        "(0008,0018) UI 1.2.826.0.1.3680043.8.498.77.1.1",
        "(0008,0060) CS OT",
        "(0008,1140) SQ",
        "(fffe,e000) na",
        "(0008,1155) UI 1.2.3",
        "(fffe,e00d) na",
        "(fffe,e0dd) na",
        "(0010,0010) PN Made^By DCMTK",
        "(0010,0020) LO P",
        "(0020,000d) UI 1.2.826.0.1.3680043.8.498.77",
        "(0020,000e) UI 1.2.826.0.1.3680043.8.498.77.1",
        "(0028,0002) US 1",
        "(0028,0004) CS MONOCHROME2",
        "(0028,0010) US 64",
        "(0028,0011) US 64",
        "(0028,0100) US 16",
        "(0028,0101) US 16",
        "(0028,0102) US 15",
        "(0028,0103) US 0",
        f"(7fe0,0010) OW ={pixels}",
    ]
    dump = folder / "dump.txt"
    dump.write_text("\n".join([*lines, ""]))
    path = folder / "original.dcm"
    subprocess.run([find_program("dump2dcm"), "-F", str(dump), str(path)], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("command", CONVERSIONS, ids=" ".join)
def test_files_made_by_dcmtk(tmp_path: Path, original: Path, command: list[str]) -> None:
    """§10.5.1.4: each encoding that DCMTK writes is held as it was sent, byte for byte."""
    path = tmp_path / "made.dcm"
    subprocess.run([find_program(command[0]), *command[1:], original, path], check=True, capture_output=True)
    content = path.read_bytes()
    with SandboxArchive(tmp_path / "shelf") as shelf, open_site(shelf) as site:
        response = post(site, multipart([content]))
        (held,) = shelf.index.select({})
        data_set = Path(held.path).read_bytes()[held.data_offset :]
    assert response.status == 200
    sent = split_file(content)[1]
    assert data_set == sent + b"\0" * (len(sent) % 2)  # a deflated one is padded to an even length (PS3.5 §A.5)


def test_a_data_set_without_file_meta_information_is_no_instance(
    store_site: Site, tmp_path: Path, original: Path
) -> None:
    """§10.5.1.4, PS3.10 §7.1."""
    path = tmp_path / "bare.dcm"
    subprocess.run([find_program("dcmconv"), "-F", "+te", original, path], check=True, capture_output=True)
    assert post(store_site, multipart([path.read_bytes()])).status == 400


def test_compressed_parts_go_through_as_they_are(store_site: Site, shelf: SandboxArchive) -> None:
    """§8.7.9: the transfer syntax of the file counts."""
    number = next(_numbers)
    content = make_file(make_data_set(number), JPEG_LS)
    response = post(store_site, multipart([content]))
    assert response.status == 200
    assert read_held(shelf, number) == make_data_set(number)
