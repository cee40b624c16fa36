"""The cells of the tables of PS3.18 §8.7 again, over archives that nobody here wrote.

What an archive converts itself, and what the gateway converts because it does not, comes out the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.conformance_site import Service, open_service
from tests.support.peers import DcmqrscpPeer, MoveDestination, OrthancPeer, Peer, find_free_port
from tests.support.representations import CELLS, WORKED, Cell, check_cell, write_categories

pytestmark = pytest.mark.peer


def make_peer(kind: str, folder: Path, ours: MoveDestination) -> Peer:
    if kind == "orthanc":
        return OrthancPeer(folder, move_destinations=[ours])
    return DcmqrscpPeer(folder, move_destinations=[ours], any_syntax=True, max_associations=128)


@contextmanager
def serve(kind: str, method: str, folder: Path) -> Iterator[Service]:
    ours = MoveDestination("GATEWAY", find_free_port())
    with make_peer(kind, folder / kind, ours) as peer:
        peer.load(write_categories(folder / "files"))
        backend = {"ae_title": peer.ae_title, "port": peer.dicom_port, "retrieve": method, "move_grace_s": 5}
        with open_service(backend=backend, dimse={"listen": f"127.0.0.1:{ours.port}"}) as service:
            yield service


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """The gateway runs on a thread of its own, whose log lines would stand between the dots."""
    with capture_logs():
        yield


@pytest.fixture(scope="module", params=[("orthanc", "c-get"), ("dcmqrscp", "c-get")], ids="-".join)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    kind, method = request.param
    with serve(kind, method, tmp_path_factory.mktemp("representations")) as service:
        yield service


@pytest.mark.parametrize("table", [*CELLS, "worked examples"])
def test_each_cell(service: Service, table: str) -> None:
    cells: list[Cell] = CELLS.get(table, WORKED)
    wrong: dict[str, str] = {}
    for cell in cells:
        try:
            check_cell(service, cell)
        except AssertionError as error:
            wrong[str(cell)] = str(error)
    assert wrong == {}
