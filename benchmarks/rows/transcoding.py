"""Transcoding: the CT series from an archive that holds it native and converts nothing, in each of several syntaxes.

Beside Orthanc's DICOMweb, asked for the same, where it can convert: with DCMTK's codecs, JPEG and JPEG-LS. What it does
not know stands beside the series as it is stored.
"""

from __future__ import annotations

from functools import partial

from benchmarks.clients import curl
from benchmarks.contest import Contestant
from benchmarks.measurement import Measurement
from benchmarks.rig import DEFAULTS, Rig
from benchmarks.table import Goal, Row, Taken

__all__ = ["ROWS"]

LOSSLESS_JPEG = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
HTJ2K = "1.2.840.10008.1.2.4.201"
JPEG_XL = "1.2.840.10008.1.2.4.110"
RLE = "1.2.840.10008.1.2.5"
STORED = "*"
LEAST_BYTES = 20_000


def _compare_orthanc(rig: Rig, syntax: str) -> Measurement:
    ours, own = _find_gateway(rig), rig.orthanc().dicomweb_url + rig.series.path
    _get(f"{ours}/instances/{rig.series.instance}", syntax)  # a worker runs and has loaded its codecs
    return rig.compare(
        Contestant("gateway over dcmqrscp", lambda: _get(ours, syntax)),
        Contestant("Orthanc's DICOMweb", lambda: _get(own, syntax)),
        rounds=rig.scale.few_rounds,
        warm_up=0,
        note=f"{len(rig.series.files)} slices of 512 x 512, 16 bits",
    )


def _compare_stored(rig: Rig) -> Measurement:
    """JPEG 2000 and JPEG XL take their time, and are left out of quick runs."""
    ours = _find_gateway(rig)
    others = {"HTJ2K": HTJ2K} | ({} if rig.quick else {"JPEG 2000": JPEG_2000, "JPEG XL": JPEG_XL})
    return rig.compare(
        Contestant("into RLE", lambda: _get(ours, RLE)),
        Contestant("as stored", lambda: _get(ours, STORED)),
        *(Contestant(f"into {name}", partial(_get, ours, syntax)) for name, syntax in others.items()),
        rounds=rig.scale.few_rounds,
        warm_up=0,
    )


def _find_gateway(rig: Rig) -> str:
    rig.archive("dcmqrscp")
    return rig.gateway(DEFAULTS).service("dcmqrscp-c-get") + rig.series.path


def _get(url: str, syntax: str) -> float:
    accept = f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
    return curl(url, accept=accept, min_bytes=LEAST_BYTES).seconds


ROWS = (
    Row(
        "transcode-jpeg",
        "CT series, native to lossless JPEG",
        "Orthanc's same request",
        Goal(Taken.RATIO),
        lambda rig: _compare_orthanc(rig, LOSSLESS_JPEG),
    ),
    Row(
        "transcode-jpeg-ls",
        "CT series, native to JPEG-LS",
        "Orthanc's same request",
        Goal(Taken.RATIO),
        lambda rig: _compare_orthanc(rig, JPEG_LS),
    ),
    Row(
        "transcode-others",
        "CT series, native to RLE",
        "the same series as stored; beside it other syntaxes",
        Goal(Taken.RATIO),
        _compare_stored,
    ),
)
