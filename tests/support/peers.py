"""Real archives for tests: Orthanc and DCMTK's dcmqrscp as child processes on loopback.

Each runs with its data, configuration and log in a folder of its own and on free ports. A missing program
raises `PeerError`, so the test fails: nothing is skipped; ``scripts/install-peers.sh`` installs them all.
DCMTK's tools are looked up in /usr/bin first: pynetdicom installs scripts of the same names into the virtual
environment.

Both archives write each PDU in two pieces with Nagle's algorithm on, so an acknowledgement delayed by the
receiver stalls every object by about 40 ms. ``tcp_nodelay=True`` sets DCMTK's ``TCP_NODELAY=1``, which turns
it off; archives in hospitals are met both ways.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.dcmqrscp_profile import association_profile
from tests.support.dcmsend_report import LoadReport, read_report

__all__ = [
    "LOOPBACK",
    "DcmqrscpPeer",
    "LoadReport",
    "MoveDestination",
    "OrthancPeer",
    "Peer",
    "PeerError",
    "find_free_port",
    "find_program",
]

LOOPBACK = "127.0.0.1"
LISTENER_PORTS = range(20_000, 32_000)
START_LIMIT_S = 60.0  # two cores under a full test run; an idle machine needs 1 s
STOP_LIMIT_S = 15.0
LOAD_LIMIT_S = 300.0
_SEARCH_PATH = os.pathsep.join(["/usr/bin", "/usr/sbin", "/usr/local/bin", os.environ.get("PATH", "")])


class PeerError(RuntimeError):
    """A peer is not installed, does not start or cannot be used; the text ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class MoveDestination:
    """An application entity that an archive may send to."""

    ae_title: str
    port: int
    host: str = LOOPBACK


