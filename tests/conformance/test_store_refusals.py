"""Archives that refuse some of a request, are slow or break off: the answer tells exactly what they hold (§10.5.3).

What the archive holds is looked up without DIMSE after each answer: no more and no less than what was called stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour, Disturbance, Fault, Moment
from tests.support.conformance_site import JSON, Site, open_site
from tests.support.uploads import (
    CT,
    EXPLICIT_VR_LE,
    JPEG_LS,
    MR,
    make_data_set,
    make_file,
    multipart,
    multipart_type,
    sop_uid,
)
from tests.support.web_client import WebResponse

IMPLICIT_VR_LE = "1.2.840.10008.1.2"
LIMITS = {"store_timeout_s": 1, "silence_timeout_s": 1}
PIXELS = bytes(range(256)) * 1_200


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[SandboxArchive]:
    with SandboxArchive(tmp_path / "shelf") as shelf:
        yield shelf


def instance(number: int, sop_class: str = CT, transfer_syntax: str = EXPLICIT_VR_LE, pixels: bytes = PIXELS) -> bytes:
    return make_file(make_data_set(number, sop_class=sop_class, pixels=pixels), transfer_syntax)


def store(site: Site, *parts: bytes) -> tuple[WebResponse, list[int], dict[int, int]]:
    """POST; the response, the numbers of the instances it calls stored, and the reasons of those that failed."""
    response = site.send("POST", "/studies", JSON, body=multipart(parts), Content_Type=multipart_type())
    stored, failed = (response.json.get(tag, {}).get("Value", []) for tag in ("00081199", "00081198"))
    reasons = {number_of(item): item["00081197"]["Value"][0] for item in failed}
    return response, [number_of(item) for item in stored], reasons


def number_of(item: dict[str, dict[str, list[str]]]) -> int:
    return int(item["00081155"]["Value"][0].rpartition(".")[2])


def numbers_held(shelf: SandboxArchive) -> list[int]:
    """The instances that the archive holds, each checked byte for byte if it was sent in Explicit VR Little Endian."""
    numbers = []
    for held in shelf.index.select({}):
        numbers.append(int(held.sop_instance_uid.rpartition(".")[2]))
        data_set = Path(held.path).read_bytes()[held.data_offset :]
        sent = make_data_set(numbers[-1], sop_class=held.sop_class_uid, pixels=PIXELS)
        assert data_set == sent
    assert set(map(sop_uid, numbers)) == {it.sop_instance_uid for it in shelf.index.select({})}
    return sorted(numbers)


# --- resources ---


@pytest.mark.parametrize("associations", [1, 3])
def test_an_archive_that_is_full_after_some(shelf: SandboxArchive, associations: int) -> None:
    """Table I.2-2, A700: those that still had room are stored; 202."""
    shelf.behaviour = Behaviour(store_capacity=3)
    with open_site(shelf, backend={"store_associations": associations}) as site:
        response, stored, reasons = store(site, *map(instance, range(6)))
    assert (response.status, stored) == (202, numbers_held(shelf))
    assert len(stored) == 3 or associations > 1 and len(stored) < 6, "what arrives together may find the last room"
    assert reasons == dict.fromkeys(set(range(6)) - set(stored), 0xA700)


def test_an_archive_that_is_full(shelf: SandboxArchive) -> None:
    """Sup 163: 503 with the module; room again, the same request succeeds."""
    shelf.behaviour = Behaviour(store_capacity=0)
    with open_site(shelf) as site:
        response, stored, reasons = store(site, instance(1), instance(2))
        assert (response.status, stored, reasons) == (503, [], {1: 0xA700, 2: 0xA700})
        assert int(response.header("Retry-After")) > 0 and "A700" in response.header("Warning")
        shelf.behaviour = Behaviour()
        assert store(site, instance(1), instance(2))[1] == [1, 2]


# --- classes and transfer syntaxes ---


def test_a_class_that_is_refused(shelf: SandboxArchive) -> None:
    """Table I.2-2, 0122: for each instance of the class, wherever it stands; the others are stored."""
    shelf.behaviour = Behaviour(refused_classes=frozenset({MR}))
    with open_site(shelf) as site:
        parts = [instance(1, MR), instance(2), instance(3, MR), instance(4), instance(5, MR)]
        response, stored, reasons = store(site, *parts)
        assert (response.status, stored, numbers_held(shelf)) == (202, [2, 4], [2, 4])
        assert reasons == {1: 0x0122, 3: 0x0122, 5: 0x0122}
        assert store(site, instance(6, MR))[0].status == 409


def test_a_transfer_syntax_that_is_refused(shelf: SandboxArchive) -> None:
    """Table I.2-2, C122 for what cannot be written otherwise without loss; nothing else is touched."""
    shelf.behaviour = Behaviour(accepted_transfer_syntaxes=(EXPLICIT_VR_LE,))
    with open_site(shelf) as site:
        parts = [instance(1, transfer_syntax=JPEG_LS), instance(2), instance(3, MR, JPEG_LS), instance(4, MR)]
        response, stored, reasons = store(site, *parts)
    assert (response.status, stored, numbers_held(shelf)) == (202, [2, 4], [2, 4])
    assert reasons == {1: 0xC122, 3: 0xC122}


def test_an_archive_that_takes_implicit_vr_only(shelf: SandboxArchive) -> None:
    """C122 for Explicit VR: its values cannot all be written in Implicit VR and read back alike."""
    shelf.behaviour = Behaviour(accepted_transfer_syntaxes=(IMPLICIT_VR_LE,))
    with open_site(shelf) as site:
        response, stored, reasons = store(site, instance(1))
    assert (response.status, stored, reasons) == (409, [], {1: 0xC122})


# --- slow ---


@pytest.mark.parametrize("switches", [{"store_delay_s": 0.2}, {"pdata_delay_s": 0.05}])
def test_a_slow_archive_is_waited_for(shelf: SandboxArchive, switches: dict[str, float]) -> None:
    """Limits are of silence, not of the whole: each instance takes its time."""
    shelf.behaviour = Behaviour(**switches)
    with open_site(shelf, backend=LIMITS) as site:
        response, stored, _ = store(site, *map(instance, range(4)))
    assert (response.status, stored, numbers_held(shelf)) == (200, [0, 1, 2, 3], [0, 1, 2, 3])


def test_an_archive_that_is_too_slow(shelf: SandboxArchive) -> None:
    """No C-STORE-RSP within store_timeout_s: 504, nothing is called stored, and no second limit is waited for."""
    shelf.behaviour = Behaviour(store_delay_s=30)
    with open_site(shelf, backend=LIMITS) as site:
        response, stored, _ = store(site, *map(instance, range(4)))
        assert (response.status, stored) == (504, [])
        assert "00081198" not in response.json
    assert numbers_held(shelf) == []


# --- breaking off ---


@pytest.mark.parametrize("fault", [Fault.ABORT, Fault.DROP])
@pytest.mark.parametrize("associations", [1, 2])
def test_an_archive_that_breaks_off_within_an_instance(shelf: SandboxArchive, fault: Fault, associations: int) -> None:
    """0110 for what was under way; what was acknowledged before stays stored, the rest is sent again nowhere."""
    after = int(2.5 * len(make_data_set(1, pixels=PIXELS)))
    with open_site(shelf, backend={"store_associations": associations}) as site:
        shelf.behaviour = Behaviour(disturbance=Disturbance(fault, Moment.WITHIN_STORE, after))
        response, stored, reasons = store(site, *map(instance, range(8)))
        shelf.behaviour = Behaviour()
        assert store(site, instance(9))[0].status == 200
    assert response.status == 202 and reasons
    assert stored == [number for number in numbers_held(shelf) if number != 9]
    assert reasons == dict.fromkeys(set(range(8)) - set(stored), 0x0110)


def test_an_archive_that_breaks_off_before_it_answers(shelf: SandboxArchive) -> None:
    """What the archive has had whole but not acknowledged is not called stored, whatever it keeps."""
    shelf.behaviour = Behaviour(disturbance=Disturbance(Fault.ABORT, Moment.BEFORE_STORE_RESPONSE))
    with open_site(shelf) as site:
        response, stored, _ = store(site, instance(1), instance(2))
    assert (response.status, stored) == (502, [])
