"""A gateway on a thread and an event loop of its own, so that one serves the tests of many loops."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from gateway.app import Gateway, run_gateway
from gateway.config import BackendSettings, DimseSettings, GatewaySettings, HttpSettings

__all__ = ["RunningGateway", "make_settings"]

START_LIMIT_S = 30.0
CALL_LIMIT_S = 60.0

T = TypeVar("T")


def make_settings(backends: Mapping[str, BackendSettings], dimse_port: int, **http: Any) -> GatewaySettings:
    """Settings for loopback; `http` overrides single ones of the web side."""
    return GatewaySettings(
        ae_title="GATEWAY",
        http=HttpSettings(listen="127.0.0.1:0", shutdown_grace_s=2, **http),
        dimse=DimseSettings(listen=f"127.0.0.1:{dimse_port}"),
        backends=dict(backends),
    )


class RunningGateway:
    """Runs ``run_gateway`` for the length of a with block."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="gateway", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self.gateway: Gateway

    async def _run(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with run_gateway(self._settings) as self.gateway:
                self._ready.set()
                await self._stop.wait()
        except BaseException as failure:
            self._failure = failure
            raise
        finally:
            self._ready.set()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run `coroutine` in the gateway's loop and give its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_LIMIT_S)

    def base_url(self, backend: str) -> str:
        """The service root of a backend."""
        return f"{self.gateway.url}/backends/{backend}/dicomweb"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_LIMIT_S) and self._failure is None, self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_LIMIT_S)
        assert not self._thread.is_alive()