def find_free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on at this moment, and that no call hands out twice.

    It lies below the range from which Linux takes the ports of outgoing connections, so that none of the many
    connections of a test occupies it before its listener does.
    """
    while True:
        port = next(_ports)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((LOOPBACK, port))
            return port


def _walk_ports() -> Iterator[int]:
    ports = random.SystemRandom().sample(LISTENER_PORTS, len(LISTENER_PORTS))  # another run may go on beside this one
    return itertools.cycle(ports)


_ports = _walk_ports()


def find_program(name: str) -> str:
    """Full path of a peer's program.

    Raises
    ------
    PeerError
        It is not installed.
    """
    path = shutil.which(name, path=_SEARCH_PATH)
    if path is None:
        raise PeerError(f"{name} is not installed; scripts/install-peers.sh installs it")
    return path


@dataclass
class Peer:
    """An archive with its data in `folder`; a context manager that stops it.

    Parameters
    ----------
    folder : Path
        For data, configuration and log; made when missing, kept afterwards.
    ae_title : str
        What the archive calls itself.
    move_destinations : sequence of MoveDestination
        Whom it may send to.
    tcp_nodelay : bool
        Whether the archive turns Nagle's algorithm off.
    """

    folder: Path
    ae_title: str = "ARCHIVE"
    move_destinations: Sequence[MoveDestination] = ()
    tcp_nodelay: bool = True
    dicom_port: int = field(default_factory=find_free_port)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    program = ""

    def start(self) -> Self:
        """Start with the data at hand and wait until every port takes connections."""
        if self.is_running:
            raise PeerError(f"{self.program} runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
        if self.tcp_nodelay:
            environment["TCP_NODELAY"] = "1"
        command = [find_program(self.program), *self._prepare()]
        with self.log_path.open("ab") as log:
            # a session of its own: dcmqrscp forks a process for each association, all are signalled together
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Ask it to end, wait, and kill what is left; does nothing when it does not run."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_LIMIT_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the archive and all its children, as a power cut would; `start` brings the data back."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait(STOP_LIMIT_S)
        self._process = None
        self._wait_until_ports_are_free()

    def _wait_until_ports_are_free(self) -> None:
        """A child that dies a little later than the archive still holds its listener."""
        deadline = time.monotonic() + STOP_LIMIT_S
        while any(_accepts_connections(port) for port in self._ports()):
            if time.monotonic() > deadline:
                raise self._failure(f"somebody listens on a port of {self.program} after its end")
            time.sleep(0.005)

    def restart(self) -> Self:
        """Stop if it still runs, and start again on the same ports with the same data."""
        self.stop()
        return self.start()

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and accepts new ones in the kernel, but never answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self._signal(signal.SIGCONT)

    def load(self, files: Iterable[Path]) -> LoadReport:
        """Store `files` as they are with DCMTK's dcmsend and tell which were refused.

        Raises
        ------
        PeerError
            No connection, or it takes longer than the limit.
        """
        paths = list(files)
        report = self.folder / "load-report.txt"
        report.unlink(missing_ok=True)
        command = [find_program("dcmsend"), "--no-halt", "--no-uid-checks", "--decompress-never"]
        command += [
            "--call",
            self.ae_title,
            "--create-report-file",
            str(report),
            LOOPBACK,
            str(self.dicom_port),
        ]
        result = subprocess.run(
            [*command, *map(str, paths)],
            capture_output=True,
            env={**os.environ, "TCP_NODELAY": "1"},
            timeout=LOAD_LIMIT_S,
            check=False,
        )
        if not report.exists():
            raise self._failure("loading failed: " + result.stderr.decode(errors="replace").strip()[-500:])
        return read_report(report.read_text(errors="replace"), paths)

    @property
    def address(self) -> str:
        """``AE@host:port`` as the gateway's ``--backend`` takes it."""
        return f"{self.ae_title}@{LOOPBACK}:{self.dicom_port}"

    @property
    def is_running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Of the process; None when it was not started."""
        return None if self._process is None else self._process.pid

    @property
    def log_path(self) -> Path:
        """Where the archive's output goes."""
        return self.folder / f"{self.program.lower()}.log"

    def log_tail(self, size: int = 3000) -> str:
        """The end of the log, at most `size` bytes."""
        if not self.log_path.exists():
            return ""
        return self.log_path.read_bytes()[-size:].decode(errors="replace")

    def __enter__(self) -> Self:
        return self if self.is_running else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _prepare(self) -> list[str]:
        """Write the configuration; return the arguments of the program."""
        raise NotImplementedError

    def _ports(self) -> tuple[int, ...]:
        return (self.dicom_port,)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        for port in self._ports():
            while not _accepts_connections(port):
                if not self.is_running:
                    self.kill()
                    raise self._failure(f"{self.program} ended while starting")
                if time.monotonic() > deadline:
                    self.kill()
                    raise self._failure(f"{self.program} does not listen on port {port}")
                time.sleep(0.05)

    def _failure(self, text: str) -> PeerError:
        return PeerError(f"{text}\n--- end of {self.log_path} ---\n{self.log_tail()}")


