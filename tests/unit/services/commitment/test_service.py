"""Storage Commitment from request to result, over a sandbox archive that answers in every way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.codecs.identifier import encode_identifier
from gateway.config import BackendSettings, CommitmentSettings, DimseSettings, GatewaySettings
from gateway.dimse.application_entity import run_application_entity
from gateway.dimse.archive import Archive
from gateway.dimse.commands import Command, CommandField
from gateway.dimse.event_reports import EventReport
from gateway.dimse.uids import QR_TRANSFER_SYNTAXES, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from gateway.errors import (
    ConflictingRequest,
    ConnectFailed,
    DimseStatusError,
    NoAcceptedContext,
    ResultGone,
    ShuttingDown,
    UnknownResource,
)
from gateway.sandbox import Behaviour, CommitmentAnswer, SandboxArchive
from gateway.services.commitment.modules import Outcome, Reference, describe_request
from gateway.services.commitment.results import CommitmentResults
from gateway.services.commitment.service import CommitmentService
from gateway.services.commitment.transactions import TransactionState, TransactionStore
from gateway.tasks import running_tasks
from tests.support.cancellation import MAX_STEPS, iter_cancelled_runs, settle
from tests.support.scripted_peer import Message, PeerAssociation, Script, ScriptedPeer
from tests.unit.sandbox.conftest import CT, make_instance, save

HELD = [Reference(CT, "1.2.1.1.1"), Reference(CT, "1.2.1.1.2")]
MISSING = Reference(CT, "1.2.99")
LONG_S = 10.0


@dataclass(slots=True)
class Site:
    """An archive, a gateway's application entity and the service, with a clock that tests turn."""

    sandbox: SandboxArchive
    store: TransactionStore
    service: CommitmentService
    late_s: list[float]

    async def settle(self) -> None:
        await settle(lambda: not [name for name in running_tasks() if "commitment" in name])


@asynccontextmanager
async def open_site(folder: Path, behaviour: Behaviour | None = None, **settings: Any) -> AsyncIterator[Site]:
    late_s = [0.0]

    def now() -> float:
        return 1_000_000.0 + late_s[0]

    sandbox = SandboxArchive(folder / "archive", behaviour=behaviour)
    for reference in HELD:
        sandbox.index.add_file(save(make_instance(reference.sop_instance_uid), folder))
    store = TransactionStore(str(folder / "transactions.sqlite"), now=now)
    results = CommitmentResults(store, {"main": "SANDBOX"})
    with sandbox:
        backend = BackendSettings(ae_title="SANDBOX", host="127.0.0.1", port=sandbox.port, cancel_timeout_s=1)
        gateway = GatewaySettings(dimse=DimseSettings(listen="127.0.0.1:0"), backends={"main": backend})
        async with run_application_entity(gateway, take_event=results.take) as entity:
            sandbox.add_move_destination("GATEWAY", "127.0.0.1", entity.acceptor.port)
            quick = CommitmentSettings(**{"wait_s": LONG_S, "same_association_s": 0.05} | settings)
            service = CommitmentService(entity.archives["main"], store, results, quick, now=now)
            yield Site(sandbox, store, service, late_s)
            await settle(lambda: not [name for name in running_tasks() if "commitment" in name])
    await store.close()


@pytest.mark.parametrize("way", [CommitmentAnswer.BEFORE, CommitmentAnswer.AFTER, CommitmentAnswer.LATER])
async def test_each_way_of_answering(tmp_path: Path, way: CommitmentAnswer) -> None:
    async with open_site(tmp_path, Behaviour(commitment=way), same_association_s=2) as site:
        outcomes = await site.service.request("1.9", [*HELD, MISSING])
        assert outcomes == [Outcome(HELD[0], 0), Outcome(HELD[1], 0), Outcome(MISSING, 0x0112)]
        assert await site.service.check("1.9") == outcomes
        await settle(lambda: site.sandbox.counters.commitment_reports == 1)
        assert site.sandbox.counters.commitments == 1


async def test_a_result_that_takes_its_time(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(response_delay_s=0.3), wait_s=0) as site:
        assert await site.service.request("1.9", HELD) is None
        assert await site.service.check("1.9") is None
        assert await site.service.wait("1.9", LONG_S) == [Outcome(one, 0) for one in HELD]
        assert await site.service.check("1.9") is not None


async def test_many_instances_are_asked_for_in_portions(tmp_path: Path) -> None:
    many = [*HELD, *(Reference(CT, f"1.2.99.{number}") for number in range(5))]
    async with open_site(tmp_path, max_references=3) as site:
        outcomes = await site.service.request("1.9", many)
        assert outcomes is not None
        assert [one.reason for one in outcomes] == [0, 0, *[0x0112] * 5]
        assert site.sandbox.counters.commitments == 3


