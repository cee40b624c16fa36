"""A gateway inside the test, in front of one archive whose links can be harmed, and the check that nothing leaks.

Each backend has two relays of its own: towards the archive, and from the archive back to the gateway for the
C-STOREs of a C-MOVE.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from pydicom import dcmread

from gateway.app import Gateway, run_gateway
from gateway.config import BackendSettings, CacheSettings, DimseSettings, GatewaySettings, HttpSettings
from gateway.dimse.archive import Archive
from gateway.sandbox import SandboxArchive
from gateway.tasks import running_tasks
from tests.support.cutting_proxy import CuttingProxy
from tests.support.peers import LOOPBACK, DcmqrscpPeer, MoveDestination, OrthancPeer, Peer, find_free_port

__all__ = ["ALL_OFF", "ALL_ON", "Backing", "Lane", "Rig", "Series", "Switches", "open_rig", "start_archive"]

SETTLE_LIMIT_S = 10.0
"""For what is being cancelled, drained or released to be over; the gateway's own limits are a few seconds."""
ARCHIVE_LIMIT_S = 45.0
"""For what an archive itself may take: DCMTK waits up to 30 s for ACSE messages."""
THERE = "associations of the archive"


@dataclass(frozen=True, slots=True)
class Switches:
    """What makes requests cheaper, each on or off; adversity must do no more harm with it than without."""

    caching: bool = True
    coalescing: bool = True
    early_stop: bool = True

    def __str__(self) -> str:
        on = [name for name in ("caching", "coalescing", "early_stop") if getattr(self, name)]
        return "+".join(on) or "nothing"

    @property
    def backend(self) -> dict[str, Any]:
        """Settings of an archive."""
        default = BackendSettings.model_fields["coalesce_window_ms"].default
        return {"coalesce_window_ms": default if self.coalescing else 0, "stop_early": self.early_stop}

    @property
    def cache(self) -> CacheSettings:
        """Settings of all archives."""
        return CacheSettings() if self.caching else CacheSettings(fresh_s=0, metadata_memory_mib=0)

    @property
    def environment(self) -> dict[str, object]:
        """The same for a gateway in a process of its own whose archive is ``main``."""
        found = {f"BACKENDS__MAIN__{name.upper()}": value for name, value in self.backend.items()}
        kept = self.cache.model_dump(include={"fresh_s", "metadata_memory_mib"})
        return {**found, **{f"CACHE__{name.upper()}": value for name, value in kept.items()}}


ALL_ON, ALL_OFF = Switches(), Switches(caching=False, coalescing=False, early_stop=False)


@dataclass(frozen=True, slots=True)
class Series:
    """The series in some files, as a path below a DICOMweb service."""

    study_uid: str
    series_uid: str
    instance_uids: tuple[str, ...]
    size: int

    @classmethod
    def of(cls, files: list[Path]) -> Series:
        """Read the UIDs of `files`, all of one series."""
        heads = [dcmread(path, stop_before_pixels=True) for path in files]
        uids = tuple(str(head.SOPInstanceUID) for head in heads)
        size = sum(path.stat().st_size for path in files)
        return cls(str(heads[0].StudyInstanceUID), str(heads[0].SeriesInstanceUID), uids, size)

    @property
    def path(self) -> str:
        """Of the series."""
        return f"/studies/{self.study_uid}/series/{self.series_uid}"


