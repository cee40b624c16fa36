"""Throughput from the saturating SCP: through the gateway, and through a relay of the same bytes."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.clients import AS_STORED, curl
from benchmarks.rig import Rig
from benchmarks.saturating_scp import Shape
from tests.support.peers import LOOPBACK

__all__ = ["gateway_rate", "relay_rate"]


def gateway_rate(rig: Rig, shape: Shape, backend: str = "saturating") -> Callable[[], float]:
    """MB/s of pixels through the gateway."""
    url = rig.gateway().service(backend) + shape.path
    return lambda: shape.total / 1e6 / curl(url, accept=AS_STORED, min_bytes=shape.total).seconds


def relay_rate(port: int, shape: Shape) -> Callable[[], float]:
    """MB/s of the same pixels from `port`, by HTTP."""
    url = f"http://{LOOPBACK}:{port}/{shape.instances}/{shape.size}"
    return lambda: shape.total / 1e6 / curl(url, accept="*/*", min_bytes=shape.total).seconds
