"""Facts about each transfer syntax: VR, byte order, deflate, encapsulation, media type of its pixel data.

Not a negotiation: which syntax is asked for or chosen is decided in ``services`` and ``web``. Names and UIDs are those
of PS3.6 Table A-1, encodings those of PS3.5 Annex A, media types those of PS3.18 Table 8.7.3-5.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "COMPRESSED",
    "DEFLATED",
    "EXPLICIT_VR_BE",
    "EXPLICIT_VR_LE",
    "IMPLICIT_VR_LE",
    "TRANSFER_SYNTAXES",
    "UNCOMPRESSED",
    "TransferSyntax",
    "get_transfer_syntax",
]

IMPLICIT_VR_LE = "1.2.840.10008.1.2"
EXPLICIT_VR_LE = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BE = "1.2.840.10008.1.2.2"


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """How a data set is written.

    Parameters
    ----------
    uid, name : str
        As in PS3.6 Table A-1; the name is the UID where the UID is not known.
    explicit_vr, little_endian : bool
        Encoding of the data elements (PS3.5 §7.1, §7.3).
    deflated : bool
        The whole data set is one deflate stream (PS3.5 §A.5).
    encapsulated : bool
        Pixel Data is a sequence of fragments (PS3.5 §A.4).
    media_type : str or None
        Media type of one frame, or of a whole video, taken out of its fragments (PS3.18 Table 8.7.3-5);
        None where the table names none.
    lossy : bool
        Pixel values may differ from those of the image that was compressed.
    video : bool
        One stream holds every frame, so that a frame cannot be taken out without decoding (MPEG family).
    fragmentable : bool
        A frame, or the video stream, may span several fragments. False only for the MPEG2 and H.264 syntaxes that
        demand a single fragment and for those that demand one fragment a frame (RLE, deflated frames).
    """

    uid: str
    name: str
    explicit_vr: bool = True
    little_endian: bool = True
    deflated: bool = False
    encapsulated: bool = False
    media_type: str | None = None
    lossy: bool = False
    video: bool = False
    fragmentable: bool = False

    @property
    def is_uncompressed(self) -> bool:
        """Whether pixel data is neither encapsulated nor elsewhere: what can become Explicit VR LE in flight."""
        return self.uid in UNCOMPRESSED


def _image(suffix: str, name: str, media_type: str | None, *, lossy: bool, fragmentable: bool = True) -> TransferSyntax:
    return TransferSyntax(
        f"1.2.840.10008.1.2.{suffix}",
        name,
        encapsulated=True,
        media_type=media_type,
        lossy=lossy,
        fragmentable=fragmentable,
    )


def _video(suffix: str, name: str, media_type: str, *, fragmentable: bool) -> TransferSyntax:
    return TransferSyntax(
        f"1.2.840.10008.1.2.4.{suffix}",
        name,
        encapsulated=True,
        media_type=media_type,
        lossy=True,
        video=True,
        fragmentable=fragmentable,
    )


_H264 = "MPEG-4 AVC/H.264"

_NATIVE = (
    TransferSyntax(EXPLICIT_VR_LE, "Explicit VR Little Endian"),
    TransferSyntax(IMPLICIT_VR_LE, "Implicit VR Little Endian", explicit_vr=False),
    TransferSyntax(EXPLICIT_VR_BE, "Explicit VR Big Endian", little_endian=False),
    TransferSyntax(DEFLATED, "Deflated Explicit VR Little Endian", deflated=True),
)

# commonest first: a proposal that must leave some out leaves out the last
_ENCAPSULATED = (
    _image("4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction", "image/jpeg", lossy=False),
    _image("4.90", "JPEG 2000 Image Compression (Lossless Only)", "image/jp2", lossy=False),
    _image("4.50", "JPEG Baseline (Process 1)", "image/jpeg", lossy=True),
    _image("4.91", "JPEG 2000 Image Compression", "image/jp2", lossy=True),
    _image("5", "RLE Lossless", "image/dicom-rle", lossy=False, fragmentable=False),
    _image("4.80", "JPEG-LS Lossless Image Compression", "image/jls", lossy=False),
    _image("4.81", "JPEG-LS Lossy (Near-Lossless) Image Compression", "image/jls", lossy=True),
    _image("4.51", "JPEG Extended (Process 2 and 4)", "image/jpeg", lossy=True),
    _image("4.57", "JPEG Lossless, Non-Hierarchical (Process 14)", "image/jpeg", lossy=False),
    _video("102", f"{_H264} High Profile / Level 4.1", "video/mp4", fragmentable=False),
    _video("100", "MPEG2 Main Profile / Main Level", "video/mpeg", fragmentable=False),
    _video("101", "MPEG2 Main Profile / High Level", "video/mpeg", fragmentable=False),
    _video("103", f"{_H264} BD-compatible High Profile / Level 4.1", "video/mp4", fragmentable=False),
    _video("104", f"{_H264} High Profile / Level 4.2 For 2D Video", "video/mp4", fragmentable=False),
    _video("105", f"{_H264} High Profile / Level 4.2 For 3D Video", "video/mp4", fragmentable=False),
    _video("106", f"{_H264} Stereo High Profile / Level 4.2", "video/mp4", fragmentable=False),
    _video("107", "HEVC/H.265 Main Profile / Level 5.1", "video/H265", fragmentable=True),
    _video("108", "HEVC/H.265 Main 10 Profile / Level 5.1", "video/H265", fragmentable=True),
    _image("4.201", "High-Throughput JPEG 2000 (Lossless Only)", "image/jphc", lossy=False),
    _image("4.202", "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)", "image/jphc", lossy=False),
    _image("4.203", "High-Throughput JPEG 2000", "image/jphc", lossy=True),
    _image("4.92", "JPEG 2000 Part 2 Multi-component (Lossless Only)", "image/jpx", lossy=False),
    _image("4.93", "JPEG 2000 Part 2 Multi-component", "image/jpx", lossy=True),
    _image("4.110", "JPEG XL Lossless", "image/jxl", lossy=False),
    # the recompression is exact, but what it recompresses is a lossy JPEG
    _image("4.111", "JPEG XL JPEG Recompression", "image/jxl", lossy=True),
    _image("4.112", "JPEG XL", "image/jxl", lossy=True),
    _video("100.1", "Fragmentable MPEG2 Main Profile / Main Level", "video/mpeg", fragmentable=True),
    _video("101.1", "Fragmentable MPEG2 Main Profile / High Level", "video/mpeg", fragmentable=True),
    _video("102.1", f"Fragmentable {_H264} High Profile / Level 4.1", "video/mp4", fragmentable=True),
    _video("103.1", f"Fragmentable {_H264} BD-compatible High Profile / Level 4.1", "video/mp4", fragmentable=True),
    _video("104.1", f"Fragmentable {_H264} High Profile / Level 4.2 For 2D Video", "video/mp4", fragmentable=True),
    _video("105.1", f"Fragmentable {_H264} High Profile / Level 4.2 For 3D Video", "video/mp4", fragmentable=True),
    _video("106.1", f"Fragmentable {_H264} Stereo High Profile / Level 4.2", "video/mp4", fragmentable=True),
    # each frame deflated by itself (PS3.5 §A.4.13); the bulk data tables name no media type for it
    _image("8.1", "Deflated Image Frame Compression", None, lossy=False, fragmentable=False),
    _image("1.98", "Encapsulated Uncompressed Explicit VR Little Endian", None, lossy=False),
)

# Pixel Data is elsewhere, its URL stands in the data set (PS3.5 §A.6, §A.7)
_REFERENCED = (
    TransferSyntax("1.2.840.10008.1.2.4.94", "JPIP Referenced"),
    TransferSyntax("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", deflated=True),
    TransferSyntax("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced"),
    TransferSyntax("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", deflated=True),
)

UNCOMPRESSED = tuple(syntax.uid for syntax in _NATIVE)
"""UIDs of the syntaxes with native pixel data, the one of choice first."""

COMPRESSED = tuple(syntax.uid for syntax in _ENCAPSULATED)
"""UIDs of every syntax with encapsulated pixel data, commonest first."""

TRANSFER_SYNTAXES = {syntax.uid: syntax for syntax in (*_NATIVE, *_ENCAPSULATED, *_REFERENCED)}
"""Every syntax with known facts, by UID."""


def get_transfer_syntax(uid: str) -> TransferSyntax:
    """Return the facts about the syntax `uid`.

    Parameters
    ----------
    uid : str
        Trailing padding (NUL, space) is ignored.

    Returns
    -------
    TransferSyntax
        For a UID that is not known, private or new: Explicit VR LE with encapsulated pixel data and no media type,
        which is what PS3.5 §A.4 asks of every compressed syntax.
    """
    uid = uid.rstrip("\0 ")
    known = TRANSFER_SYNTAXES.get(uid)
    return known if known is not None else TransferSyntax(uid, uid, encapsulated=True, fragmentable=True)
