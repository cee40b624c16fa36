"""A-ASSOCIATE-RQ and -AC: what pynetdicom reads of what is written here; see ``test_pdu.py`` for the rest."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ

from gateway.dimse.ul.associate import decode_accept, decode_request, encode_accept, encode_request
from gateway.dimse.ul.events import ContextResult, ExtendedNegotiation, ProposedContext, RoleSelection, UserIdentity
from tests.support.upper_layer import make_accept, make_request

REQUEST = make_request(
    contexts=(ProposedContext(1, "1.2.3", ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1")), ProposedContext(3, "1.4", ())),
    roles=(RoleSelection("1.2.3", False, True),),
    extended=(ExtendedNegotiation("1.2.3", b"\1\0"),),
    user_identity=UserIdentity(2, b"user", b"word"),
)
ACCEPT = make_accept(results=(ContextResult(1, 0, "1.2.840.10008.1.2"), ContextResult(3, 4, "")))


def test_both_survive_the_wire() -> None:
    assert decode_request(encode_request(REQUEST)[6:]) == REQUEST
    assert decode_accept(encode_accept(ACCEPT)[6:]) == ACCEPT


def test_pynetdicom_reads_both() -> None:
    request, accept = A_ASSOCIATE_RQ(), A_ASSOCIATE_AC()
    request.decode(encode_request(REQUEST))
    accept.decode(encode_accept(ACCEPT))
    assert [context.context_id for context in request.presentation_context] == [1, 3]
    assert request.presentation_context[0].transfer_syntax == ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"]
    assert [context.result for context in accept.presentation_context] == [0, 4]


@pytest.mark.parametrize("decode", [decode_request, decode_accept])
def test_a_body_shorter_than_its_fixed_fields(decode: object) -> None:
    with pytest.raises(ValueError, match="shorter"):
        decode(b"\0" * 67)  # type: ignore[operator]


def test_pynetdicom_is_imported_for_the_first_association() -> None:
    code = (
        "import sys; from gateway.dimse.ul.pdu import PduType, decode_pdu, encode_pdu;"
        "from gateway.dimse.ul.events import ReleaseRequest; encode_pdu(ReleaseRequest());"
        "assert 'pynetdicom' not in sys.modules;"
        f"decode_pdu(PduType.ASSOCIATE_AC, {encode_accept(ACCEPT)[6:]!r});"
        "assert 'pynetdicom' in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")
