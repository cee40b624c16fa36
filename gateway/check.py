"""The command ``check``: probe every backend and print what each can do, as a table or as JSON.

Runs our application entity without HTTP, since a C-MOVE needs somewhere to come back to. A gateway that already
runs on the same machine holds that port; then C-MOVE is not tried, and the finding says so.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.config import BackendSettings, GatewaySettings, split_address
from gateway.dimse.application_entity import ApplicationEntity, run_application_entity
from gateway.dimse.archive import Archive
from gateway.errors import ConfigurationError
from gateway.probes.backend import probe_backend
from gateway.probes.diagnosis import Listener
from gateway.probes.findings import BackendFindings, Finding, Result, Step, join_address

__all__ = ["run"]

_STYLES = {
    Result.WORKS: "green",
    Result.ACCEPTED: "green",
    Result.PARTLY: "yellow",
    Result.FAILS: "bold red",
    Result.NOT_TRIED: "dim",
}
_WILDCARDS = ("0.0.0.0", "::")


async def run(settings: GatewaySettings, *, as_json: bool) -> bool:
    """Probe every backend, all at once, and print the findings on standard output.

    Returns
    -------
    bool
        Whether every backend is usable: it answers, can be searched and gives its instances.
    """
    async with _run_entity(_bound_waits(settings)) as (entity, problem):
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_probe(settings, archive, entity, problem), name=f"check {archive.name}")
                for archive in entity.archives.values()
            ]
    findings = [task.result() for task in tasks]
    if as_json:
        print(json.dumps(_as_document(settings, findings), indent=2))
    else:
        _print_tables(findings)
    return all(found.is_usable for found in findings)


def _bound_waits(settings: GatewaySettings) -> GatewaySettings:
    """A check waits for an instance no longer than for any other answer, whatever a tape may take."""
    backends = {name: _bound_retrieve(backend) for name, backend in settings.backends.items()}
    return settings.model_copy(update={"backends": backends})


def _bound_retrieve(backend: BackendSettings) -> BackendSettings:
    limit = min(backend.retrieve_timeout_s, backend.response_timeout_s)
    return backend.model_copy(update={"retrieve_timeout_s": limit})


@asynccontextmanager
async def _run_entity(settings: GatewaySettings) -> AsyncIterator[tuple[ApplicationEntity, str]]:
    """Our application entity, and why it does not listen where it does not."""
    async with AsyncExitStack() as stack:
        problem = "dimse.listen is empty"
        try:
            entity = await stack.enter_async_context(run_application_entity(settings))
        except ConfigurationError as error:
            problem = f"{error.reason}: stop the gateway that runs there, or give another --dimse-listen"
            silent = settings.model_copy(update={"dimse": settings.dimse.model_copy(update={"listen": None})})
            entity = await stack.enter_async_context(run_application_entity(silent))
        yield entity, "" if entity.acceptor.is_listening else problem


async def _probe(
    settings: GatewaySettings, archive: Archive, entity: ApplicationEntity, problem: str
) -> BackendFindings:
    if problem or settings.dimse.listen is None:
        return await probe_backend(archive, Listener(problem=problem))
    host, _ = split_address(settings.dimse.listen)
    if host in _WILDCARDS:
        host = await _find_own_address(archive.settings)
    return await probe_backend(archive, Listener(join_address(host, entity.acceptor.port)))


async def _find_own_address(backend: BackendSettings) -> str:
    """The address of this machine on the way to an archive; no packet is sent."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(backend.connect_timeout_s):
            routes = await loop.getaddrinfo(backend.host, backend.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, address = routes[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return str(probe.getsockname()[0])
    except OSError:  # TimeoutError is one; the archive will not be reached either
        return "this machine"


# --- printing --------------------------------------------------------------------------------------------------


def _as_document(settings: GatewaySettings, findings: list[BackendFindings]) -> dict[str, Any]:
    return {
        "usable": all(found.is_usable for found in findings),
        "ae_title": settings.ae_title,
        "dimse_listen": settings.dimse.listen,
        "backends": [found.describe() for found in findings],
    }


def _print_tables(findings: list[BackendFindings]) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = 1_000  # a pipe has no width of its own: nothing is cut or wrapped there
    for found in findings:
        console.print(_as_table(found))
    usable = sum(found.is_usable for found in findings)
    console.print(f"{usable} of {len(findings)} backends usable", highlight=False)


def _as_table(found: BackendFindings) -> Table:
    verdict = Text("usable", "green") if found.is_usable else Text("not usable", "bold red")
    title = Text.assemble((found.name, "bold"), f"  {found.ae_title} at {found.address}  ", verdict)
    table = Table("step", "result", "detail", title=title, title_justify="left", title_style="")
    for step in Step:
        finding = found.find(step)
        table.add_row(step.value, Text(finding.result.value, _STYLES[finding.result]), _describe(finding))
    return table


def _describe(finding: Finding) -> Text:
    text = Text(finding.detail)
    if finding.hint:
        text.append(f"{chr(10) if finding.detail else ''}→ {finding.hint}", "cyan")
    return text
