"""How long rendering and transcoding hold the event loop: the processor time of each of its callbacks.

    python -m benchmarks.loop_holding

A gateway runs over the sandbox archive, clients in threads ask for pictures, and each callback of the event loop is
timed in processor time of its thread, so that what else the machine does is no part of it. Not a row of the table: it
compares nothing. What it printed stands in ``docs/performance/rendering.md``.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from asyncio import events
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from gateway.app import run_gateway
from gateway.config import GatewaySettings
from gateway.log import configure_logging
from gateway.sandbox import SandboxArchive

__all__ = ["LoopClock", "main"]

ROOT = "1.2.826.0.1.3680043.10.1436.8"
AT_ONCE = 4
LIMIT_MS = 20
HEADING = "| load | asked for | callbacks | longest, ms | 99.9 %, ms |\n|---|---|---|---|---|"
RLE, DEFLATED = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.99"
CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "DX": "1.2.840.10008.5.1.4.1.1.1.1", "US": "1.2.840.10008.5.1.4.1.1.3.1"}


@dataclass(frozen=True, slots=True)
class Load:
    """Images of one kind: how many, how large, and what is asked for."""

    name: str
    modality: str
    rows: int
    columns: int
    frames: int = 1
    instances: int = 1
    bits: int = 16


LOADS = (
    Load("CT slices, 512 x 512, 16 bits", "CT", 512, 512, instances=24),
    Load("radiograph, 3000 x 2500, 16 bits", "DX", 3000, 2500),
    Load("radiograph, 5000 x 4000, 16 bits", "DX", 5000, 4000),
    Load("ultrasound, 60 frames of 600 x 800, 8 bits", "US", 600, 800, frames=60, bits=8),
    Load("one frame of 8000 x 8000, 16 bits", "DX", 8000, 8000),
)


@dataclass
class LoopClock:
    """Processor time of callbacks, in milliseconds."""

    spent: list[float] = field(default_factory=list)

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Time every callback of event loops while the block lasts."""
        run, spent = events.Handle._run, self.spent

        def timed(handle: events.Handle) -> None:
            began = time.thread_time()
            run(handle)  # type: ignore[attr-defined]
            spent.append((time.thread_time() - began) * 1_000)

        events.Handle._run = timed  # type: ignore[attr-defined]
        try:
            yield
        finally:
            events.Handle._run = run  # type: ignore[attr-defined]

    def take(self) -> np.ndarray[Any, Any]:
        """What was spent since the last call."""
        taken = np.array(self.spent)
        self.spent.clear()
        return taken


def make_instance(load: Load, study: int, number: int) -> Dataset:
    """One image of noise, which compresses badly."""
    instance = Dataset()
    instance.SOPClassUID = CLASSES[load.modality]
    instance.StudyInstanceUID, instance.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.1"
    instance.SOPInstanceUID, instance.InstanceNumber = f"{ROOT}.{study}.1.{number}", number
    instance.Modality, instance.PatientID = load.modality, "LOOP"
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.Rows, instance.Columns = load.rows, load.columns
    instance.BitsAllocated, instance.BitsStored, instance.HighBit = (
        load.bits,
        min(load.bits, 12),
        min(load.bits, 12) - 1,
    )
    instance.PixelRepresentation = 0
    if load.frames > 1:
        instance.NumberOfFrames, instance.FrameTime = load.frames, "33"
    kind = np.uint16 if load.bits == 16 else np.uint8
    noise = np.random.default_rng(study).integers(0, 256, load.rows * load.columns * load.frames, np.uint8)
    instance.PixelData = noise.astype(kind).tobytes()
    instance["PixelData"].VR = "OW" if load.bits == 16 else "OB"
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance.file_meta.MediaStorageSOPClassUID = instance.SOPClassUID
    instance.file_meta.MediaStorageSOPInstanceUID = instance.SOPInstanceUID
    return instance


