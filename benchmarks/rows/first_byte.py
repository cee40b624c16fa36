"""How soon the first byte of a study is on its way to the client."""

from __future__ import annotations

from benchmarks.clients import AS_STORED
from benchmarks.contest import Contestant
from benchmarks.keep_alive import KeepAlive
from benchmarks.measurement import Measurement
from benchmarks.raw_association import RawAssociation
from benchmarks.rig import Rig
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]


def _measure(rig: Rig) -> Measurement:
    """The gateway's client waits for the first byte of the body, then reads on, so that the association is kept.

    The archive alone: C-GET-RQ of the same study on an association that is already open, until the first byte.
    """
    archive, load = rig.archive("dcmqrscp"), rig.series
    identifier = {0x00080052: "STUDY", 0x0020000D: load.study}
    service = rig.gateway().service("dcmqrscp-c-get")

    def ask_archive() -> float:
        with RawAssociation(archive.dicom_port, archive.ae_title) as association:
            return association.time_first_store(identifier)

    with KeepAlive(service) as client:
        path = f"/studies/{load.study}"
        return rig.compare(
            Contestant(
                "gateway, first byte of the body",
                lambda: client.get(path, accept=AS_STORED, min_bytes=load.size).first_byte_s,
            ),
            Contestant("archive, first byte of C-STORE-RQ", ask_archive),
        )


ROWS = (
    Row(
        "first-byte",
        "first byte of a study, dcmqrscp without Nagle",
        "the archive's own first C-STORE byte, C-GET on an open association",
        Goal(Taken.DIFFERENCE, 3, unit="ms", factor=1e3),
        _measure,
    ),
)
