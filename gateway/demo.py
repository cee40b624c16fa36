"""The command ``demo``: a sandbox archive with synthetic studies and the gateway in front of it, until a signal.

The gateway starts first, so that a port in use is told at once; the studies are made while it runs. Everything
lives in a temporary directory that is gone afterwards.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from gateway.app import Gateway, listen_for_stop, run_gateway
from gateway.config import GatewaySettings, LogSettings
from gateway.errors import ConfigurationError
from gateway.log import configure_logging
from gateway.sandbox import SandboxArchive
from gateway.sandbox.studies import iter_demo_studies
from gateway.settings_sources import Layer, load_configuration

__all__ = ["run"]

AE_TITLE = "GATEWAY"
SHUTDOWN_GRACE_S = 2
"""Nothing of value is under way in a demo: running streams are cut soon."""


async def run(*, listen: str) -> None:
    """Run the demo until SIGTERM or SIGINT.

    Parameters
    ----------
    listen
        ``HOST:PORT`` where DICOMweb and the page are offered; port 0 lets the system choose.

    Raises
    ------
    ConfigurationError
        `listen` is no address, or it is in use.
    """
    configure_logging(LogSettings(level="warning"))
    stop = listen_for_stop()
    console = Console()
    with TemporaryDirectory(prefix="dicomweb-gateway-demo-") as directory:
        async with _run_sandbox(Path(directory)) as sandbox, _run_in_front_of(sandbox, listen) as gateway:
            sandbox.add_move_destination(AE_TITLE, "127.0.0.1", gateway.dimse_port)
            with console.status("Making the sample studies") as status:
                await asyncio.to_thread(
                    _fill,
                    sandbox,
                    Path(directory) / "studies",
                    stop.is_set,
                    lambda count: status.update(f"Making the sample studies: {count} files"),
                )
            if not stop.is_set():
                _welcome(console, gateway, sandbox)
            await stop.wait()


@asynccontextmanager
async def _run_sandbox(directory: Path) -> AsyncIterator[SandboxArchive]:
    """A sandbox archive on a free port of the loopback interface, empty."""
    sandbox = SandboxArchive(directory / "archive")
    sandbox.start()
    try:
        yield sandbox
    finally:
        await asyncio.to_thread(sandbox.stop)


@asynccontextmanager
async def _run_in_front_of(sandbox: SandboxArchive, listen: str) -> AsyncIterator[Gateway]:
    settings = _configure(sandbox, listen)
    try:
        async with run_gateway(settings) as gateway:
            yield gateway
    except ConfigurationError as error:
        raise ConfigurationError(error.key, f"{error.reason}; choose another address with --listen") from error


def _configure(sandbox: SandboxArchive, listen: str) -> GatewaySettings:
    backend = {"ae_title": sandbox.ae_title, "host": sandbox.host, "port": sandbox.port}
    values = {
        "ae_title": AE_TITLE,
        "http": {"listen": listen, "shutdown_grace_s": SHUTDOWN_GRACE_S},
        "dimse": {"listen": "127.0.0.1:0"},
        "backends": {"sandbox": backend},
    }
    return load_configuration(None, {}, Layer(values, {("http", "listen"): "flag --listen"})).settings


def _fill(
    sandbox: SandboxArchive, directory: Path, is_stopped: Callable[[], bool], note_count: Callable[[int], None]
) -> None:
    """Make the studies and index them; runs in a thread and takes some seconds."""
    for count, path in enumerate(iter_demo_studies(directory), 1):
        if is_stopped():
            return
        sandbox.index.add_file(path)
        note_count(count)


def _welcome(console: Console, gateway: Gateway, sandbox: SandboxArchive) -> None:
    instances = sandbox.index.select({})
    studies = {instance.study_instance_uid for instance in instances}
    service = f"{gateway.url}/dicomweb"
    archive = f"{sandbox.ae_title} at {sandbox.host}:{sandbox.port} (DIMSE)"
    lines = [
        Text("\nDICOMweb gateway: the demo is running\n", "bold"),
        Text.assemble(("  page      ", "dim"), (f"{gateway.url}/", "cyan")),
        Text.assemble(("  DICOMweb  ", "dim"), (service, "cyan")),
        Text.assemble(("  archive   ", "dim"), f"{archive}, {len(studies)} studies, {len(instances)} instances\n"),
    ]
    for title, command in _list_commands(service, sandbox):
        lines += [Text(f"{title}:", "dim"), Text(command, "green")]
    lines += [Text("\nCtrl-C stops it; nothing is kept.", "dim")]
    for line in lines:
        console.print(line, soft_wrap=True)  # a line that is wrapped here could not be pasted


def _list_commands(service: str, sandbox: SandboxArchive) -> list[tuple[str, str]]:
    """What each command does, and the command: one line that works as pasted."""
    slice_ = sandbox.index.select({"modality": ["MR"]})[0]
    series = f"{service}/studies/{slice_.study_instance_uid}/series/{slice_.series_instance_uid}"
    instance = f"{series}/instances/{slice_.sop_instance_uid}"
    return [
        ("Search the studies", f"curl -fsS '{service}/studies'"),
        ("Metadata of a series", f"curl -fsS '{series}/metadata'"),
        ("One instance, to a file", f"curl -fsS -H 'Accept: application/dicom' -o slice.dcm '{instance}'"),
    ]