@dataclass
class OrthancPeer(Peer):
    """Orthanc with its DICOMweb plugin.

    Parameters
    ----------
    transcode : bool
        Whether it changes transfer syntaxes when a requestor does not accept the stored one (its default).
    charset : str
        Of its C-FIND answers, by Orthanc's names (``Utf8``, ``Latin1``, ...).
    get : bool
        Whether it takes C-GET.
    limit : int
        Most matches of one search; 0 for no limit.
    """

    ae_title: str = "ORTHANC"
    transcode: bool = True
    charset: str = "Utf8"
    get: bool = True
    limit: int = 0
    http_port: int = field(default_factory=find_free_port)

    program = "Orthanc"
    plugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"

    @property
    def dicomweb_url(self) -> str:
        """Root of Orthanc's own DICOMweb."""
        return f"http://{LOOPBACK}:{self.http_port}/dicom-web"

    def rest(self, path: str, *, method: str = "GET", body: Any = None) -> Any:
        """Ask Orthanc's own REST interface; `body` and the answer are JSON (None for an empty answer)."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"http://{LOOPBACK}:{self.http_port}{path}", data=data, method=method)
        with urlopen(request, timeout=30) as response:
            content = response.read()
        return json.loads(content) if content else None

    def upload(self, content: bytes) -> bool:
        """Store a file by REST, which changes nothing of it; whether it was taken."""
        request = Request(f"http://{LOOPBACK}:{self.http_port}/instances", data=content, method="POST")
        with suppress(HTTPError), urlopen(request, timeout=30) as response:
            return bool(response.read())
        return False

    def add_move_destination(self, destination: MoveDestination) -> None:
        """Let a running Orthanc send to one more application entity."""
        aet = destination.ae_title
        self.rest(f"/modalities/{aet}", method="PUT", body=[aet, destination.host, destination.port])

    def instance_uids(self) -> set[str]:
        """SOP Instance UIDs of everything stored."""
        instances = self.rest("/instances?expand")
        return {instance["MainDicomTags"]["SOPInstanceUID"] for instance in instances}

    def _ports(self) -> tuple[int, ...]:
        return (self.dicom_port, self.http_port)

    def _prepare(self) -> list[str]:
        if not Path(self.plugin).exists():
            raise PeerError(f"{self.plugin} is missing; scripts/install-peers.sh installs orthanc-dicomweb")
        path = self.folder / "orthanc.json"
        path.write_text(json.dumps(self._configuration(), indent=2))
        return [str(path)]

    def _configuration(self) -> dict[str, Any]:
        storage = str(self.folder / "storage")
        return {
            "Name": self.ae_title,
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "Plugins": [self.plugin],
            "DicomAet": self.ae_title,
            "DicomPort": self.dicom_port,
            "DicomCheckCalledAet": False,
            "DicomCheckModalityHost": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": self.get,
            "DicomAlwaysAllowMove": True,
            "DicomModalities": {
                it.ae_title: {"AET": it.ae_title, "Host": it.host, "Port": it.port, "AllowGet": self.get}
                for it in self.move_destinations
            },
            "DicomScuTimeout": 60,
            "DicomThreadsCount": 8,
            "MaximumPduLength": 131_072,
            "UnknownSopClassAccepted": True,
            "OverwriteInstances": True,
            "TranscodeDicomProtocol": self.transcode,
            "DefaultEncoding": self.charset,
            "LimitFindResults": self.limit,
            "LimitFindInstances": self.limit,
            "HttpPort": self.http_port,
            "HttpThreadsCount": 8,
            "KeepAlive": True,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "PublicRoot": "/dicom-web/"},
        }


@dataclass
class DcmqrscpPeer(Peer):
    """DCMTK's dcmqrscp: no counts, no case folding, stored character sets, uncompressed unless told.

    Parameters
    ----------
    options : sequence of str
        Further options, for instance ``("--disable-get",)`` or ``("+xs",)``.
    any_syntax : bool
        Accept and send every transfer syntax, by an association profile.
    max_associations : int
        What comes on top is rejected (transient, local limit exceeded).
    """

    ae_title: str = "DCMQRSCP"
    options: Sequence[str] = ()
    any_syntax: bool = False
    max_associations: int = 16

    program = "dcmqrscp"

    def _prepare(self) -> list[str]:
        (self.folder / "db").mkdir(exist_ok=True)
        configuration = self.folder / "dcmqrscp.cfg"
        configuration.write_text(self._configuration())
        arguments = ["--config", str(configuration), *self.options]
        if self.any_syntax:
            profile = self.folder / "profile.cfg"
            profile.write_text(association_profile(incoming="AnyIn", outgoing="AnyOut"))
            arguments += ["--assoc-config-file", str(profile), "AnyIn", "AnyOut"]
        return arguments

    def _configuration(self) -> str:
        # the host table is compared with resolved names: 127.0.0.1 is written as localhost
        hosts = [
            f"peer{number} = ({it.ae_title}, {'localhost' if it.host == LOOPBACK else it.host}, {it.port})"
            for number, it in enumerate(self.move_destinations)
        ]
        return "\n".join(
            [
                f"NetworkTCPPort  = {self.dicom_port}",
                "MaxPDUSize      = 131072",
                f"MaxAssociations = {self.max_associations}",
                "HostTable BEGIN",
                *hosts,
                "HostTable END",
                "VendorTable BEGIN",
                "VendorTable END",
                "AETable BEGIN",
                f"{self.ae_title} {self.folder / 'db'} RW (500, 1024mb) ANY",  # its ceilings
                "AETable END",
                "",
            ]
        )


def _accepts_connections(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
