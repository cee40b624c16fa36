"""When an instance is cut off, and when it is read to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.dimse.association_cost import LEAST_BYTES, AssociationCost
from gateway.services.rendered.instance_reader import Frame, InstanceReader, ReaderLimits
from gateway.services.rendered.reading import Reading
from gateway.tasks import cancel_and_wait, start_task
from tests.support.elements import element, sequence

FRAME = bytes(100_000)
HEADER = b"".join(
    (
        element(0x00280008, "IS", b"9 "),
        element(0x00280010, "US", (400).to_bytes(2, "little")),
        element(0x00280011, "US", (250).to_bytes(2, "little")),
        element(0x00280100, "US", b"\x08\0"),
        element(0x7FE00010, "OB", b"")[:-4],
    )
)


class FakeInstance:
    """Gives pieces, and notes how many were taken and whether it was cut."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = list(pieces)
        self.is_cut = False

    @property
    def left(self) -> int:
        return len(self._pieces)

    async def read_piece(self) -> bytes | None:
        return self._pieces.pop(0) if self._pieces else None

    def cut(self) -> None:
        self.is_cut = True


def make(frames: int) -> FakeInstance:
    """A native instance of `frames` frames, each a piece."""
    header = HEADER.replace(b"9 ", f"{frames} ".encode().ljust(2)[:2])
    return FakeInstance([header + (frames * len(FRAME)).to_bytes(4, "little"), *[FRAME] * frames])


async def read(instance: FakeInstance, wanted: list[int], cost: AssociationCost | None) -> tuple[list[Frame], Reading]:
    reader = InstanceReader("1.2", EXPLICIT_VR_LE, lambda _: wanted, ReaderLimits())
    reading = Reading(cast(Any, instance), reader, cost)
    return [frame async for frame in reading.iter_frames()], reading


async def test_a_long_rest_is_cut_off() -> None:
    instance, cost = make(9), AssociationCost()
    cost.note_set_up(0)
    for _ in range(50):
        cost.note_set_up(0)
    assert cost.break_even_bytes == LEAST_BYTES
    frames, reading = await read(instance, [2], cost)
    assert [frame.number for frame in frames] == [2]
    assert reading.is_cut and instance.is_cut and instance.left == 7


@pytest.mark.parametrize("cost", [None, AssociationCost(may_cut=False), AssociationCost()])
async def test_a_rest_that_must_or_may_be_read_is_read(cost: AssociationCost | None) -> None:
    """Others follow on the association; the archive bears no abort; a new association is dearer than the rest."""
    instance = make(9)
    frames, reading = await read(instance, [1], cost)
    assert [(frame.number, frame.place.read()) for frame in frames] == [(1, FRAME)]
    assert not reading.is_cut and not instance.is_cut and instance.left == 0


async def test_nothing_is_cut_before_everything_wanted_is_there() -> None:
    instance, cost = make(9), AssociationCost()
    for _ in range(50):
        cost.note_set_up(0)
    frames, reading = await read(instance, [1, 9], cost)
    assert [frame.number for frame in frames] == [1, 9]
    assert not reading.is_cut


async def test_others_have_their_turns_while_a_long_header_passes() -> None:
    """Also where all of it is there at once, as a few pieces, or as the pieces that come one by one."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    groups = sequence(0x52009230, *[element(0x00180050, "DS", b"1 ") * 20] * 8_000)
    [first, *rest] = make(2)._pieces
    data = groups + first
    instance = FakeInstance([data[start : start + 524_288] for start in range(0, len(data), 524_288)] + rest)
    counting = start_task(count(), name="counting")
    frames, _ = await read(instance, [1, 2], None)
    await cancel_and_wait(counting)
    assert [frame.place.read() for frame in frames] == [FRAME, FRAME]
    assert turns >= len(data) // 16_384
