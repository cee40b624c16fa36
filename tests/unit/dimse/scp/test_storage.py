"""C-STORE as SCP: contexts, who is refused and how a refusal ends."""

from __future__ import annotations

import asyncio

import pytest
from pynetdicom.presentation import AllStoragePresentationContexts

from gateway.dimse.move_routing import MoveRegistry
from gateway.dimse.scp import storage
from gateway.dimse.scp.storage import MoveStorageProvider
from gateway.dimse.uids import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, VERIFICATION
from gateway.dimse.ul.events import Abort, ProposedContext
from tests.support.cancellation import settle
from tests.support.dimse_operations import LONG_S, SHORT_S, Destination
from tests.support.scripted_peer import CT_IMAGE_STORAGE, PeerGone, store_request

EXPLICIT, IMPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, J2K, JPEG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.50"
PAYLOAD = bytes(100_000)


class TestContexts:
    def test_every_storage_class_pynetdicom_knows_and_private_ones(self) -> None:
        provider = MoveStorageProvider(MoveRegistry())
        for context in AllStoragePresentationContexts:
            assert provider.serves(str(context.abstract_syntax)), context.abstract_syntax
        assert provider.serves("1.3.46.670589.11.0.0.12.1")

    @pytest.mark.parametrize(
        "uid", [VERIFICATION, STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE, "1.2.840.10008.1.20.1"]
    )
    def test_no_other_service(self, uid: str) -> None:
        assert not MoveStorageProvider(MoveRegistry()).serves(uid)

    @pytest.mark.parametrize(
        ("proposed", "usual", "native"),
        [
            ((IMPLICIT,), IMPLICIT, IMPLICIT),
            ((IMPLICIT, EXPLICIT), EXPLICIT, EXPLICIT),
            ((BIG_ENDIAN, DEFLATED), DEFLATED, DEFLATED),
            ((IMPLICIT, J2K, JPEG), J2K, IMPLICIT),
            ((JPEG, J2K), JPEG, JPEG),
            (("1.3.6.1.4.1.5.9",), "1.3.6.1.4.1.5.9", "1.3.6.1.4.1.5.9"),
        ],
    )
    def test_choice_of_transfer_syntax(self, proposed: tuple[str, ...], usual: str, native: str) -> None:
        registry = MoveRegistry()
        provider = MoveStorageProvider(registry)
        context = ProposedContext(1, CT_IMAGE_STORAGE, proposed)
        assert provider.choose(context, "ARCHIVE") == usual
        fields = {"calling_ae_title": "GATEWAY", "destination": "GATEWAY"}
        registry.register(archive_ae_title="ARCHIVE", prefers_native=True, **fields)
        registry.register(archive_ae_title="OTHER", **fields)
        assert provider.choose(context, "ARCHIVE") == native
        assert provider.choose(context, "OTHER") == usual
        registry.register(archive_ae_title="ARCHIVE", only=[usual], **fields)
        assert provider.choose(context, "ARCHIVE") == usual
        registry.register(archive_ae_title="ARCHIVE", only=["1.2.3"], **fields)
        assert provider.choose(context, "ARCHIVE") is None
        assert registry.offered_by("ARCHIVE") == set(proposed)


class TestStores:
    async def test_a_store_nobody_asked_for(self) -> None:
        async with Destination() as destination, destination.connect() as sender:
            for number in range(2):
                answer = (await sender.store(1, f"1.2.{number}", PAYLOAD, message_id=number)).command
                assert (answer.status, answer.message_id_being_responded_to) == (0x0124, number)
                assert answer.affected_sop_instance_uid == f"1.2.{number}"
            await sender.release()
            assert sender.ending == "ReleaseReply"

    async def test_a_large_one_that_goes_on_is_cut(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(storage, "REFUSAL_DRAIN_S", SHORT_S)
        async with Destination() as destination, destination.connect() as sender:
            await sender.send(1, store_request("1.2"))
            await sender.send_bytes(sender.encode_data(1, PAYLOAD[:1000], last=False))
            assert isinstance(await sender.receive_event(), Abort)
            await settle(lambda: destination.acceptor.association_count == 0)

    async def test_on_a_context_never_accepted(self) -> None:
        async with Destination() as destination, destination.connect() as sender:
            await sender.send(7, store_request("1.2"), PAYLOAD)
            with pytest.raises(PeerGone, match="aborted"):
                await sender.receive()

    async def test_taken_at_the_pace_of_the_retrieval(self) -> None:
        async with Destination() as destination, destination.connect() as sender:
            reception = destination.register()
            storing = asyncio.create_task(
                sender.store(1, "1.2", bytes(30_000_000), move_originator_message_id=reception.message_id)
            )
            instance = await reception.take(lambda: LONG_S, lambda: False)
            assert instance is not None
            received = instance._association
            await settle(lambda: received.transport._paused)
            assert received.bytes_received < 2_000_000  # two chunks of 256 KiB, and what came with the command set
            size = 0
            while (piece := await instance.read_piece()) is not None:
                size += len(piece)
            assert size == 30_000_000
            assert not storing.done()
            await instance.respond(0)
            reception.finish(instance)
            assert (await storing).command.status == 0
            reception.close()

    async def test_refused_when_the_retrieval_ends(self) -> None:
        async with Destination() as destination, destination.connect() as sender:
            reception = destination.register(instances=["1.2"])
            storing = asyncio.create_task(sender.store(1, "1.2", PAYLOAD))
            assert await reception.take(lambda: LONG_S, lambda: False) is not None
            reception.close()
            assert (await storing).command.status == 0xA700

    async def test_cancelled_when_the_acceptor_closes(self) -> None:
        async with Destination() as destination, destination.connect() as sender:
            reception = destination.register()
            await sender.send(1, store_request("1.2", move_originator_message_id=reception.message_id), PAYLOAD)
            await reception.take(lambda: LONG_S, lambda: False)
            await destination.acceptor.close()
            with pytest.raises(PeerGone):
                await sender.receive()
            reception.close()

    async def test_a_title_that_is_not_ascii_is_echoed_not_fatal(self) -> None:
        async with Destination() as destination, destination.connect() as sender:
            answer = await sender.store(1, "1.2", PAYLOAD, affected_sop_class_uid="1.2.\ufffd")
            assert answer.command.status == 0x0124