async def test_a_uid_is_used_once(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        await site.service.request("1.9", HELD)
        with pytest.raises(ConflictingRequest):
            await site.service.request("1.9", HELD)
        assert site.sandbox.counters.commitments == 1


async def test_what_the_archive_refuses_burns_the_uid(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(commitment_status=0x0213)) as site:
        with pytest.raises(DimseStatusError):
            await site.service.request("1.9", HELD)
        with pytest.raises(ResultGone):
            await site.service.check("1.9")
        with pytest.raises(ConflictingRequest):
            await site.service.request("1.9", HELD)


async def test_what_never_reached_the_archive_burns_nothing(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(refuse_commitment=True)) as site:
        with pytest.raises(NoAcceptedContext):
            await site.service.request("1.9", HELD)
        with pytest.raises(UnknownResource):
            await site.service.check("1.9")
        site.sandbox.stop()
        with pytest.raises(ConnectFailed):
            await site.service.request("1.9", HELD)
        with pytest.raises(UnknownResource):
            await site.service.check("1.9")


async def test_a_client_that_leaves_stops_nothing(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(response_delay_s=0.2)) as site:
        asking = asyncio.create_task(site.service.request("1.9", HELD))
        await settle(lambda: site.sandbox.counters.commitments == 1)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await site.service.wait("1.9", LONG_S) == [Outcome(one, 0) for one in HELD]


async def test_a_client_that_leaves_at_any_point_leaves_nothing_half_asked(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        uids = (f"1.9.{number}" for number in range(MAX_STEPS))
        async for step in iter_cancelled_runs(lambda: site.service.request(next(uids), HELD)):
            await site.settle()
            assert await site.store.list_in_state(TransactionState.ASKING) == [], f"cancelled at await {step}"


async def test_a_failure_of_the_database_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(uid: str, asked_as: str) -> None:
        raise OSError("disk full")

    async with open_site(tmp_path) as site:
        monkeypatch.setattr(site.store, "note_asked", fail)
        with pytest.raises(OSError, match="disk full"):
            await site.service.request("1.9", HELD)


async def test_a_restart_between_request_and_result(tmp_path: Path) -> None:
    """The gateway goes down while it asks: the next one asks again, under another UID."""
    async with open_site(tmp_path) as site:
        await site.store.add("1.9", "main", HELD)
        await site.store.add("1.8", "another", HELD)
    async with open_site(tmp_path) as site:
        await site.service.resume()
        assert await site.service.wait("1.9", LONG_S) == [Outcome(one, 0) for one in HELD]
        assert site.sandbox.counters.commitments == 1


async def test_an_archive_that_forgot_is_asked_again(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(commitment=CommitmentAnswer.NEVER), wait_s=0, repeat_after_s=60) as site:
        await site.service.request("1.9", HELD)
        await site.settle()
        site.sandbox.behaviour = Behaviour()
        site.late_s[0] = 59
        assert await site.service.check("1.9") is None and site.sandbox.counters.commitments == 1
        site.late_s[0] = 61
        assert await site.service.wait("1.9", LONG_S) == [Outcome(one, 0) for one in HELD]
        assert site.sandbox.counters.commitments == 2


async def test_of_many_checks_at_once_one_asks_again(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(commitment=CommitmentAnswer.NEVER), wait_s=0, repeat_after_s=60) as site:
        await site.service.request("1.9", HELD)
        await site.settle()
        site.late_s[0] = 61
        assert await asyncio.gather(*(site.service.check("1.9") for _ in range(5))) == [None] * 5
        await site.settle()
        assert site.sandbox.counters.commitments == 2


async def test_an_archive_that_cannot_be_asked_again_is_asked_later(tmp_path: Path) -> None:
    async with open_site(tmp_path, Behaviour(commitment=CommitmentAnswer.NEVER), wait_s=0, repeat_after_s=60) as site:
        await site.service.request("1.9", HELD)
        await site.settle()
        site.sandbox.behaviour = Behaviour(refuse_commitment=True)
        site.late_s[0] = 61
        assert await site.service.check("1.9") is None
        await site.settle()
        site.sandbox.behaviour = Behaviour()
        site.late_s[0] = 122
        assert await site.service.wait("1.9", LONG_S) is not None


async def test_an_answer_that_never_comes_is_a_failure_in_the_end(tmp_path: Path) -> None:
    async with open_site(
        tmp_path, Behaviour(commitment=CommitmentAnswer.NEVER), wait_s=0, result_timeout_s=3_000
    ) as site:
        await site.service.request("1.9", HELD)
        site.late_s[0] = 3_001
        assert await site.service.check("1.9") == [Outcome(one, 0x0110) for one in HELD]


async def test_a_result_is_kept_for_a_while(tmp_path: Path) -> None:
    async with open_site(tmp_path, keep_s=100, forget_s=100) as site:
        await site.service.request("1.9", HELD)
        site.late_s[0] = 101
        with pytest.raises(ResultGone):
            await site.service.check("1.9")
        site.late_s[0] = 202
        with pytest.raises(UnknownResource):
            await site.service.check("1.9")


async def test_a_transaction_of_another_backend_is_unknown(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        await site.store.add("1.9", "another", HELD)
        await site.store.set_state("1.9", TransactionState.WAITING)
        with pytest.raises(UnknownResource):
            await site.service.check("1.9")


# --- archives that break off ---


@dataclass(slots=True)
class ScriptedSite:
    """The service before an archive that follows a script, and where results come in."""

    service: CommitmentService
    archive: Archive
    store: TransactionStore
    results: CommitmentResults
    late_s: list[float]


@asynccontextmanager
async def open_scripted_site(script: Script, **settings: Any) -> AsyncIterator[ScriptedSite]:
    late_s = [0.0]

    def now() -> float:
        return 1_000_000.0 + late_s[0]

    store = TransactionStore(now=now)
    results = CommitmentResults(store, {"main": "ARCHIVE"})
    async with ScriptedPeer(script) as peer:
        backend = BackendSettings(ae_title="ARCHIVE", host="127.0.0.1", port=peer.port, response_timeout_s=0.1)
        gateway = GatewaySettings(dimse=DimseSettings(listen="127.0.0.1:0"), backends={"main": backend})
        async with run_application_entity(gateway, take_event=results.take) as entity:
            quick = CommitmentSettings(**{"wait_s": 0, "same_association_s": 0.05} | settings)
            archive = entity.archives["main"]
            service = CommitmentService(archive, store, results, quick, now=now)
            yield ScriptedSite(service, archive, store, results, late_s)
            await settle(lambda: not [name for name in running_tasks() if "commitment" in name])
    await store.close()


RESULT = encode_identifier(dict(describe_request("1.9", HELD)), QR_TRANSFER_SYNTAXES[0])


async def report_all(peer: PeerAssociation, request: Message) -> None:
    """Report on the association of the request, before its answer, that all is committed."""
    event = Command(
        command_field=CommandField.N_EVENT_REPORT_RQ,
        message_id=7,
        affected_sop_class_uid=STORAGE_COMMITMENT,
        affected_sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
        event_type_id=1,
        has_data_set=True,
    )
    await peer.send(request.context_id, event, RESULT)
    assert (await peer.receive()).command.status == 0


async def report_and_fall_silent(peer: PeerAssociation) -> None:
    await peer.accept()
    await report_all(peer, await peer.receive())
    await peer.read_to_end()


async def report_and_drop(peer: PeerAssociation) -> None:
    await peer.accept()
    await report_all(peer, await peer.receive())
    peer.drop()


async def report_and_refuse(peer: PeerAssociation) -> None:
    await peer.accept()
    request = await peer.receive()
    await report_all(peer, request)
    await peer.respond(request, 0x0110)


@pytest.mark.parametrize("script", [report_and_fall_silent, report_and_drop, report_and_refuse])
async def test_a_result_outlives_the_request_that_fails_after_it(script: Script) -> None:
    async with open_scripted_site(script, wait_s=LONG_S) as site:
        assert await site.service.request("1.9", HELD) == [Outcome(one, 0) for one in HELD]
        assert await site.service.check("1.9") == [Outcome(one, 0) for one in HELD]


async def fall_silent(peer: PeerAssociation) -> None:
    await peer.accept()
    await peer.receive()
    await peer.read_to_end()


async def drop(peer: PeerAssociation) -> None:
    await peer.accept()
    await peer.receive()
    peer.drop()


@pytest.mark.parametrize("script", [fall_silent, drop])
async def test_a_request_without_an_answer_may_have_a_result_all_the_same(script: Script) -> None:
    async with open_scripted_site(script) as site:
        assert await site.service.request("1.9", HELD) is None
        assert await site.service.check("1.9") is None
        with pytest.raises(ConflictingRequest):
            await site.service.request("1.9", HELD)
        report = EventReport(
            "ARCHIVE", STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, 1, RESULT, QR_TRANSFER_SYNTAXES[0]
        )
        assert await site.results.take(report) == 0
        assert await site.service.check("1.9") == [Outcome(one, 0) for one in HELD]


async def test_a_gateway_that_shuts_down_asks_nobody_and_burns_nothing() -> None:
    async with open_scripted_site(fall_silent, repeat_after_s=60) as site:
        await site.store.add("1.8", "main", HELD)
        await site.archive.pool.close()
        with capture_logs() as logs:
            for _ in range(2):
                with pytest.raises(ShuttingDown):
                    await site.service.request("1.9", HELD)
            site.late_s[0] = 61
            assert await site.service.check("1.8") is None
            await settle(lambda: not [name for name in running_tasks() if "commitment" in name])
        with pytest.raises(UnknownResource):
            await site.service.check("1.9")
        assert [log for log in logs if log["log_level"] == "error"] == []


async def test_a_request_cut_off_by_the_end_of_the_gateway_is_no_lost_result() -> None:
    asked = asyncio.Event()

    async def hold(peer: PeerAssociation) -> None:
        await peer.accept()
        await peer.receive()
        asked.set()
        await peer.read_to_end()

    async with open_scripted_site(hold) as site:
        asking = asyncio.create_task(site.service.request("1.9", HELD))
        await asked.wait()
        next(task for task in asyncio.all_tasks() if task.get_name() == "storage commitment main").cancel()
        with pytest.raises(ShuttingDown):
            await asking
        assert [one.uid for one in await site.store.list_in_state(TransactionState.ASKING)] == ["1.9"]
