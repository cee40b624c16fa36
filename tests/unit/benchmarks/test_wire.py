"""What the benchmarks say on the wire is what pynetdicom understands."""

from __future__ import annotations

import socket
from io import BytesIO

import pytest
from pydicom import Dataset
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, P_DATA_TF

from benchmarks import wire

CONTEXTS = (
    wire.ProposedContext(1, wire.STUDY_ROOT_GET, (wire.IMPLICIT_LE,)),
    wire.ProposedContext(3, wire.CT_IMAGE_STORAGE, (wire.EXPLICIT_LE, wire.IMPLICIT_LE)),
)
REQUEST = wire.encode_request("ARCHIVE", "BENCHMARK", CONTEXTS, max_length=131_072, scp_roles=[wire.CT_IMAGE_STORAGE])


def test_the_request_is_one() -> None:
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(REQUEST)
    primitive = pdu.to_primitive()
    assert (primitive.called_ae_title, primitive.calling_ae_title) == ("ARCHIVE", "BENCHMARK")
    proposed = [(it.context_id, it.abstract_syntax) for it in primitive.presentation_context_definition_list]
    assert proposed == [(1, wire.STUDY_ROOT_GET), (3, wire.CT_IMAGE_STORAGE)]
    assert primitive.maximum_length_received == 131_072
    (role,) = (it for it in primitive.user_information if hasattr(it, "scp_role"))
    assert (role.sop_class_uid, role.scu_role, role.scp_role) == (wire.CT_IMAGE_STORAGE, False, True)


def test_what_was_encoded_is_read_back() -> None:
    request = wire.parse_request(REQUEST[6:])
    assert request.contexts == CONTEXTS
    assert request.max_length == 131_072
    assert len(request.roles) == 1


def test_the_acceptance_is_one() -> None:
    request = wire.parse_request(REQUEST[6:])
    accept = wire.encode_accept(request, {3: wire.EXPLICIT_LE}, max_length=65_536)
    pdu = A_ASSOCIATE_AC()
    pdu.decode(accept)
    results = {it.context_id: it.result for it in pdu.to_primitive().presentation_context_definition_results_list}
    assert results == {1: 3, 3: 0}
    assert wire.parse_accept(accept[6:]) == wire.Accepted(frozenset({3}), 65_536)


@pytest.mark.parametrize(("is_command", "is_last", "control"), [(True, True, 3), (False, False, 0), (False, True, 2)])
def test_a_frame_is_a_p_data_tf(is_command: bool, is_last: bool, control: int) -> None:
    pdu = P_DATA_TF()
    pdu.decode(wire.frame(5, b"abcd", is_command=is_command, is_last=is_last))
    (item,) = pdu.presentation_data_value_items
    assert (item.context_id, item.data) == (5, bytes([control]) + b"abcd")


def read(data: bytes) -> Dataset:
    return decode(BytesIO(data), is_implicit_vr=True, is_little_endian=True)


def test_a_command_set() -> None:
    command = wire.encode_command({0x0800: 1, 0x0002: wire.STUDY_ROOT_FIND, 0x0100: 0x0020, 0x0110: 7})
    data_set = read(command)
    assert data_set.CommandGroupLength == len(command) - 12
    assert (data_set.AffectedSOPClassUID, data_set.CommandField) == (wire.STUDY_ROOT_FIND, 0x0020)
    assert (data_set.MessageID, data_set.CommandDataSetType) == (7, 1)
    assert [element.tag for element in data_set] == sorted(element.tag for element in data_set)


def test_an_identifier() -> None:
    data_set = read(wire.encode_identifier({0x0020000D: "1.2.3", 0x00080052: "IMAGE", 0x00080061: ""}))
    assert (data_set.StudyInstanceUID, data_set.QueryRetrieveLevel) == ("1.2.3", "IMAGE")
    assert data_set.ModalitiesInStudy in ("", None)


def test_the_status_of_a_response() -> None:
    response = wire.encode_command({0x0100: 0x8020, 0x0900: 0xFF00})
    assert wire.read_status(wire.frame(1, response, is_command=True)[6:]) == 0xFF00
    request = wire.encode_command({0x0100: 0x0001})
    assert wire.read_status(wire.frame(1, request, is_command=True)[6:]) is None
    assert wire.read_status(wire.frame(1, b"data" * 5)[6:]) is None


def test_a_pdu_is_read_whole_however_it_comes() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for byte in wire.frame(1, b"abcd") * 2:
            theirs.send(bytes([byte]))
        assert [wire.read_pdu(ours) for _ in range(2)] == [(wire.P_DATA, wire.frame(1, b"abcd")[6:])] * 2
        theirs.close()
        with pytest.raises(ConnectionError):
            wire.read_pdu(ours)
