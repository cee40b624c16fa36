"""The demo as users run it: in a process, its curl lines pasted into a shell, ended by a signal."""

from __future__ import annotations

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import pytest
from pydicom import dcmread

START_LIMIT_S = 90
STOP_LIMIT_S = 20  # a machine under a full test run; an idle one needs less than one
LAST_LINE = "Ctrl-C stops it"


@dataclass
class Demo:
    """A running demo and what it has printed so far."""

    process: subprocess.Popen[str]
    temporary: Path
    lines: list[str] = field(default_factory=list)
    _queue: queue.Queue[str] = field(default_factory=queue.Queue)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(LAST_LINE)

    def wait_until_ready(self) -> None:
        while not (self.lines and self.lines[-1].startswith(LAST_LINE)):
            self.lines.append(self._queue.get(timeout=START_LIMIT_S))

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_LIMIT_S)

    def find(self, label: str) -> str:
        (line,) = (line for line in self.lines if line.startswith(f"  {label} "))
        return line.split(maxsplit=1)[1]

    @property
    def commands(self) -> list[str]:
        return [line for line in self.lines if line.startswith("curl ")]


def start(temporary: Path, listen: str = "127.0.0.1:0") -> Demo:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "gateway", "demo", "--listen", listen],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**environment, "TMPDIR": str(temporary), "NO_COLOR": "1", "COLUMNS": "60"},
    )
    return Demo(process, temporary)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = start(temporary)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait(STOP_LIMIT_S)
        running._reader.join(STOP_LIMIT_S)
        assert running.process.stdout is not None
        running.process.stdout.close()


def paste(command: str, folder: Path) -> bytes:
    result = subprocess.run(["bash", "-c", command], capture_output=True, cwd=folder, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout


def test_the_demo_works_as_printed_and_leaves_nothing(demo: Demo, tmp_path: Path) -> None:
    demo.wait_until_ready()
    search, metadata, retrieve = demo.commands

    studies = json.loads(paste(search, tmp_path))
    assert len(studies) == 4
    assert f"{len(studies)} studies, " in demo.find("archive")
    assert "Müller-Beispiel^Änne" in [study["00100010"]["Value"][0]["Alphabetic"] for study in studies]

    instances = json.loads(paste(metadata, tmp_path))
    assert len(instances) > 1
    assert {instance["00080060"]["Value"][0] for instance in instances} == {"MR"}

    assert paste(retrieve, tmp_path) == b""
    (file,) = tmp_path.glob("*.dcm")
    instance = dcmread(BytesIO(file.read_bytes()))
    assert instance.pixel_array.shape == (instance.Rows, instance.Columns)
    assert instance.SOPInstanceUID in [it["00080018"]["Value"][0] for it in instances]

    with urlopen(demo.find("page"), timeout=10) as page:
        assert page.headers.get_content_type() == "text/html"

    assert demo.end(signal.SIGTERM) == 0
    assert list(demo.temporary.iterdir()) == []
    for address in re.findall(r"127\.0\.0\.1:(\d+)", demo.find("page") + demo.find("archive")):
        with socket.create_server(("127.0.0.1", int(address))):
            pass


def test_ctrl_c_twice_ends_it_while_the_studies_are_made(demo: Demo) -> None:
    """Nothing is printed then, and nothing is left."""
    deadline = time.monotonic() + START_LIMIT_S
    while not list(demo.temporary.rglob("*.dcm")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    demo.process.send_signal(signal.SIGINT)
    assert demo.end(signal.SIGINT) == 0
    demo.wait_until_ready()
    assert demo.commands == []
    assert "".join(demo.lines[:-1]) in ("", "Making the sample studies")
    assert list(demo.temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("127.0.0.1:{taken}", r"http\.listen: cannot listen on 127\.0\.0\.1:\d+: .*; choose another .* with --listen"),
        ("8080", r"http\.listen: must be HOST:PORT \(flag --listen\)"),
    ],
)
def test_an_address_that_cannot_be_used_is_one_line(tmp_path: Path, address: str, text: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running = start(tmp_path, address.format(taken=taken.getsockname()[1]))
        assert running.process.wait(START_LIMIT_S) == 2
        running.wait_until_ready()
        running._reader.join(STOP_LIMIT_S)
        assert running.process.stdout is not None
        running.process.stdout.close()
    (line,) = running.lines[:-1]
    assert re.fullmatch(f"dicomweb-gateway: {text}", line)
    assert list(tmp_path.iterdir()) == []
