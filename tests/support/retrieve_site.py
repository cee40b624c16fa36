"""A sandbox archive with two small studies, and what a gateway stands on to retrieve from it, in one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import GatewaySettings
from gateway.dimse.application_entity import run_application_entity
from gateway.dimse.archive import Archive
from gateway.resources import ResourcePath
from gateway.sandbox import Behaviour, SandboxArchive
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.service import RetrieveService
from gateway.services.retrieve.transfer_demand import AS_STORED, TransferDemand
from gateway.tasks import running_tasks
from tests.support.cancellation import settle
from tests.unit.sandbox.conftest import MR, make_instance, save

__all__ = ["INSTANCE", "METHODS", "SERIES", "STUDY", "Site", "Taken", "fill", "open_site", "take"]

METHODS = ("c-get", "c-move")
STUDY = ResourcePath("1.2.1")
"""Three CT slices in series 1, one MR slice in series 2."""
SERIES = ResourcePath("1.2.1", "1.2.1.1")
INSTANCE = ResourcePath("1.2.1", "1.2.1.1", "1.2.1.1.2")
SHORT: dict[str, Any] = {"move_grace_s": 5, "cancel_timeout_s": 2, "retrieve_timeout_s": 10, "response_timeout_s": 10}


@dataclass(frozen=True, slots=True)
class Site:
    """Both ends, and the service between them."""

    sandbox: SandboxArchive
    archive: Archive
    retrieve: RetrieveService
    inventories: Inventories

    async def check_clean(self) -> None:
        """Nothing is under way any more: no lease, no task, no registered move."""
        pool = self.archive.pool
        await settle(lambda: pool.busy_count == pool.waiting_count == pool.ending_count == 0)
        await settle(lambda: not [name for name in running_tasks() if name.startswith("C-MOVE")])
        assert self.archive._registry.active_count == 0


def fill(sandbox: SandboxArchive, folder: Path) -> None:
    """Put the two studies in."""
    for uid in ("1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3", "1.2.2.1.1"):
        sandbox.index.add_file(save(make_instance(uid), folder))
    sandbox.index.add_file(save(make_instance("1.2.1.2.1", SOPClassUID=MR, Modality="MR"), folder))


@asynccontextmanager
async def open_site(
    folder: Path, behaviour: Behaviour | None = None, fresh_s: float = 0, **backend: Any
) -> AsyncIterator[Site]:
    """Start both ends; `backend` overrides settings of the archive. Without `fresh_s` each request asks anew."""
    with SandboxArchive(folder / "archive", behaviour=behaviour) as sandbox:
        fill(sandbox, folder / "files")
        main = {"ae_title": "SANDBOX", "host": "127.0.0.1", "port": sandbox.port, **SHORT, **backend}
        settings = GatewaySettings(dimse={"listen": "127.0.0.1:0"}, backends={"main": main})
        async with run_application_entity(settings) as entity:
            sandbox.add_move_destination("GATEWAY", "127.0.0.1", entity.acceptor.port)
            archive = entity.archives["main"]
            inventories = Inventories(archive, fresh_s)
            yield Site(sandbox, archive, RetrieveService(archive, inventories), inventories)


@dataclass(frozen=True, slots=True)
class Taken:
    """What came: data sets by SOP Instance UID, and what is known to be missing."""

    data_sets: dict[str, bytes]
    unavailable: tuple[str, ...]


async def take(site: Site, path: ResourcePath, demand: TransferDemand = AS_STORED) -> Taken:
    """Retrieve everything under `path`; raises what retrieving raises."""
    data_sets: dict[str, bytes] = {}
    async with site.retrieve.open_instances(path, demand) as instances:
        async for instance in instances:
            pieces = []
            while (piece := await instance.read_piece()) is not None:
                pieces.append(bytes(piece))
            assert instance.path.instance not in data_sets
            data_sets[str(instance.path.instance)] = b"".join(pieces)
    return Taken(data_sets, instances.unavailable)
