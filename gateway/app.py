"""The composition root: archives, services and the web application are made and wired here, and nowhere else.

Start: the DIMSE acceptor listens before the web server does, so that no C-MOVE is asked for that could not come
back. Stop: no new connection, running streams get a grace time, then associations are released, then cut.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module

import structlog
from aiohttp import web

from gateway.config import BackendSettings, GatewaySettings, ImagingSettings, split_address
from gateway.console.routes import add_console_routes
from gateway.dimse.acceptor import Acceptor
from gateway.dimse.application_entity import run_application_entity
from gateway.dimse.archive import Archive
from gateway.errors import ConfigurationError
from gateway.imaging.workers import ImagingWorkers
from gateway.services.commitment.results import CommitmentResults
from gateway.services.commitment.service import CommitmentService
from gateway.services.commitment.transactions import TransactionStore
from gateway.services.rendered.instance_reader import ReaderLimits
from gateway.services.rendered.service import RenderedService
from gateway.services.rendered.turns import Turns
from gateway.services.retrieve.caches import Caches
from gateway.services.retrieve.inventories.inventories import Inventories
from gateway.services.retrieve.metadata.service import MetadataService
from gateway.services.retrieve.pixels.pixel_stream import PixelDataService
from gateway.services.retrieve.service import RetrieveService
from gateway.services.search.service import ArchiveSearch
from gateway.services.store.coercion import Coercion
from gateway.services.store.consumer_images import ConsumerImages
from gateway.services.store.service import StoreService
from gateway.tasks import start_task
from gateway.web.backends import BackendServices
from gateway.web.conversions import Conversions
from gateway.web.health import add_health_routes
from gateway.web.middleware import install
from gateway.web.retry_after import RetryAfter
from gateway.web.routes import add_service_routes
from gateway.web.server import CLEANUP_S, Site, guard_heads, shut_down

__all__ = ["Gateway", "listen_for_stop", "run_gateway", "serve"]

BODY_READ_BYTES = 262_144
"""An upload is read in pieces of up to this, so that one fills two P-DATA fragments of 128 KiB."""

MAX_HEAD_LINE_BYTES = 65_536
"""A search for some thousand UIDs in one list; longer lines are answered 431."""

KEEPALIVE_S = 75.0

MIB = 1_048_576

_NEEDED_FIRST = "gateway.dimse.ul.associate"  # by the first association: imported beside the first requests, not before

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway: where it listens, and what it is made of, for tests and the demo."""

    url: str
    dimse_port: int
    archives: dict[str, Archive]
    acceptor: Acceptor


@dataclass(frozen=True, slots=True)
class Commitments:
    """What the storage commitment of all backends shares."""

    transactions: TransactionStore
    results: CommitmentResults


@asynccontextmanager
async def open_commitments(settings: GatewaySettings) -> AsyncIterator[Commitments]:
    """Open the transactions for the length of the block.

    Raises
    ------
    ConfigurationError
        The database cannot be opened.
    """
    try:
        transactions = TransactionStore(settings.commitment.database or ":memory:")
    except OSError as error:
        raise ConfigurationError("commitment.database", f"cannot be opened: {error}") from error
    try:
        ae_titles = {name: backend.ae_title for name, backend in settings.backends.items()}
        yield Commitments(transactions, CommitmentResults(transactions, ae_titles))
    finally:
        await transactions.close()


@dataclass(frozen=True, slots=True)
class Imaging:
    """What the pictures of all backends share."""

    workers: ImagingWorkers
    turns: Turns
    limits: ReaderLimits


@asynccontextmanager
async def open_imaging(settings: ImagingSettings) -> AsyncIterator[Imaging]:
    """Have worker processes for the length of the block; they start when they are needed."""
    workers = ImagingWorkers(settings.workers, settings.task_timeout_s, settings.memory_mib)
    try:
        yield Imaging(workers, Turns(), ReaderLimits(frames=settings.max_frame_mib * MIB))
    finally:
        await workers.close()


def build_services(
    settings: GatewaySettings,
    archive: Archive,
    commitments: Commitments,
    caches: Caches,
    imaging: Imaging,
    *,
    is_default: bool,
) -> BackendServices:
    """The services over one archive."""
    inventories = Inventories(archive, settings.cache.fresh_s)
    retrieve = RetrieveService(archive, inventories)
    metadata = caches.open_metadata(archive, retrieve, inventories)
    return BackendServices(
        name=archive.name,
        ae_title=archive.ae_title,
        is_default=is_default,
        http=settings.http,
        search=ArchiveSearch(archive, settings.search),
        retrieve=retrieve,
        metadata=MetadataService(archive, retrieve, metadata),
        pixel_data=PixelDataService(retrieve),
        conversions=Conversions(imaging.workers, imaging.limits.frames),
        rendered=RenderedService(retrieve, inventories, imaging.workers, imaging.turns, imaging.limits),
        store=StoreService(
            archive,
            settings.store,
            inventories.forget if metadata is None else metadata.forget,
            Coercion.from_settings(settings.store.coerce, settings.ae_title),
            ConsumerImages(imaging.workers, imaging.limits.frames),
        ),
        commitment=CommitmentService(archive, commitments.transactions, commitments.results, settings.commitment),
        verify=archive.echo,
        describe=archive.describe_load,
        pixel_caching=settings.cache.cache_control,
    )


