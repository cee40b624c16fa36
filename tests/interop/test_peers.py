"""The archives that other tests rely on: they start, take files, die and come back with their data."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from pydicom import Dataset
from pynetdicom import AE
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelFind as PatientRootFind
from pynetdicom.sop_class import PatientRootQueryRetrieveInformationModelGet as PatientRootGet

from tests.support import peers
from tests.support.peers import (
    LOOPBACK,
    DcmqrscpPeer,
    MoveDestination,
    OrthancPeer,
    Peer,
    PeerError,
    find_free_port,
    find_program,
)
from tests.support.samples import sample_files

pytestmark = pytest.mark.peer

ONE_CT = next(path for path in sample_files() if path.name == "CT_small.dcm")
ONE_JPEG = next(path for path in sample_files() if path.name == "examples_jpeg2k.dcm")
NOT_DICOM = Path(__file__)


def echo(peer: Peer) -> int:
    command = [find_program("echoscu"), "-to", "5", "-aec", peer.ae_title, LOOPBACK, str(peer.dicom_port)]
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode


@pytest.mark.parametrize("peer_type", [OrthancPeer, DcmqrscpPeer])
def test_a_killed_archive_comes_back_with_its_data(tmp_path: Path, peer_type: type[Peer]) -> None:
    with peer_type(tmp_path / "peer") as peer:
        report = peer.load([ONE_CT, NOT_DICOM])
        assert list(report.stored) == [ONE_CT]
        assert report.refused == {NOT_DICOM: "not DICOM"}
        peer.kill()
        assert not peer.is_running
        assert echo(peer) != 0
        peer.restart()
        assert echo(peer) == 0
        assert list(report.stored.values())[0].encode() in b"".join(
            path.read_bytes() for path in peer.folder.rglob("*") if path.is_file()
        )
    assert not peer.is_running


def test_orthanc_tells_what_it_holds(tmp_path: Path) -> None:
    with OrthancPeer(tmp_path / "peer") as peer:
        report = peer.load([ONE_CT])
        assert peer.instance_uids() == set(report.stored.values())
        peer.add_move_destination(MoveDestination("ANOTHER", find_free_port()))
        assert "ANOTHER" in peer.rest("/modalities")


def test_dcmqrscp_takes_compressed_objects_only_by_its_profile(tmp_path: Path) -> None:
    with (
        DcmqrscpPeer(tmp_path / "plain") as plain,
        DcmqrscpPeer(tmp_path / "any", any_syntax=True) as any_syntax,
    ):
        assert ONE_JPEG in plain.load([ONE_JPEG]).refused
        assert ONE_JPEG in any_syntax.load([ONE_JPEG]).stored


def accepted_contexts(peer: Peer, *abstract_syntaxes: str) -> set[str]:
    ae = AE("TEST")
    for abstract_syntax in abstract_syntaxes:
        ae.add_requested_context(abstract_syntax)
    assoc = ae.associate(LOOPBACK, peer.dicom_port, ae_title=peer.ae_title)
    assert assoc.is_established
    accepted = {str(context.abstract_syntax) for context in assoc.accepted_contexts}
    assoc.release()
    return accepted


@pytest.mark.parametrize("get", [True, False])
def test_dcmqrscp_can_be_without_c_get(tmp_path: Path, get: bool) -> None:
    with DcmqrscpPeer(tmp_path / "peer", options=[] if get else ["--disable-get"]) as peer:
        accepted = accepted_contexts(peer, PatientRootFind, PatientRootGet)
        assert accepted == ({PatientRootFind, PatientRootGet} if get else {PatientRootFind})


@pytest.mark.parametrize(("get", "statuses"), [(True, [0xC000]), (False, [])])
def test_orthanc_can_be_without_c_get(tmp_path: Path, get: bool, statuses: list[int]) -> None:
    """It accepts the context all the same and drops the connection when the request comes.

    With C-GET allowed, it calls a retrieval that matches nothing a failure.
    """
    identifier = Dataset()
    identifier.QueryRetrieveLevel = "PATIENT"
    identifier.PatientID = "nobody"
    with OrthancPeer(tmp_path / "peer", get=get) as peer:
        ae = AE("TEST")
        ae.add_requested_context(PatientRootGet)
        assoc = ae.associate(LOOPBACK, peer.dicom_port, ae_title=peer.ae_title)
        answers = assoc.send_c_get(identifier, PatientRootGet)
        assert [status.Status for status, _ in answers if status] == statuses
        assoc.release()


def test_dcmqrscp_rejects_what_is_over_its_limit(tmp_path: Path) -> None:
    with DcmqrscpPeer(tmp_path / "peer", max_associations=1) as peer:
        ae = AE("TEST")
        ae.add_requested_context(PatientRootFind)
        first = ae.associate(LOOPBACK, peer.dicom_port, ae_title=peer.ae_title)
        second = ae.associate(LOOPBACK, peer.dicom_port, ae_title=peer.ae_title)
        assert (first.is_established, second.is_rejected) == (True, True)
        first.release()


def test_a_paused_archive_accepts_and_stays_silent(tmp_path: Path) -> None:
    with DcmqrscpPeer(tmp_path / "peer") as peer:
        peer.pause()
        with socket.create_connection((LOOPBACK, peer.dicom_port), timeout=5):
            pass
        peer.resume()
        assert echo(peer) == 0


def test_a_missing_program_is_an_error_with_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "_SEARCH_PATH", str(tmp_path))
    with pytest.raises(PeerError, match=r"dcmqrscp is not installed; scripts/install-peers\.sh"):
        DcmqrscpPeer(tmp_path / "peer").start()


def test_a_peer_that_ends_while_starting_shows_its_log(tmp_path: Path) -> None:
    with pytest.raises(PeerError, match="(?s)ended while starting.*no-such-option"):
        DcmqrscpPeer(tmp_path / "peer", options=["--no-such-option"]).start()


def test_the_shared_archives_answer(orthanc: OrthancPeer, dcmqrscp: DcmqrscpPeer) -> None:
    assert echo(orthanc) == 0
    assert echo(dcmqrscp) == 0
