"""A gateway in front of a sandbox archive, as the conformance tests see it: a base URL and the archive's switches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import GatewaySettings
from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour
from tests.support.running_gateway import RunningGateway
from tests.support.small_archive import write_small_archive
from tests.support.web_client import WebResponse, ask

__all__ = ["JSON", "Service", "Site", "open_service", "open_site", "run_small_archive"]

JSON = "application/dicom+json"


@contextmanager
def run_small_archive(folder: Path) -> Iterator[SandboxArchive]:
    """A sandbox archive with the small studies; `folder` is empty."""
    with SandboxArchive(folder / "archive") as archive:
        for path in write_small_archive(folder):
            archive.index.add_file(path)
        yield archive


@dataclass(frozen=True)
class Service:
    """The DICOMweb service of a running gateway."""

    running: RunningGateway

    @property
    def url(self) -> str:
        """The service root of the default backend."""
        return f"{self.running.gateway.url}/dicomweb"

    def get(self, path: str, accept: str | None = JSON, /, **headers: str) -> WebResponse:
        """GET a path below the service root; underscores in header names mean hyphens."""
        return self.send("GET", path, accept, **headers)

    def send(
        self, method: str, path: str, accept: str | None = None, /, body: bytes | None = None, **headers: str
    ) -> WebResponse:
        """Send any request below the service root."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if accept is not None:
            sent["Accept"] = accept
        return ask(self.url + path, method=method, headers=sent, body=body)


@dataclass(frozen=True)
class Site(Service):
    """The same with the sandbox archive behind it."""

    archive: SandboxArchive

    @contextmanager
    def behaving(self, **switches: Any) -> Iterator[SandboxArchive]:
        """Turn switches of the archive for the length of a block."""
        self.archive.behaviour = Behaviour(**switches)
        try:
            yield self.archive
        finally:
            self.archive.behaviour = Behaviour()


@contextmanager
def open_service(
    *,
    backend: Mapping[str, Any],
    http: Mapping[str, Any] | None = None,
    more_backends: Mapping[str, Any] | None = None,
    **sections: Mapping[str, Any],
) -> Iterator[Service]:
    """Run a gateway in front of any archive on loopback; `backend` has at least its port."""
    main = {"ae_title": "ARCHIVE", "host": "127.0.0.1", "move_grace_s": 0.3, **backend}
    settings = GatewaySettings.model_validate(
        {
            "http": {"listen": "127.0.0.1:0", "shutdown_grace_s": 1, **(http or {})},
            "dimse": {"listen": "127.0.0.1:0"},
            "backends": {"main": main, **(more_backends or {})},
            **sections,
        }
    )
    with RunningGateway(settings) as running:
        yield Service(running)


@contextmanager
def open_site(
    archive: SandboxArchive, *, backend: Mapping[str, Any] | None = None, **sections: Mapping[str, Any]
) -> Iterator[Site]:
    """Run a gateway over `archive`, which it can move to; settings of its backend and of other sections override."""
    main = {"ae_title": archive.ae_title, "host": archive.host, "port": archive.port, **(backend or {})}
    with open_service(backend=main, **sections) as service:
        archive.add_move_destination("GATEWAY", "127.0.0.1", service.running.gateway.dimse_port)
        yield Site(service.running, archive)
