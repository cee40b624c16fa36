"""What every provider keeps to."""

from __future__ import annotations

from pydicom.uid import UID

from gateway.dimse.move_routing import MoveRegistry
from gateway.dimse.scp.provider import NATIVE_PREFERENCE, ServiceProvider
from gateway.dimse.scp.storage import MoveStorageProvider
from gateway.dimse.scp.verification import VerificationProvider
from gateway.dimse.ul.events import ProposedContext


def test_the_preference_holds_each_native_syntax_once() -> None:
    assert len(set(NATIVE_PREFERENCE)) == len(NATIVE_PREFERENCE) == 4
    assert all(UID(uid).is_transfer_syntax and not UID(uid).is_encapsulated for uid in NATIVE_PREFERENCE)


def test_no_two_providers_want_the_same_request_or_context() -> None:
    providers: tuple[ServiceProvider, ...] = (VerificationProvider(), MoveStorageProvider(MoveRegistry()))
    assert len({provider.request for provider in providers}) == len(providers)
    for uid in ("1.2.840.10008.1.1", "1.2.840.10008.5.1.4.1.1.2", "1.3.6.1.4.1.1"):
        assert sum(provider.serves(uid) for provider in providers) == 1


def test_what_is_chosen_was_proposed() -> None:
    for provider in (VerificationProvider(), MoveStorageProvider(MoveRegistry())):
        for syntax in (*NATIVE_PREFERENCE, "1.2.840.10008.1.2.4.70"):
            assert provider.choose(ProposedContext(1, "1.2", (syntax,)), "ARCHIVE") in (syntax, None)
