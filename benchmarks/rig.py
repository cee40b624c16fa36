"""What the rows run on, started when the first row asks for it: loads, archives, gateways, the saturating SCP.

One rig a run. Everything it starts ends with it; nothing outlives an interrupted run.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.clients import without_nagle
from benchmarks.contest import Contestant, run_in_turn
from benchmarks.gateways import COLD, Backend, Flavour, RunningGateway, run_gateway
from benchmarks.loads import Load, make_ct_series, make_many_studies, make_multiframe
from benchmarks.measurement import Measurement, Plot
from benchmarks.saturating_scp import AE_TITLE, SaturatingArchive
from tests.support.peers import (
    LOOPBACK,
    DcmqrscpPeer,
    MoveDestination,
    OrthancPeer,
    Peer,
    find_free_port,
    find_program,
)

__all__ = ["ARCHIVES", "DEFAULTS", "PDU_SIZES", "Rig", "Scale"]

DEFAULTS = Flavour("defaults", {}, {})
PDU_SIZES = (16_384, 32_768, 65_536, 131_072, 262_144, 524_288, 1_048_576)
STORESCP = "STORESCP"
PATIENCE = {"pool_timeout_s": 120}
"""Many clients wait for few associations in some rows; being refused is not what is measured."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes and rounds of a run."""

    slices: int
    gib: float
    patients: int
    rounds: int
    middling_rounds: int
    few_rounds: int
    saturating_bytes: int
    reader_bytes: int
    reader_rate: str
    idle_s: float


FULL = Scale(
    slices=200,
    gib=1.0,
    patients=50,
    rounds=9,
    middling_rounds=5,
    few_rounds=3,
    saturating_bytes=1 << 30,
    reader_bytes=1 << 30,
    reader_rate="40M",
    idle_s=50,
)
QUICK = Scale(
    slices=50,
    gib=0.125,
    patients=10,
    rounds=3,
    middling_rounds=2,
    few_rounds=1,
    saturating_bytes=1 << 28,
    reader_bytes=1 << 25,
    reader_rate="16M",
    idle_s=5,
)

ARCHIVES = ("dcmqrscp", "dcmqrscp-stock", "orthanc", "orthanc-stock")
"""With and without Nagle's algorithm, all with the CT series."""

_OTHERS = ("dcmqrscp-empty", "orthanc-empty", "orthanc-large", "orthanc-many")


