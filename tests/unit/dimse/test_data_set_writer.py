"""A data set sent in pieces: any cut of the input gives the same fragments, as large and even as can be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from gateway.dimse.commands import Command, CommandField, decode_command, encode_command
from gateway.dimse.data_set_writer import DataSetWriter
from gateway.dimse.ul.events import PDataFragment
from tests.support.scripted_transport import Pair
from tests.support.upper_layer import make_accept, make_request


async def write(pieces: list[bytes], max_length: int, more: Callable[[], bool] = bool) -> list[PDataFragment]:
    pair = Pair(make_request(), make_accept(max_length=max_length))
    writer = DataSetWriter(pair.association, 1)
    for piece in pieces:
        await writer.write(piece, more=more())
    await writer.finish()
    return pair.take_sent()  # type: ignore[return-value]


@given(st.lists(st.binary(max_size=70), max_size=12), st.integers(8, 80), st.randoms())
def test_any_cut_gives_whole_even_fragments(pieces: list[bytes], max_length: int, chance: Random) -> None:
    fragments = asyncio.run(write(pieces, max_length, lambda: chance.random() < 0.5))
    payload = b"".join(pieces)
    sent = b"".join(fragment.data for fragment in fragments)
    assert sent == payload + b"\0" * (len(payload) % 2)
    size = (max_length - 6) & ~1
    assert [len(fragment.data) for fragment in fragments[:-1]] == [size] * (len(fragments) - 1)
    assert len(fragments[-1].data) <= size
    assert [fragment.last for fragment in fragments] == [False] * (len(fragments) - 1) + [True]
    assert not any(fragment.is_command for fragment in fragments)


async def test_what_a_piece_completes_is_one_write_with_its_headers() -> None:
    pair = Pair(make_request(), make_accept(max_length=106))
    writer = DataSetWriter(pair.association, 1)
    await writer.write(bytes(250))
    assert [len(data) for data in pair.transport.writes] == [224]
    await writer.write(bytes(50))
    assert [len(data) for data in pair.transport.writes] == [224]
    await writer.finish()
    assert [len(data) for data in pair.transport.writes] == [224, 112]


async def test_what_is_at_hand_leaves_together_up_to_a_mebibyte() -> None:
    pair = Pair(make_request(), make_accept(max_length=65_542))
    writer = DataSetWriter(pair.association, 1)
    for _ in range(15):
        await writer.write(bytes(65_536), more=True)
    assert not pair.transport.writes
    await writer.finish()
    assert [len(data) for data in pair.transport.writes] == [15 * 65_548]
    await DataSetWriter(pair.association, 1).write(bytes(2_000_000), more=True)
    assert len(pair.transport.writes) == 2


async def test_the_command_set_leaves_with_the_first_fragments() -> None:
    pair = Pair(make_request(), make_accept(max_length=106))
    request = Command(command_field=CommandField.C_STORE_RQ, message_id=1, has_data_set=True)
    writer = DataSetWriter(pair.association, 1)
    writer.precede(pair.association.frame_command(1, encode_command(request)))
    await writer.write(bytes(100))
    assert not pair.transport.writes
    await writer.finish()
    assert len(pair.transport.writes) == 1
    fragments = cast(list[PDataFragment], pair.take_sent())
    assert [fragment.is_command for fragment in fragments] == [True, False]
    assert decode_command(bytes(fragments[0].data)) == request


async def test_a_full_last_fragment_is_not_followed_by_an_empty_one() -> None:
    fragments = await write([bytes(100), bytes(100)], 106)
    assert [(len(fragment.data), fragment.last) for fragment in fragments] == [(100, False), (100, True)]
