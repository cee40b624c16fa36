"""One to sixty-four clients at once over eight associations."""

from __future__ import annotations

from benchmarks.clients import AS_STORED, Transfer, curl_many
from benchmarks.contest import Contestant
from benchmarks.measurement import Curve, Measurement, Panel, Plot
from benchmarks.rig import Rig
from benchmarks.samples import Samples, percentile, summarize
from benchmarks.saturating_scp import make_study
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

CLIENTS = (1, 2, 4, 8, 16, 32, 64)
QUICK_CLIENTS = (1, 8, 64)
SERIES_BYTES, SLICES = 26_214_400, 50
QUICK_SLICES = 10
LEAST_SERIES = 8
"""Retrieved in each run, so that few clients are measured over more than an instant."""


class _Crowd:
    """So many clients, each with series of its own, so that nothing can be shared between them."""

    def __init__(self, rig: Rig, clients: int) -> None:
        slices = QUICK_SLICES if rig.quick else SLICES
        self._shapes = [
            make_study(slices, SERIES_BYTES // SLICES, variant) for variant in range(max(clients, LEAST_SERIES))
        ]
        service = rig.gateway().service("saturating")
        self._urls = [service + shape.path for shape in self._shapes]
        self.clients = clients
        self.transfers: list[Transfer] = []

    def run(self) -> float:
        """MB/s in all."""
        least = self._shapes[0].total
        seconds, transfers = curl_many(self._urls, accept=AS_STORED, min_bytes=least, at_once=self.clients)
        self.transfers += transfers
        return sum(shape.total for shape in self._shapes) / 1e6 / seconds

    @property
    def p99_ms(self) -> float:
        """Of the time to the first byte, waiting for an association included."""
        return percentile([transfer.first_byte_s for transfer in self.transfers], 0.99) * 1e3

    @property
    def median_ms(self) -> float:
        """Of the same."""
        return percentile([transfer.first_byte_s for transfer in self.transfers], 0.5) * 1e3


def _measure(rig: Rig) -> Measurement:
    rig.start_saturating()
    crowds = [_Crowd(rig, clients) for clients in (QUICK_CLIENTS if rig.quick else CLIENTS)]
    contestants = [Contestant(f"clients at once: {crowd.clients}", crowd.run, "MB/s") for crowd in crowds]
    done = rig.compare(contestants[-1], contestants[0], *contestants[1:-1], rounds=rig.scale.few_rounds)
    assert done.beside is not None
    in_order = [done.beside, *done.others, done.ours]
    delays = ", ".join(f"{crowd.clients}: {crowd.p99_ms:,.0f} ms" for crowd in crowds)
    return Measurement(
        done.ours, done.beside, done.others, f"p99 of the first byte, by clients: {delays}", _draw(crowds, in_order)
    )


def _draw(crowds: list[_Crowd], throughput: list[Samples]) -> Plot:
    xs = tuple(float(crowd.clients) for crowd in crowds)
    summaries = [summarize(samples.values) for samples in throughput]
    rates = Curve(
        "all clients together",
        xs,
        tuple(it.median for it in summaries),
        tuple(it.low for it in summaries),
        tuple(it.high for it in summaries),
    )
    delays = (
        Curve("99 of 100", xs, tuple(crowd.p99_ms for crowd in crowds)),
        Curve("median", xs, tuple(crowd.median_ms for crowd in crowds)),
    )
    panels = (Panel("MB/s", (rates,)), Panel("first byte, ms", delays))
    return Plot("clients", "Clients retrieving series at once, 8 associations", "clients", panels, is_logarithmic=True)


ROWS = (
    Row(
        "clients",
        "64 clients retrieving series at once, 8 associations, throughput in all",
        "one client",
        Goal(Taken.RATIO, 0.9, at_least=True),
        _measure,
    ),
)