class Rig:
    """Loads, archives and gateways of one run; a context manager that ends what was started."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self.scale = QUICK if quick else FULL
        self._stack = ExitStack()
        self._gateways: dict[str, RunningGateway] = {}
        self._running: set[str] = set()

    def __enter__(self) -> Self:
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmarks-")))
        names = {flavour.name: f"GW{flavour.name.upper()}" for flavour in (COLD, DEFAULTS)}
        self._destinations = {name: MoveDestination(title, find_free_port()) for name, title in names.items()}
        self._storescp = MoveDestination(STORESCP, find_free_port())
        destinations = (*self._destinations.values(), self._storescp)
        kinds = {"dcmqrscp": DcmqrscpPeer, "orthanc": OrthancPeer}
        self._archives: dict[str, Peer] = {
            name: kinds[name.partition("-")[0]](self.folder / name, move_destinations=destinations)
            for name in (*ARCHIVES, *_OTHERS)
        }
        self.saturating = SaturatingArchive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # --- loads ---------------------------------------------------------------------------------------------------

    @cached_property
    def series(self) -> Load:
        """The CT series."""
        return make_ct_series(self.scale.slices)

    @cached_property
    def multiframe(self) -> Load:
        """The large instance."""
        return make_multiframe(self.scale.gib)

    @cached_property
    def many(self) -> Load:
        """The tiny objects."""
        return make_many_studies(self.scale.patients)

    # --- archives ------------------------------------------------------------------------------------------------

    def archive(self, name: str) -> Peer:
        """The archive of that name, running and filled."""
        peer = self._archives[name]
        if name not in self._running:
            self._stack.callback(peer.kill)  # nobody needs its data any more, and Orthanc takes its time to end
            self._fill(name, peer)
            self._running.add(name)
        return peer

    def orthanc(self, name: str = "orthanc") -> OrthancPeer:
        """The same, where its DICOMweb is asked too."""
        peer = self.archive(name)
        assert isinstance(peer, OrthancPeer)
        return peer

    def _fill(self, name: str, peer: Peer) -> None:
        """Start, load without Nagle's algorithm, which takes a fraction of the time, and start again as wanted."""
        peer.start()
        loads = {"large": lambda: self.multiframe, "many": lambda: self.many, "empty": lambda: None}
        load = loads.get(name.partition("-")[2], lambda: self.series)()
        if load is not None and (refused := peer.load(load.files).refused):
            raise RuntimeError(f"{name} refused {len(refused)} of {len(load.files)} files")
        if name.endswith("-stock"):
            peer.stop()
            peer.tcp_nodelay = False
            peer.start()

    def start_saturating(self) -> SaturatingArchive:
        """The saturating SCP, running."""
        if "saturating" not in self._running:
            self._stack.enter_context(self.saturating)
            self._running.add("saturating")
        return self.saturating

    def start_storescp(self) -> str:
        """DCMTK's storescp without Nagle's algorithm, which forgets what it gets; its AE title."""
        if STORESCP not in self._running:
            command = [find_program("storescp"), "--ignore", "-pdu", "131072", "-aet", STORESCP, "+xa"]
            self._start([*command, str(self._storescp.port)], without_nagle())
            self._running.add(STORESCP)
        return STORESCP

    def start_relay(self, port: int) -> int:
        """socat in front of `port` of this machine, 256 KiB at a time; the port it listens on."""
        own = find_free_port()
        command = [find_program("socat"), "-b", "262144", f"TCP-LISTEN:{own},bind={LOOPBACK},fork,reuseaddr,nodelay"]
        self._start([*command, f"TCP:{LOOPBACK}:{port},nodelay"], None)
        return own

    def _start(self, command: Sequence[str], environment: dict[str, str] | None) -> None:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        time.sleep(0.3)  # until it listens; a connection made to find out would be served like any other

    # --- gateways ------------------------------------------------------------------------------------------------

    def gateway(self, flavour: Flavour = COLD) -> RunningGateway:
        """The gateway of that flavour, in front of everything there is; one a run."""
        if flavour.name not in self._gateways:
            destination = self._destinations[flavour.name]
            running = run_gateway(flavour, self._backends(), ae_title=destination.ae_title, dimse_port=destination.port)
            self._gateways[flavour.name] = self._stack.enter_context(running)
        return self._gateways[flavour.name]

    @contextmanager
    def fresh_gateway(self, backend: str, flavour: Flavour = COLD) -> Iterator[RunningGateway]:
        """One with a single backend that has done nothing yet, for rows about memory and start; no C-MOVE."""
        with run_gateway(flavour, {backend: self._backends()[backend]}) as running:
            yield running

    def _backends(self) -> dict[str, Backend]:
        """Two for each archive, by C-GET and by C-MOVE, and several ways to the saturating SCP."""
        methods = ("c-get", "c-move")
        backends = {
            f"{name}-{method}": Backend(peer.address, {**PATIENCE, "retrieve": method})
            for name, peer in self._archives.items()
            for method in methods
        }
        saturating = f"{AE_TITLE}@{LOOPBACK}:{self.saturating.dicom_port}"
        shared = {**PATIENCE, "retrieve": "c-get"}
        backends["saturating"] = Backend(saturating, shared)
        backends["saturating-idle"] = Backend(saturating, {**shared, "max_associations": 64, "max_idle_s": 600})
        for size in PDU_SIZES:
            backends[f"saturating-pdu-{size}"] = Backend(saturating, {**shared, "max_pdu_bytes": size})
        return backends

    # --- contests ------------------------------------------------------------------------------------------------

    def compare(
        self,
        ours: Contestant,
        beside: Contestant,
        *others: Contestant,
        rounds: int | None = None,
        warm_up: int = 1,
        note: str = "",
        plot: Plot | None = None,
    ) -> Measurement:
        """Run them in turn; `rounds` is that of the scale unless given."""
        count = rounds or self.scale.rounds
        first, second, *rest = run_in_turn((ours, beside, *others), rounds=count, warm_up=warm_up)
        return Measurement(first, second, tuple(rest), note, plot)
