"""A TCP relay that fails on demand: between a gateway and an archive, in either direction of calling.

Links can be reset, half-closed, black-holed, delayed and let go again, at once or when a chosen byte passes; the
listener can be closed and opened, as if the archive had been killed and had come back. It looks at no byte of
what it relays.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from tests.support.peers import LOOPBACK, find_free_port

__all__ = ["CuttingProxy", "Damage", "Harm", "Way"]

RELAY_BYTES = 65_536


class Harm(Enum):
    """What happens to a link."""

    RESET = auto()
    """Both sides get RST: a crash, a firewall that forgot the connection."""
    HALF_CLOSE = auto()
    """The receiving side gets FIN and no more; the other direction goes on."""
    BLACK_HOLE = auto()
    """Nothing passes any more in either direction, not even an end, and nobody is told; what passed then is lost."""
    PAUSE = auto()
    """Nothing passes until the link is let go on; then nothing has been lost."""


class Way(Enum):
    """A direction, seen from the side that connected."""

    OUT = auto()
    BACK = auto()


@dataclass(frozen=True, slots=True)
class Damage:
    """Harm to the link over which byte number `after` passes, counted over all links from when it was planned."""

    harm: Harm
    way: Way
    after: int


class _Link:
    """One relayed connection: two sockets and a task each way."""

    def __init__(self, near: socket.socket, far: socket.socket, note: Callable[[_Link, Way, int], int]) -> None:
        self._sockets = {Way.OUT: (near, far), Way.BACK: (far, near)}
        self._note = note
        self._open = asyncio.Event()
        self._open.set()
        self._is_cut = self._is_lossy = False
        self.delay_s = 0.0
        self.pumps: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        self.pumps = [asyncio.create_task(self._pump(way)) for way in Way]
        await asyncio.wait(self.pumps)
        for one, _ in self._sockets.values():
            one.close()

    async def _pump(self, way: Way) -> None:
        source, sink = self._sockets[way]
        loop = asyncio.get_running_loop()
        try:
            while data := await loop.sock_recv(source, RELAY_BYTES):
                await self._wait_until_open()
                passing = self._note(self, way, len(data))
                await loop.sock_sendall(sink, data[:passing])
                if passing < len(data):
                    await asyncio.sleep(0)  # the harm is done
                    await self._wait_until_open()
                    if self._is_lossy:
                        return
                    await loop.sock_sendall(sink, data[passing:])
            await self._wait_until_open()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            self.reset()

    async def _wait_until_open(self) -> None:
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        await self._open.wait()
        if self._is_cut:
            raise ConnectionResetError

    def reset(self) -> None:
        self._is_cut = True
        for one, _ in self._sockets.values():
            with suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.let_go()
        for pump in self.pumps:
            pump.cancel()

    def half_close(self, way: Way) -> None:
        self.lose()
        with suppress(OSError):
            self._sockets[way][1].shutdown(socket.SHUT_WR)

    def hold(self) -> None:
        self._open.clear()

    def lose(self) -> None:
        self._is_lossy = True

    def let_go(self) -> None:
        self._open.set()


class CuttingProxy:
    """Relays connections to `target_port` of loopback; an asynchronous context manager.

    Attributes
    ----------
    port : int
        Where it listens; the same after `close_listener` and `open_listener`.
    carried : dict of Way to int
        Bytes relayed so far, all links together.
    harms : int
        How often planned damage was done.
    """

    def __init__(self, target_port: int, *, port: int | None = None) -> None:
        self.port = port or find_free_port()
        self.carried = dict.fromkeys(Way, 0)
        self.harms = 0
        self._delay_s = 0.0
        self._target_port = target_port
        self._damage: Damage | None = None
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._links: set[_Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    # --- what tests look at ---

    @property
    def link_count(self) -> int:
        """Links open, harmed ones included."""
        return len(self._links)

    async def wait_for_harm(self, count: int = 1) -> None:
        """Wait until damage has been done `count` times in all."""
        while self.harms < count:
            self._changed.clear()
            await self._changed.wait()

    # --- what tests do ---

    def plan(self, damage: Damage | None) -> None:
        """Do `damage` once its byte passes; replaces what was planned before, None cancels it."""
        self._damage = damage
        if damage is not None:
            self._damage = Damage(damage.harm, damage.way, self.carried[damage.way] + damage.after)

    def cut(self) -> None:
        """Reset every link; black-holed ones too."""
        for link in list(self._links):
            link.reset()

    def hold(self) -> None:
        """Let nothing pass any more on the links that are open, without closing them."""
        for link in self._links:
            link.hold()

    def let_go(self) -> None:
        """Let everything pass again."""
        for link in self._links:
            link.let_go()

    @property
    def delay_s(self) -> float:
        """Seconds added to each piece."""
        return self._delay_s

    @delay_s.setter
    def delay_s(self, seconds: float) -> None:
        self._delay_s = seconds
        for link in self._links:
            link.delay_s = seconds

    async def close_listener(self) -> None:
        """Refuse connections, as if nobody listened."""
        if self._accepting is not None and self._listener is not None:
            self._accepting.cancel()
            await asyncio.wait([self._accepting])
            self._listener.close()  # not before: the event loop still watches it
        self._accepting = self._listener = None

    def open_listener(self) -> None:
        """Take connections, on the same port as before."""
        self._listener = socket.create_server((LOOPBACK, self.port), backlog=128)
        self._listener.setblocking(False)
        self._accepting = asyncio.create_task(self._accept(self._listener))

    async def kill(self) -> None:
        """Cut everything and refuse connections: the archive is killed."""
        await self.close_listener()
        self.cut()

    # --- inside ---

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            near, _ = await asyncio.get_running_loop().sock_accept(listener)
            task = asyncio.create_task(self._relay(near))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _relay(self, near: socket.socket) -> None:
        far = socket.socket()
        for one in (near, far):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(far, (LOOPBACK, self._target_port))
        except OSError:
            near.close()
            far.close()
            return
        link = _Link(near, far, self._note)
        link.delay_s = self._delay_s
        self._links.add(link)
        try:
            await link.run()
        finally:
            self._links.discard(link)

    def _note(self, link: _Link, way: Way, size: int) -> int:
        """Count `size` bytes and do the damage planned within them; answer how many of them pass."""
        before = self.carried[way]
        self.carried[way] += size
        damage = self._damage
        if damage is None or damage.way is not way or before + size <= damage.after:
            return size
        self._damage = None
        asyncio.get_running_loop().call_soon(self._harm, link, damage)
        return max(damage.after - before, 0)

    def _harm(self, link: _Link, damage: Damage) -> None:
        match damage.harm:
            case Harm.RESET:
                link.reset()
            case Harm.HALF_CLOSE:
                link.half_close(damage.way)
            case Harm.BLACK_HOLE:
                link.lose()
                link.hold()
            case Harm.PAUSE:
                link.hold()
        self.harms += 1
        self._changed.set()

    async def __aenter__(self) -> Self:
        self.open_listener()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()
        if self._tasks:
            await asyncio.wait(self._tasks)
