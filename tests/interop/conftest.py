"""Archives that hold every sample they take, and one gateway over all of them, for the tests of Retrieve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from gateway.config import BackendSettings
from gateway.sandbox import SandboxArchive
from tests.support.adversity import ALL_OFF, ALL_ON, Switches
from tests.support.archive_contents import StoredInstance, list_contents
from tests.support.mixed_series import write_mixed_series
from tests.support.peers import LOOPBACK, DcmqrscpPeer, MoveDestination, OrthancPeer, find_free_port
from tests.support.running_gateway import RunningGateway, make_settings
from tests.support.samples import sample_files
from tests.support.wado import split_file

METHODS = ("c-get", "c-move")
AT_MOST = {"orthanc": 2, "dcmqrscp": 6, "dcmany": 6, "sandbox": 6}
"""Associations of each backend: Orthanc here serves eight at once, idle ones included, and has three backends."""

CONVERTED = (ImplicitVRLittleEndian, ExplicitVRBigEndian)
MANY = 128
"""Associations allowed: dcmqrscp counts those of processes that have ended and are not yet reaped, too."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A running archive and what it holds, by resource path."""

    kind: str
    ae_title: str
    port: int
    contents: dict[str, StoredInstance]

    @property
    def studies(self) -> dict[str, dict[str, StoredInstance]]:
        """The contents by Study Instance UID."""
        found: dict[str, dict[str, StoredInstance]] = {}
        for path, stored in self.contents.items():
            found.setdefault(stored.study, {})[path] = stored
        return found


@dataclass(frozen=True, slots=True)
class Served:
    """All archives behind one gateway; the backend ``orthanc-c-get`` retrieves from ``orthanc`` by C-GET."""

    archives: dict[str, Loaded]
    gateway: RunningGateway

    def url(self, kind: str, method: str) -> str:
        """The service root of an archive by a method."""
        return self.gateway.base_url(f"{kind}-{method}")


@pytest.fixture(params=[ALL_ON, ALL_OFF], ids=str)
def switches(request: pytest.FixtureRequest) -> Switches:
    """Caching, coalescing and early stop: all on, as they are by default, and all off."""
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every sample file, and a series in several transfer syntaxes."""
    return [*sample_files(), *write_mixed_series(tmp_path_factory.mktemp("mixed"))]


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory, samples: list[Path]) -> Iterator[tuple[dict[str, Loaded], int]]:
    """Orthanc, dcmqrscp as it is, dcmqrscp with every syntax, the sandbox; and the port they may send to."""
    folder = tmp_path_factory.mktemp("archives")
    ours = [MoveDestination("GATEWAY", find_free_port())]
    peers = {
        "orthanc": OrthancPeer(folder / "orthanc", move_destinations=ours),
        "dcmqrscp": DcmqrscpPeer(folder / "dcmqrscp", move_destinations=ours, max_associations=MANY),
        "dcmany": DcmqrscpPeer(
            folder / "dcmany", "DCMANY", move_destinations=ours, any_syntax=True, max_associations=MANY
        ),
    }
    destinations = {it.ae_title: (it.host, it.port) for it in ours}
    with ExitStack() as stack:
        loaded = {}
        for kind, peer in peers.items():
            stack.enter_context(peer)
            peer.load(samples)
            if isinstance(peer, OrthancPeer):
                upload_converted(peer, samples)
            loaded[kind] = Loaded(kind, peer.ae_title, peer.dicom_port, list_contents(peer))
        sandbox = stack.enter_context(SandboxArchive(folder / "sandbox", move_destinations=destinations))
        contents = load_sandbox(sandbox, samples)
        loaded["sandbox"] = Loaded("sandbox", sandbox.ae_title, sandbox.port, contents)
        yield loaded, ours[0].port


def upload_converted(orthanc: OrthancPeer, samples: list[Path]) -> None:
    """Put in by REST what dcmsend converts on its way: implicit VR and big endian are held as they are."""
    for path in samples:
        content = path.read_bytes()
        if content[128:140] == b"DICM\x02\0\0\0UL\4\0" and split_file(content)[0] in CONVERTED:
            orthanc.upload(content)


def load_sandbox(sandbox: SandboxArchive, samples: list[Path]) -> dict[str, StoredInstance]:
    for path in samples:
        try:
            sandbox.index.add_file(path)
        except ValueError:
            continue
    held = sandbox.index.select({})
    found = (
        StoredInstance.from_content(Path(it.path).read_bytes(), it.data_offset, it.transfer_syntax_uid) for it in held
    )
    return {stored.path: stored for stored in found if stored is not None}


@pytest.fixture(scope="session")
def served(archives: tuple[dict[str, Loaded], int]) -> Iterator[Served]:
    """A gateway with a backend for each archive and method."""
    loaded, port = archives
    backends = {
        f"{kind}-{method}": BackendSettings(
            ae_title=archive.ae_title, host=LOOPBACK, port=archive.port, retrieve=method, max_associations=AT_MOST[kind]
        )
        for kind, archive in loaded.items()
        for method in (*METHODS, "auto")
    }
    with RunningGateway(make_settings(backends, port)) as gateway:
        yield Served(loaded, gateway)
