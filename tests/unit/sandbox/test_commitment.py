"""The sandbox archive as Storage Commitment SCP, asked by pynetdicom.

pynetdicom as SCU cannot take a report before the response: that way is tested with the gateway's own service.
"""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, build_role, evt

from gateway.sandbox import Behaviour, CommitmentAnswer, SandboxArchive
from gateway.sandbox.commitment import STORAGE_COMMITMENT
from tests.unit.sandbox.conftest import CT, make_instance, save

INSTANCE = "1.2.840.10008.1.20.1.1"


def ask(*uids: str, sop_class: str = CT) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = "1.9"
    asked.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        asked.ReferencedSOPSequence.append(item)
    return asked


@pytest.mark.parametrize("way", [CommitmentAnswer.AFTER, CommitmentAnswer.LATER])
def test_each_way_of_answering(tmp_path: Path, way: CommitmentAnswer) -> None:
    events: list[tuple[int, Dataset]] = []
    told = Event()

    def take(event: Any) -> tuple[int, None]:
        events.append((event.event_type, event.event_information))
        told.set()
        return 0x0000, None

    ae = AE("CLIENT")
    ae.add_requested_context(STORAGE_COMMITMENT)
    ae.add_supported_context(STORAGE_COMMITMENT, scu_role=False, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    sandbox = SandboxArchive(tmp_path, behaviour=Behaviour(commitment=way))
    sandbox.index.add_file(save(make_instance("1.2.1.1.1"), tmp_path))
    with sandbox:
        sandbox.add_move_destination("CLIENT", "127.0.0.1", server.server_address[1])
        roles = [build_role(STORAGE_COMMITMENT, scu_role=True, scp_role=True)]
        association = ae.associate(
            "127.0.0.1", sandbox.port, ext_neg=roles, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)]
        )
        status, _ = association.send_n_action(ask("1.2.1.1.1", "1.2.99"), 1, STORAGE_COMMITMENT, INSTANCE)
        assert status.Status == 0
        assert told.wait(10)
        assert sandbox.wait_for(lambda counters: counters.commitment_reports == 1)
        ((number, result),) = events
        assert number == 2 and result.TransactionUID == "1.9"
        assert [item.ReferencedSOPInstanceUID for item in result.ReferencedSOPSequence] == ["1.2.1.1.1"]
        assert [item.FailureReason for item in result.FailedSOPSequence] == [0x0112]
        association.release()
    server.shutdown()


@pytest.mark.parametrize(
    ("behaviour", "asked", "action", "status"),
    [
        (Behaviour(), ask(), 1, 0x0115),
        (Behaviour(), ask("1.2"), 2, 0x0123),
        (Behaviour(commitment_status=0x0213), ask("1.2"), 1, 0x0213),
    ],
)
def test_requests_that_are_refused(
    tmp_path: Path, behaviour: Behaviour, asked: Dataset, action: int, status: int
) -> None:
    ae = AE("CLIENT")
    ae.add_requested_context(STORAGE_COMMITMENT)
    with SandboxArchive(tmp_path, behaviour=behaviour) as sandbox:
        association = ae.associate("127.0.0.1", sandbox.port)
        answer, _ = association.send_n_action(asked, action, STORAGE_COMMITMENT, INSTANCE)
        assert answer.Status == status
        association.release()


def test_another_class_than_the_one_held(tmp_path: Path) -> None:
    events: list[Dataset] = []
    told = Event()

    def take(event: Any) -> tuple[int, None]:
        events.append(event.event_information)
        told.set()
        return 0x0000, None

    ae = AE("CLIENT")
    ae.add_requested_context(STORAGE_COMMITMENT)
    sandbox = SandboxArchive(tmp_path, behaviour=Behaviour(commitment=CommitmentAnswer.AFTER))
    sandbox.index.add_file(save(make_instance("1.2.1.1.1"), tmp_path))
    with sandbox:
        association = ae.associate("127.0.0.1", sandbox.port, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
        asked = ask("1.2.1.1.1", sop_class="1.2.840.10008.5.1.4.1.1.4")
        association.send_n_action(asked, 1, STORAGE_COMMITMENT, INSTANCE)
        assert told.wait(10)
        association.release()
    assert [item.FailureReason for item in events[0].FailedSOPSequence] == [0x0119]
