"""The gateway in a process of its own, with the settings a row wants."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import BackendSettings, GatewaySettings
from tests.support.peers import LOOPBACK, find_free_port

__all__ = ["COLD", "Backend", "Flavour", "RunningGateway", "known_settings", "run_gateway"]

START_LIMIT_S = 60
STOP_LIMIT_S = 15
POLL_S = 0.005
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Flavour:
    """Settings by section, and those of every backend, on top of the defaults."""

    name: str
    sections: Mapping[str, Mapping[str, object]]
    backends: Mapping[str, object]


COLD = Flavour(
    "cold",
    {"cache": {"metadata_memory_mib": 0, "metadata_disk_mib": 0, "pixels_disk_mib": 0, "fresh_s": 0}},
    {"coalesce_window_ms": 0},
)
"""Nothing is remembered and nothing shared: every request asks the archive anew."""


@dataclass(frozen=True, slots=True)
class Backend:
    """An archive as the gateway is to address it."""

    address: str
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway under way; `ready_s` is the time from its start to its first answer."""

    url: str
    dimse_port: int
    process: subprocess.Popen[bytes]
    ready_s: float

    @property
    def pid(self) -> int:
        """Of its process."""
        return self.process.pid

    def service(self, backend: str) -> str:
        """Root of the DICOMweb service of a backend."""
        return f"{self.url}/backends/{backend}/dicomweb"


def known_settings(flavour: Flavour, backends: Mapping[str, Backend]) -> dict[str, str]:
    """Environment of a gateway with these settings; those that this version does not have are left away."""
    environment: dict[str, str] = {}
    for section, values in flavour.sections.items():
        field = GatewaySettings.model_fields.get(section)
        known: Mapping[str, Any] = getattr(field.annotation, "model_fields", {}) if field else {}
        environment |= {f"GATEWAY__{section}__{key}".upper(): str(it) for key, it in values.items() if key in known}
    for name, backend in backends.items():
        settings = {**flavour.backends, **backend.settings}
        for key, value in settings.items():
            if key in BackendSettings.model_fields:
                environment[f"GATEWAY__BACKENDS__{name}__{key.upper()}"] = str(value)
    return environment


@contextmanager
def run_gateway(
    flavour: Flavour, backends: Mapping[str, Backend], *, ae_title: str = "GATEWAY", dimse_port: int = 0
) -> Iterator[RunningGateway]:
    """Start, wait until it answers, and end it.

    Raises
    ------
    RuntimeError
        It ended at once, or does not answer within the limit.
    """
    port, dimse_port = find_free_port(), dimse_port or find_free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--ae-title", ae_title]
    command += ["--listen", f"{LOOPBACK}:{port}", "--dimse-listen", f"{LOOPBACK}:{dimse_port}"]
    for name, backend in backends.items():
        command += ["--backend", f"{name}={backend.address}"]
    environment = {"PATH": "/usr/bin:/bin", "GATEWAY__LOG__LEVEL": "error"} | known_settings(flavour, backends)
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=environment, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        url = f"http://{LOOPBACK}:{port}"
        _wait_until_ready(url, process)
        yield RunningGateway(url, dimse_port, process, time.perf_counter() - begun)
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + START_LIMIT_S
    while True:
        try:
            with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
                json.load(answer)
                return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError("the gateway does not start") from error
            time.sleep(POLL_S)