class Backing:
    """An archive of any kind, running, as a rig needs it."""

    def __init__(self, archive: SandboxArchive | Peer, destinations: Mapping[str, int]) -> None:
        self.archive = archive
        self.destinations = destinations
        self.ae_title = archive.ae_title
        self.port = archive.port if isinstance(archive, SandboxArchive) else archive.dicom_port

    def count_associations(self) -> int | None:
        """Associations open on the archive's side; None where that cannot be known."""
        if isinstance(self.archive, SandboxArchive):
            return self.archive.counters.associations_open
        if isinstance(self.archive, DcmqrscpPeer) and self.archive._process is not None:
            return len(self.list_processes())
        return None

    def list_processes(self) -> list[str]:
        """What each association's process of a dcmqrscp does, for a message."""
        assert isinstance(self.archive, DcmqrscpPeer) and self.archive._process is not None
        found = []
        for child in psutil.Process(self.archive._process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if (state := child.status()) not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                    links = [f"{link.raddr and link.raddr.port} {link.status}" for link in child.net_connections()]
                    found.append(f"{state}, waits in {read_wait_channel(child.pid)}, connections: {links}")
        return found


def read_wait_channel(pid: int) -> str:
    """Where in the kernel process `pid` waits, empty where that is not told."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/wchan").read_text()
    return ""


@asynccontextmanager
async def start_archive(
    kind: str, folder: Path, files: list[Path], ae_titles: tuple[str, ...] = ("GATEWAY",), **options: Any
) -> AsyncIterator[Backing]:
    """Run ``sandbox``, ``dcmqrscp`` or ``orthanc`` with `files`, able to send to `ae_titles` at free ports."""
    destinations = {ae_title: find_free_port() for ae_title in ae_titles}
    if kind == "sandbox":
        addresses = {ae_title: (LOOPBACK, port) for ae_title, port in destinations.items()}
        with SandboxArchive(folder / "sandbox", move_destinations=addresses, **options) as sandbox:
            for path in files:
                sandbox.index.add_file(path)
            yield Backing(sandbox, destinations)
        return
    made = {"dcmqrscp": DcmqrscpPeer, "orthanc": OrthancPeer}[kind](
        folder / kind, move_destinations=[MoveDestination(*it) for it in destinations.items()], **options
    )
    peer = await asyncio.to_thread(made.start)
    try:
        report = await asyncio.to_thread(peer.load, files)
        assert len(report.stored) == len(files), report
        yield Backing(peer, destinations)
    finally:
        await asyncio.to_thread(peer.stop)


@dataclass(frozen=True, slots=True)
class Lane:
    """One backend with its relays: `there` to the archive, `back` from it."""

    name: str
    url: str
    archive: Archive
    there: CuttingProxy
    back: CuttingProxy


@dataclass(frozen=True, slots=True)
class Rig:
    """The gateway, its backends and what is behind them."""

    gateway: Gateway
    backing: Backing
    lanes: tuple[Lane, ...]

    @property
    def lane(self) -> Lane:
        """The first backend."""
        return self.lanes[0]

    def list_leftovers(self) -> dict[str, object]:
        """Everything that should have come to an end, by name; empty if all has."""
        pools = {lane.name: lane.archive.pool for lane in self.lanes}
        found: dict[str, object] = {
            **{f"{name} busy": pool.busy_count for name, pool in pools.items()},
            **{f"{name} waiting": pool.waiting_count for name, pool in pools.items()},
            **{f"{name} ending": pool.ending_count for name, pool in pools.items()},
            "moves": self.lane.archive._registry.active_count,
            "inbound associations": self.gateway.acceptor.association_count,
            "tasks": running_tasks(),
        }
        open_there = self.backing.count_associations()
        idle = sum(pool.idle_count for pool in pools.values())
        if open_there is not None and open_there > idle:
            processes = self.backing.list_processes() if isinstance(self.backing.archive, DcmqrscpPeer) else []
            found[THERE] = f"{open_there}, {idle} idle here {processes}"
        for lane in self.lanes:
            found[f"{lane.name} links"] = max(lane.there.link_count - lane.archive.pool.idle_count, 0)
            found[f"{lane.name} links back"] = lane.back.link_count
        return {name: value for name, value in found.items() if value}

    async def assert_nothing_left(self) -> None:
        """Wait until nothing is left over: in the gateway soon, in the archive within its own time limits."""
        if await wait_until(lambda: not self.list_leftovers().keys() - {THERE}, SETTLE_LIMIT_S):
            await wait_until(lambda: not self.list_leftovers(), ARCHIVE_LIMIT_S)
        assert not (left := self.list_leftovers()), left


async def wait_until(condition: Callable[[], bool], limit_s: float) -> bool:
    """Look again and again until `condition` holds; False if it does not within `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


@asynccontextmanager
async def open_rig(
    backing: Backing,
    lanes: Mapping[str, Mapping[str, Any]],
    *,
    http: Mapping[str, Any] | None = None,
    switches: Switches = ALL_ON,
) -> AsyncIterator[Rig]:
    """Run a gateway with one backend per entry of `lanes`: name to settings; the n-th uses the n-th destination.

    What a lane sets itself goes before `switches`.
    """
    async with AsyncExitStack() as stack:
        dimse_port = find_free_port()
        relays: dict[str, tuple[CuttingProxy, CuttingProxy]] = {}
        backends: dict[str, BackendSettings] = {}
        for (name, settings), title in zip(lanes.items(), backing.destinations, strict=True):
            there = await stack.enter_async_context(CuttingProxy(backing.port))
            back = CuttingProxy(dimse_port, port=backing.destinations[title])
            relays[name] = there, await stack.enter_async_context(back)
            common = {"ae_title": backing.ae_title, "host": LOOPBACK, "port": there.port, "move_destination": title}
            backends[name] = BackendSettings(**{**common, **switches.backend, **settings})
        gateway = await stack.enter_async_context(
            run_gateway(
                GatewaySettings(
                    http=HttpSettings(**{"listen": f"{LOOPBACK}:0", "shutdown_grace_s": 1, **(http or {})}),
                    dimse=DimseSettings(listen=f"{LOOPBACK}:{dimse_port}", max_inbound_associations=256),
                    backends=backends,
                    cache=switches.cache,
                )
            )
        )
        yield Rig(
            gateway,
            backing,
            tuple(
                Lane(name, f"{gateway.url}/backends/{name}/dicomweb", gateway.archives[name], *relays[name])
                for name in backends
            ),
        )
