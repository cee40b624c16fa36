"""Fragments to messages: every split, order, ceilings."""

from __future__ import annotations

import pytest

from gateway.dimse.commands import Command, CommandField, encode_command
from gateway.dimse.messages import MAX_COMMAND_BYTES, MessageReader, MessageStart
from gateway.dimse.ul.events import PDataFragment
from gateway.errors import RemoteProtocolError

ECHO = Command(command_field=CommandField.C_ECHO_RQ, message_id=1)
OTHER_ECHO = Command(command_field=CommandField.C_ECHO_RQ, message_id=2)
FIND = Command(command_field=CommandField.C_FIND_RQ, message_id=2, has_data_set=True)


def read(reader: MessageReader, *fragments: PDataFragment) -> list[MessageStart | PDataFragment]:
    return [unit for fragment in fragments if (unit := reader.feed(fragment)) is not None]


def test_a_command_at_every_split() -> None:
    raw = encode_command(ECHO)
    for at in range(1, len(raw)):
        reader = MessageReader()
        assert reader.is_between_messages
        assert read(reader, PDataFragment(3, True, raw[:at], False)) == []
        assert not reader.is_between_messages
        assert read(reader, PDataFragment(3, True, raw[at:], True)) == [MessageStart(3, ECHO)]
        assert reader.is_between_messages


def test_an_empty_last_fragment_ends_command_and_data_set() -> None:
    reader = MessageReader()
    raw = encode_command(FIND)
    units = read(
        reader,
        PDataFragment(1, True, raw, False),
        PDataFragment(1, True, b"", True),
        PDataFragment(1, False, b"abcd", False),
    )
    assert units == [MessageStart(1, FIND), PDataFragment(1, False, b"abcd", False)]
    assert not reader.is_between_messages
    assert read(reader, PDataFragment(1, False, b"", True)) == [PDataFragment(1, False, b"", True)]
    assert reader.is_between_messages


def test_messages_back_to_back_on_different_contexts() -> None:
    reader = MessageReader()
    units = read(
        reader,
        PDataFragment(1, True, encode_command(FIND), True),
        PDataFragment(1, False, b"xy", True),
        PDataFragment(5, True, encode_command(ECHO), True),
        PDataFragment(1, True, encode_command(ECHO), True),
    )
    data = PDataFragment(1, False, b"xy", True)
    assert units == [MessageStart(1, FIND), data, MessageStart(5, ECHO), MessageStart(1, ECHO)]


def test_pieces_are_views_not_copies() -> None:
    reader = MessageReader()
    payload = memoryview(b"abcdef")
    _, piece = read(
        reader, PDataFragment(1, True, encode_command(FIND), True), PDataFragment(1, False, payload[2:], True)
    )
    assert isinstance(piece, PDataFragment)
    assert isinstance(piece.data, memoryview)
    assert piece.data.obj is payload.obj


@pytest.mark.parametrize(
    "fragments",
    [
        [PDataFragment(1, False, b"ab", True)],
        [PDataFragment(1, True, encode_command(FIND), True), PDataFragment(1, True, b"ab", True)],
        [PDataFragment(1, True, encode_command(FIND), True), PDataFragment(3, False, b"ab", True)],
        [PDataFragment(1, True, b"\0", False), PDataFragment(1, False, b"ab", True)],
        [PDataFragment(1, True, b"\0", False), PDataFragment(3, True, b"ab", True)],
        [PDataFragment(1, True, encode_command(ECHO), True), PDataFragment(1, False, b"ab", True)],
        [PDataFragment(1, True, b"garbage!", True)],
        [PDataFragment(1, True, b"\0" * (MAX_COMMAND_BYTES + 2), False)],
        [PDataFragment(1, True, b"\0" * 40_000, False)] * 2,
    ],
    ids=[
        "data first",
        "command for data",
        "other context",
        "data in command",
        "context in command",
        "data without data set",
        "garbage",
        "long",
        "long in pieces",
    ],
)
def test_faults_of_the_peer(fragments: list[PDataFragment]) -> None:
    with pytest.raises(RemoteProtocolError):
        read(MessageReader(), *fragments)


def test_a_command_set_that_repeats_is_decoded_once() -> None:
    reader = MessageReader()
    wire = [PDataFragment(1, True, encode_command(command), True) for command in (ECHO, ECHO, OTHER_ECHO, ECHO)]
    commands = [unit.command for unit in read(reader, *wire) if isinstance(unit, MessageStart)]
    assert commands == [ECHO, ECHO, OTHER_ECHO, ECHO]
    assert commands[1] is commands[0] and commands[3] is not commands[0]
