"""Command sets against pynetdicom's encoding, there and back, and with garbage."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pynetdicom.dimse_messages import C_GET_RSP, C_MOVE_RQ, C_STORE_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_GET, C_MOVE, C_STORE

from gateway.dimse.commands import Command, CommandField, decode_command, encode_command, encode_store_response
from gateway.errors import RemoteProtocolError

CT = "1.2.840.10008.5.1.4.1.1.2"


def encode_by_pynetdicom(message: DIMSEMessage, primitive: Any) -> bytes:
    """The command set as pynetdicom sends it, group length included."""
    message.primitive_to_message(primitive)
    fragments = [pdata.presentation_data_value_list[0][1] for pdata in message.encode_msg(1, 16_384)]
    return b"".join(bytes(fragment[1:]) for fragment in fragments if fragment[0] & 1)


def without_data_set_type(raw: bytes) -> bytes:
    """The encoding with any value that says "data set present" (PS3.7 Annex E) made 0001H."""
    return raw.replace(struct.pack("<HHIH", 0, 0x0800, 2, 0), struct.pack("<HHIH", 0, 0x0800, 2, 1))


def test_store_request_equals_the_bytes_of_pynetdicom() -> None:
    primitive = C_STORE()
    primitive.MessageID = 7
    primitive.AffectedSOPClassUID = CT
    primitive.AffectedSOPInstanceUID = "1.2.3"
    primitive.Priority = 0
    primitive.MoveOriginatorApplicationEntityTitle = "GATEWAY"
    primitive.MoveOriginatorMessageID = 513
    primitive.DataSet = io.BytesIO(b"\0\0")
    expected = without_data_set_type(encode_by_pynetdicom(C_STORE_RQ(), primitive))
    command = Command(
        command_field=CommandField.C_STORE_RQ,
        message_id=7,
        affected_sop_class_uid=CT,
        affected_sop_instance_uid="1.2.3",
        priority=0,
        move_originator_ae_title="GATEWAY",
        move_originator_message_id=513,
        has_data_set=True,
    )
    # pynetdicom pads AE titles to 16 bytes, which PS3.5 §6.2 does not ask for
    assert decode_command(expected) == command
    assert decode_command(encode_command(command)) == command


def test_move_request_and_get_response_of_pynetdicom_are_read() -> None:
    request = C_MOVE()
    request.MessageID, request.AffectedSOPClassUID, request.Priority = 1, CT, 2
    request.MoveDestination, request.Identifier = "GATEWAY", io.BytesIO(b"\0\0")
    command = decode_command(encode_by_pynetdicom(C_MOVE_RQ(), request))
    assert (command.command_field, command.move_destination, command.priority) == (CommandField.C_MOVE_RQ, "GATEWAY", 2)
    assert command.has_data_set

    response = C_GET()
    response.MessageIDBeingRespondedTo, response.AffectedSOPClassUID, response.Status = 9, CT, 0xB000
    response.NumberOfCompletedSuboperations, response.NumberOfFailedSuboperations = 300, 2
    response.NumberOfWarningSuboperations = 1
    command = decode_command(encode_by_pynetdicom(C_GET_RSP(), response))
    assert command.command_field is CommandField.C_GET_RSP
    assert (command.completed_suboperations, command.failed_suboperations, command.warning_suboperations) == (300, 2, 1)
    assert (command.status, command.message_id_being_responded_to, command.has_data_set) == (0xB000, 9, False)


def test_bytes_are_those_pydicom_writes() -> None:
    data_set = Dataset()
    data_set.AffectedSOPClassUID = "1.2.840.10008.1.1"
    data_set.CommandField = 0x0030
    data_set.MessageID = 1
    data_set.CommandDataSetType = 0x0101
    buffer = io.BytesIO()
    fp = DicomFileLike(buffer)
    fp.is_little_endian, fp.is_implicit_VR = True, True
    write_dataset(fp, data_set)
    body = buffer.getvalue()
    command = Command(command_field=CommandField.C_ECHO_RQ, message_id=1, affected_sop_class_uid="1.2.840.10008.1.1")
    assert encode_command(command) == struct.pack("<HHII", 0, 0, 4, len(body)) + body


US = st.none() | st.integers(0, 0xFFFF)
UID = st.none() | st.from_regex(r"[0-9]{1,5}(\.[0-9]{1,9}){0,5}", fullmatch=True)
TEXT = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
TAGS = st.none() | st.lists(st.integers(0, 0xFFFF_FFFF), min_size=1, max_size=5).map(tuple)
COMMANDS = st.builds(
    Command,
    command_field=st.sampled_from(CommandField),
    has_data_set=st.booleans(),
    affected_sop_class_uid=UID,
    requested_sop_class_uid=UID,
    message_id=US,
    message_id_being_responded_to=US,
    move_destination=TEXT,
    priority=US,
    status=US,
    offending_elements=TAGS,
    error_comment=TEXT,
    error_id=US,
    affected_sop_instance_uid=UID,
    requested_sop_instance_uid=UID,
    event_type_id=US,
    attribute_identifiers=TAGS,
    action_type_id=US,
    remaining_suboperations=US,
    completed_suboperations=US,
    failed_suboperations=US,
    warning_suboperations=US,
    move_originator_ae_title=TEXT,
    move_originator_message_id=US,
)


@given(COMMANDS)
def test_there_and_back(command: Command) -> None:
    raw = encode_command(command)
    assert decode_command(raw) == command
    assert len(raw) % 2 == 0
    assert struct.unpack_from("<I", raw, 8)[0] == len(raw) - 12


@given(COMMANDS, st.integers(0, 0xFFFF))
def test_a_store_response_is_encoded_like_any_command(request: Command, status: int) -> None:
    response = Command(
        command_field=CommandField.C_STORE_RSP,
        message_id_being_responded_to=request.message_id,
        affected_sop_class_uid=request.affected_sop_class_uid,
        affected_sop_instance_uid=request.affected_sop_instance_uid,
        status=status,
    )
    assert encode_store_response(request, status) == encode_command(response)


@given(COMMANDS)
def test_tags_ascend(command: Command) -> None:
    raw, tags, position = encode_command(command), [], 0
    while position < len(raw):
        group, element, length = struct.unpack_from("<HHI", raw, position)
        tags.append((group, element))
        assert length % 2 == 0
        position += 8 + length
    assert tags == sorted(set(tags))


@given(st.binary(max_size=200) | COMMANDS.map(encode_command).flatmap(lambda raw: st.just(raw[: len(raw) // 2])))
def test_garbage_is_a_remote_protocol_error_or_a_command(raw: bytes) -> None:
    try:
        command = decode_command(raw)
    except RemoteProtocolError:
        return
    encode_command(command)


@pytest.mark.parametrize("cut", [cut for cut in range(1, 50) if cut % 10])  # its elements have ten bytes each
def test_a_command_set_cut_inside_an_element(cut: int) -> None:
    raw = encode_command(Command(command_field=CommandField.C_ECHO_RSP, message_id_being_responded_to=1, status=0))
    with pytest.raises(RemoteProtocolError):
        decode_command(raw[:-cut])


def test_unknown_elements_and_zero_lengths_are_passed_over() -> None:
    known = encode_command(Command(command_field=CommandField.C_ECHO_RQ, message_id=3))[12:]
    retired = struct.pack("<HHI", 0, 0x0001, 4) + b"\1\0\0\0"  # (0000,0001) Length to End
    empty_status = struct.pack("<HHI", 0, 0x0900, 0)
    command = decode_command(retired + known + empty_status)
    assert (command.message_id, command.status) == (3, None)


def test_a_list_of_failed_instances_inside_the_command_set_is_passed_over() -> None:
    response = Command(command_field=CommandField.C_GET_RSP, message_id_being_responded_to=1, status=0xC000)
    failed = struct.pack("<HHI", 0x0008, 0x0058, 4) + b"1.2\0"
    assert decode_command(encode_command(response) + failed) == response


@pytest.mark.parametrize("group", [0x0002, 0x0008, 0x0100])
def test_another_group_is_refused(group: int) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_command(struct.pack("<HHIH", group, 0x0100, 2, 1))


def test_no_or_an_unknown_command_field_is_refused() -> None:
    for body in (b"", struct.pack("<HHIH", 0, 0x0100, 2, 0x7777)):
        with pytest.raises(RemoteProtocolError, match="Command Field"):
            decode_command(body)


def test_a_uid_that_is_not_ascii_can_be_echoed() -> None:
    raw = struct.pack("<HHIH", 0, 0x0100, 2, 0x0030) + struct.pack("<HHI", 0, 0x0002, 4) + b"1.\xe4\0"
    command = decode_command(raw)
    answer = Command(command_field=CommandField.C_ECHO_RSP, affected_sop_class_uid=command.affected_sop_class_uid)
    assert b"1.?\0" in encode_command(answer)


@pytest.mark.parametrize("value", [0x0000, 0x0001, 0x0102, 0xFEFE])
def test_any_other_data_set_type_means_that_one_follows(value: int) -> None:
    raw = struct.pack("<HHIH", 0, 0x0100, 2, 1) + struct.pack("<HHIH", 0, 0x0800, 2, value)
    assert decode_command(raw).has_data_set


def test_responses_have_bit_15() -> None:
    assert {field.is_response for field in CommandField if field.name.endswith("_RSP")} == {True}
    assert {field.is_response for field in CommandField if field.name.endswith("_RQ")} == {False}
