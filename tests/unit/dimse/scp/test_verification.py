"""C-ECHO as SCP: which contexts are its own; the exchange itself is in ``test_acceptor.py``."""

from __future__ import annotations

import pytest

from gateway.dimse.commands import CommandField
from gateway.dimse.scp.verification import VerificationProvider
from gateway.dimse.uids import STUDY_ROOT_FIND, VERIFICATION
from gateway.dimse.ul.events import ProposedContext

PROVIDER = VerificationProvider()


def test_its_contexts() -> None:
    assert PROVIDER.request is CommandField.C_ECHO_RQ
    assert PROVIDER.serves(VERIFICATION)
    assert not PROVIDER.serves(STUDY_ROOT_FIND)


@pytest.mark.parametrize(
    ("proposed", "chosen"),
    [
        (("1.2.840.10008.1.2",), "1.2.840.10008.1.2"),
        (("1.2.840.10008.1.2", "1.2.840.10008.1.2.1"), "1.2.840.10008.1.2.1"),
        (("1.2.840.10008.1.2.4.50",), None),
    ],
)
def test_any_native_transfer_syntax(proposed: tuple[str, ...], chosen: str | None) -> None:
    assert PROVIDER.choose(ProposedContext(1, VERIFICATION, proposed), "ARCHIVE") == chosen
