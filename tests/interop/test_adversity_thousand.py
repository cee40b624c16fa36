"""A thousand cuts at random points leave no association, task or permit behind, and no answer that is quietly short.

Lanes run side by side against one dcmqrscp, each with two backends (C-GET, C-MOVE) and relays of its own, and each with
another choice of coalescing and early stop. A cut is a client that leaves in mid-response, or damage done to a link
while an operation was under way on it.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest

from gateway.sandbox.loads import write_ct_series
from tests.support.adversity import Lane, Rig, Series, Switches, open_rig, start_archive
from tests.support.cutting_proxy import CuttingProxy, Damage, Harm, Way
from tests.support.raw_http import ANY_INSTANCE, RawClient

pytestmark = [pytest.mark.slow, pytest.mark.peer]

CUTS = 1_000
LANES = [Switches(coalescing=coalescing, early_stop=stops) for coalescing in (True, False) for stops in (True, False)]
SLICES = 12
SIZE = 256  # pixels: 132 kB an instance, 1.6 MB a series
SEED = 20_260
LIMITS = ("silence", "retrieve", "response", "cancel", "associate", "store")
QUICK = {f"{name}_timeout_s": 0.4 for name in LIMITS} | {"move_grace_s": 0.4, "pool_timeout_s": 5}

JSON = "application/dicom+json"
STORE_TYPE = 'multipart/related; type="application/dicom"; boundary=b'
HARMS = (Harm.RESET,) * 6 + (Harm.HALF_CLOSE,) * 3 + (Harm.BLACK_HOLE,)
"""Black holes are rare because each lasts for a whole time limit."""


@dataclass(frozen=True, slots=True)
class Task:
    """A request: what to ask, how much passes in each direction, and whether a body is a whole answer."""

    name: str
    path: str
    accept: str
    size: int
    is_whole: Callable[[bytes], bool]
    upload: bytes = b""

    @property
    def method(self) -> str:
        return "POST" if self.upload else "GET"


def list_tasks(series: Series, others: list[Path]) -> list[Task]:
    uids = [uid.encode() for uid in series.instance_uids]
    one = series.size // SLICES
    upload = b"".join(
        b"--b\r\nContent-Type: application/dicom\r\n\r\n" + path.read_bytes() + b"\r\n" for path in others
    )

    def holds_all(body: bytes) -> bool:
        return all(uid in body for uid in uids)

    def holds_parts(count: int) -> Callable[[bytes], bool]:
        return lambda body: body.count(b"\r\nContent-Type: application/") == count

    return [
        Task("search", f"{series.path}/instances", JSON, 6_000, holds_all),
        Task("series", series.path, ANY_INSTANCE, series.size, holds_parts(SLICES)),
        Task("series", series.path, ANY_INSTANCE, series.size, holds_parts(SLICES)),
        Task("metadata", f"{series.path}/metadata", JSON, series.size, holds_all),
        Task(
            "frame",
            f"{series.path}/instances/{series.instance_uids[3]}/frames/1",
            'multipart/related; type="application/octet-stream"',
            one,
            holds_parts(1),
        ),
        Task("store", "/studies", JSON, len(upload), lambda body: True, upload + b"--b--\r\n"),
    ]


class Saboteur:
    """One lane: asks and cuts until it has cut often enough."""

    def __init__(self, lanes: tuple[Lane, Lane], tasks: list[Task], seed: int, session: aiohttp.ClientSession) -> None:
        self._lanes = lanes
        self._tasks = tasks
        self._random = random.Random(seed)
        self._session = session
        self.cuts: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()

    async def run(self, cuts: int) -> None:
        while self.cuts.total() < cuts:
            lane, task = self._random.choice(self._lanes), self._random.choice(self._tasks)
            if self._random.random() < 0.4:
                await self._kill_client(lane, task)
            else:
                await self._harm_link(lane, task)

    async def _kill_client(self, lane: Lane, task: Task) -> None:
        async with RawClient(lane.url) as client:
            fields = {"Content_Type": STORE_TYPE, "Content_Length": len(task.upload)} if task.upload else {}
            await client.ask(task.path, method=task.method, accept=task.accept, Connection="close", **fields)
            if task.upload:
                await client.send(task.upload[: self._random.randrange(len(task.upload))])
                await asyncio.sleep(self._random.random() * 0.01)
            else:
                taken = await client.take(self._random.choice((0, 1, self._random.randrange(task.size))))
                if taken.is_complete:
                    return
        self.cuts[f"client, {task.name}, {lane.name[:-1]}"] += 1

    async def _harm_link(self, lane: Lane, task: Task) -> None:
        relay, way = self._choose_leg(lane, task)
        before = relay.harms
        harm = self._random.choice(HARMS)
        relay.plan(Damage(harm, way, self._random.choice((0, 200, self._random.randrange(task.size)))))
        self.outcomes[await self._ask(lane, task)] += 1
        relay.plan(None)
        if relay.harms > before:
            self.cuts[f"{harm.name.lower()}, {task.name}, {lane.name[:-1]}"] += 1
        relay.cut()

    def _choose_leg(self, lane: Lane, task: Task) -> tuple[CuttingProxy, Way]:
        if task.upload:
            return lane.there, Way.OUT
        if lane.name.startswith("move") and task.name != "search" and self._random.random() < 0.7:
            return lane.back, Way.OUT
        return lane.there, Way.BACK

    async def _ask(self, lane: Lane, task: Task) -> str:
        """Ask as an ordinary client; a success must be the whole answer."""
        headers = {"Accept": task.accept} | ({"Content-Type": STORE_TYPE} if task.upload else {})
        data = BytesIO(task.upload) if task.upload else None
        try:
            async with self._session.request(task.method, lane.url + task.path, headers=headers, data=data) as response:
                body = await response.read()
        except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
            return "cut"
        assert response.status != 200 or task.is_whole(body), f"{task.name}: an answer that is quietly short"
        assert response.status != 500, body
        return str(response.status)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("caching", [True, False])
async def test_a_thousand_cuts(tmp_path: Path, caching: bool) -> None:
    files = write_ct_series(tmp_path / "series", SLICES, SIZE)
    others = write_ct_series(tmp_path / "others", SLICES, SIZE, seed=2)  # what is read is not written meanwhile
    tasks = list_tasks(Series.of(files), others)
    settings = {
        f"{method}{number}": QUICK | switches.backend | {"retrieve": f"c-{method}"}
        for number, switches in enumerate(LANES)
        for method in ("get", "move")
    }
    titles = tuple(f"GATEWAY{number}" for number in range(len(settings)))
    async with (
        start_archive("dcmqrscp", tmp_path, files, titles, max_associations=100) as backing,
        open_rig(backing, settings, switches=Switches(caching=caching)) as rig,
    ):
        before = len(asyncio.all_tasks())
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
            saboteurs = [
                Saboteur((rig.lanes[2 * n], rig.lanes[2 * n + 1]), tasks, SEED + n, session) for n in range(len(LANES))
            ]
            await asyncio.gather(*(saboteur.run(CUTS // len(LANES)) for saboteur in saboteurs))
        cuts = sum((saboteur.cuts for saboteur in saboteurs), Counter())
        outcomes = sum((saboteur.outcomes for saboteur in saboteurs), Counter())
        print(f"\n{cuts.total()} cuts: {dict(cuts)}\nwhat clients saw: {dict(outcomes)}")
        assert cuts.total() >= CUTS
        await rig.assert_nothing_left()
        await assert_every_lane_serves(rig, tasks)
        for lane in rig.lanes:
            await lane.archive.close()
        await rig.assert_nothing_left()
        assert len(asyncio.all_tasks()) <= before, asyncio.all_tasks()


async def assert_every_lane_serves(rig: Rig, tasks: list[Task]) -> None:
    async with aiohttp.ClientSession() as session:
        for lane in rig.lanes:
            for task in tasks:
                saboteur = Saboteur((lane, lane), tasks, 0, session)
                assert await saboteur._ask(lane, task) == "200", (lane.name, task.name)