def list_requests(load: Load, study: int) -> list[tuple[str, str, str]]:
    """Name, path and Accept of what is asked of a load."""
    series = f"/studies/{ROOT}.{study}/series/{ROOT}.{study}.1"
    first = f"{series}/instances/{ROOT}.{study}.1.1"
    asked = [
        ("rendered, JPEG", f"{first}/frames/1/rendered", "image/jpeg"),
        ("rendered, PNG", f"{first}/frames/1/rendered", "image/png"),
        ("thumbnail", f"{series}/thumbnail", "image/jpeg"),
        ("frame in JPEG-LS", f"{first}/frames/1", 'multipart/related; type="image/jls"'),
        ("instance in RLE", first, f'multipart/related; type="application/dicom"; transfer-syntax={RLE}'),
        ("instance deflated", first, f'multipart/related; type="application/dicom"; transfer-syntax={DEFLATED}'),
    ]
    if load.instances > 1:
        asked.append(("series, JPEG", f"{series}/rendered", 'multipart/related; type="image/jpeg"'))
    if load.frames > 1:
        asked.append(("all frames, JPEG", f"{first}/rendered", 'multipart/related; type="image/jpeg"'))
        asked.append(("animation, GIF", f"{first}/rendered?viewport=320,240", "image/gif"))
    return asked


def ask(url: str, accept: str) -> int:
    """Ask once; return the length of the answer."""
    try:
        with urlopen(Request(url, headers={"Accept": accept}), timeout=120) as response:
            return len(response.read())
    except HTTPError as refused:
        raise RuntimeError(f"{refused.code} for {url} as {accept}: {refused.read(2_000).decode()}") from refused


async def measure(url: str, clock: LoopClock) -> float:
    """Ask for everything, several clients at a time; print a line for each; return the longest callback in ms."""
    loop, longest = asyncio.get_running_loop(), 0.0
    with ThreadPoolExecutor(AT_ONCE) as clients:
        for study, load in enumerate(LOADS, start=1):
            for name, path, accept in list_requests(load, study):
                await loop.run_in_executor(clients, ask, url + path, accept)  # workers run, modules are imported
                clock.take()
                waits = [loop.run_in_executor(clients, ask, url + path, accept) for _ in range(AT_ONCE)]
                await asyncio.gather(*waits)
                spent = clock.take()
                longest = max(longest, float(spent.max()))
                print(render_line(load.name, name, spent), flush=True)
    return longest


def render_line(load: str, name: str, spent: np.ndarray[Any, Any]) -> str:
    """A line of the table, in Markdown."""
    return f"| {load} | {name} | {len(spent):,} | {spent.max():.1f} | {np.percentile(spent, 99.9):.1f} |"


async def run(folder: Path) -> float:
    """Fill an archive, put a gateway in front, and ask."""
    clock = LoopClock()
    with SandboxArchive(folder / "archive") as archive:
        for study, load in enumerate(LOADS, start=1):
            for number in range(1, load.instances + 1):
                path = folder / f"{study}-{number}.dcm"
                make_instance(load, study, number).save_as(path, enforce_file_format=True)
                archive.index.add_file(path)
        settings = GatewaySettings(
            http={"listen": "127.0.0.1:0"},
            dimse={"listen": "127.0.0.1:0"},
            imaging={"task_timeout_s": 120, "memory_mib": 4096},
            log={"level": "error"},
            backends={"main": {"ae_title": archive.ae_title, "host": archive.host, "port": archive.port}},
        )
        configure_logging(settings.log)
        async with run_gateway(settings) as gateway:
            gc.freeze()  # as ``serve`` does; and the archive is in this process, too
            with clock.watch():
                return await measure(f"{gateway.url}/dicomweb", clock)


def main() -> int:
    """Print the table; 1 if a callback held the loop longer than the limit."""
    with TemporaryDirectory() as folder:
        print(HEADING)
        longest = asyncio.run(run(Path(folder)))
    return int(longest > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