def build_application(
    settings: GatewaySettings, archives: dict[str, Archive], commitments: Commitments, imaging: Imaging
) -> web.Application:
    """The web application over `archives`, the first of which is the default backend."""
    app = web.Application(middlewares=[guard_heads])
    install(app, settings.http, RetryAfter())
    caches = Caches.from_settings(settings.cache)
    backends = [
        build_services(settings, archive, commitments, caches, imaging, is_default=position == 0)
        for position, archive in enumerate(archives.values())
    ]
    for backend in backends:
        add_service_routes(app, backend)

    async def resume_commitments(_: web.Application) -> None:
        for backend in backends:
            await backend.commitment.resume()

    app.on_startup.append(resume_commitments)
    add_health_routes(app, backends)
    add_console_routes(app)
    return app


@asynccontextmanager
async def run_gateway(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """Run a gateway for the length of the block.

    Raises
    ------
    ConfigurationError
        An address cannot be listened on, or a file not be opened.
    """
    async with (
        open_commitments(settings) as commitments,
        open_imaging(settings.imaging) as imaging,
        run_application_entity(settings, take_event=commitments.results.take) as entity,
    ):
        runner = web.AppRunner(
            build_application(settings, entity.archives, commitments, imaging),
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            shutdown_timeout=settings.http.shutdown_grace_s + CLEANUP_S,
            read_bufsize=BODY_READ_BYTES,
            auto_decompress=False,
            max_line_size=MAX_HEAD_LINE_BYTES,
            max_field_size=MAX_HEAD_LINE_BYTES,
        )
        try:
            port = await _listen(runner, settings)
            host, _ = split_address(settings.http.listen)
            url = f"http://{_reachable(host)}:{port}"
            yield Gateway(url, entity.acceptor.port, entity.archives, entity.acceptor)
        finally:
            await shut_down(runner, settings.http.shutdown_grace_s)  # streams first, then what they stand on


async def _listen(runner: web.AppRunner, settings: GatewaySettings) -> int:
    await runner.setup()
    host, port = split_address(settings.http.listen)
    try:
        await Site(runner, host, port, header_timeout_s=settings.http.header_timeout_s).start()
    except OSError as error:
        raise ConfigurationError("http.listen", f"cannot listen on {settings.http.listen}: {error.strerror}") from error
    return int(runner.addresses[0][1])


def _reachable(host: str) -> str:
    """A host to put in a URL, for an address that may be a wildcard."""
    if host in ("0.0.0.0", "::", ""):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


async def serve(settings: GatewaySettings) -> None:
    """Run until SIGTERM or SIGINT; a second signal does not wait for running streams, and both end in order.

    Raises
    ------
    ConfigurationError
        An address cannot be listened on.
    """
    task = asyncio.current_task()
    assert task is not None
    stop = listen_for_stop(on_second=task.cancel)
    try:
        async with run_gateway(settings) as gateway:
            _log.info("gateway_started", url=gateway.url, dimse_port=gateway.dimse_port or None)
            for name, backend in settings.backends.items():
                _log.info("backend", name=name, **_name_peer(backend))
            start_task(_settle_down(), name="import")
            await stop.wait()
            _log.info("gateway_stopping", grace_s=settings.http.shutdown_grace_s)
    except asyncio.CancelledError:
        if not stop.is_set():
            raise
        _log.warning("gateway_stopped_early")
    _log.info("gateway_stopped")


async def _settle_down() -> None:
    """Import what is needed first, and have the collector of cycles pass over all that is there now and stays.

    A full collection visits every object of every module otherwise, which holds the event loop for tens of
    milliseconds, and frames and pieces in passing bring them on.
    """
    await asyncio.to_thread(import_module, _NEEDED_FIRST)
    gc.freeze()


def _name_peer(backend: BackendSettings) -> dict[str, str]:
    return {"ae_title": backend.ae_title, "address": f"{backend.host}:{backend.port}"}


def listen_for_stop(on_second: Callable[[], object] = lambda: None) -> asyncio.Event:
    """An event that SIGTERM and SIGINT set from now on; each signal after the first calls `on_second`."""
    stop = asyncio.Event()

    def note_signal() -> None:
        if stop.is_set():
            on_second()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, note_signal)
    return stop
