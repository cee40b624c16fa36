"""The machine under tokens and encoders, by a subclass that writes down what it is told.

How odd data is read is tested through ``tokens``, in test_tokens.py.
"""

from __future__ import annotations

import pytest

from gateway.codecs import Buffer
from gateway.codecs.scanner import MAX_GATHERED, Scanner
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import DecodeError
from tests.support.tokens import UNDEFINED, explicit, explicit_header, fragment, implicit, item, pieces_of


class _Recorder(Scanner):
    def __init__(self, gathered: int = 8) -> None:
        super().__init__(get_transfer_syntax(EXPLICIT_VR_LE))
        self._gathered_length = gathered
        self.told: list[object] = []

    def read(self, *pieces: Buffer) -> list[object]:
        for piece in pieces:
            self._scan(piece)
        self._check_end()
        return self.told

    def _wants(self, tag: int, vr: str, length: int) -> bool:
        return length <= self._gathered_length

    def _add_element(self, tag: int, vr: str, value: bytes) -> None:
        self.told.append((f"{tag:08X}", vr, value))

    def _start_value(self, tag: int, vr: str, length: int) -> None:
        self.told.append((f"{tag:08X}", vr, length))

    def _add_chunk(self, data: Buffer) -> None:
        self.told.append(bytes(data))

    def _end_value(self) -> None:
        self.told.append("end of value")

    def _start_sequence(self, tag: int, vr: str) -> None:
        self.told.append(f"sequence {tag:08X} {vr}")

    def _start_item(self) -> None:
        self.told.append("item")

    def _end_item(self) -> None:
        self.told.append("end of item")

    def _end_sequence(self) -> None:
        self.told.append("end of sequence")

    def _start_encapsulated(self, tag: int, vr: str) -> None:
        self.told.append(f"encapsulated {tag:08X} {vr}")

    def _start_fragment(self, index: int, length: int) -> None:
        self.told.append((index, length))

    def _add_fragment_chunk(self, data: Buffer) -> None:
        self.told.append(bytes(data))

    def _end_fragment(self) -> None:
        self.told.append("end of fragment")

    def _end_encapsulated(self) -> None:
        self.told.append("end of encapsulated")


_DATA = b"".join(
    [
        explicit(0x00080060, "CS", b"CT"),
        explicit(0x00081140, "SQ", item(explicit(0x00081155, "UI", b"1.2\0"))),
        explicit(0x00420011, "OB", b"0123456789"),
        explicit_header(0x7FE00010, "OB", UNDEFINED),
        fragment(b""),
        fragment(b"JPEG"),
        implicit(0xFFFEE0DD),
    ]
)
_TOLD = [
    ("00080060", "CS", b"CT"),
    "sequence 00081140 SQ",
    "item",
    ("00081155", "UI", b"1.2\0"),
    "end of item",
    "end of sequence",
    ("00420011", "OB", 10),
    b"0123456789",
    "end of value",
    "encapsulated 7FE00010 OB",
    (0, 0),
    "end of fragment",
    (1, 4),
    b"JPEG",
    "end of fragment",
    "end of encapsulated",
]


def test_everything_is_told_in_order() -> None:
    assert _Recorder().read(_DATA) == _TOLD


def _join(told: list[object]) -> list[object]:
    joined: list[object] = []
    for one in told:
        last = joined[-1] if joined else None
        if isinstance(one, bytes) and isinstance(last, bytes):
            joined[-1] = last + one
        else:
            joined.append(one)
    return joined


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_pieces_of_any_size_tell_the_same(size: int) -> None:
    assert _join(_Recorder().read(*pieces_of(_DATA, size))) == _TOLD


def test_what_was_complete_before_an_error_has_been_told() -> None:
    recorder = _Recorder()
    with pytest.raises(DecodeError) as caught:
        recorder.read(explicit(0x00080060, "CS", b"CT"), explicit(0x00081140, "SQ", item(b"\x08\0"), length=10))
    assert recorder.told == [("00080060", "CS", b"CT"), "sequence 00081140 SQ", "item"]
    assert (caught.value.offset, caught.value.path) == (32, "00081140/1")


def test_a_value_to_gather_has_a_limit() -> None:
    with pytest.raises(DecodeError, match="too long to be held"):
        _Recorder(1 << 31).read(explicit_header(0x00420011, "OB", MAX_GATHERED + 1))


@pytest.mark.parametrize("size", [1, 5, 100])
def test_private_creators_count_however_they_were_cut(size: int) -> None:
    # the element of the block is written without VR among elements with VR
    data = explicit(0x00090010, "LO", b"ACUSON  ") + implicit(0x00091000, b"1 ")
    assert _Recorder().read(*pieces_of(data, size))[-1] == ("00091000", "IS", b"1 ")
