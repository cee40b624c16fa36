"""What the Image Pixel attributes of a data set say of its frames (PS3.3 §C.7.6.3), checked once.

Values only: nothing is decoded here. Whoever hands a frame to a decoder describes it first, so that no decoder ever
sees dimensions that were not measured against a limit. Called by ``decode``, the rendering and ``services/transcode``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.codecs.transfer_syntax import get_transfer_syntax
from gateway.errors import ImagingFailed

if TYPE_CHECKING:
    import pydicom

__all__ = ["MAX_FRAME_BYTES", "ImageDescription", "check_description", "describe_image", "is_native", "name_decoded"]

MAX_FRAME_BYTES = 256 * 1024 * 1024
"""Longest frame that is decoded unless told otherwise: 16,384 by 16,384 pixels of one byte."""

_BITS_ALLOCATED = frozenset({1, 8, 16, 32, 64})
_MAX_EDGE = 65_535  # Rows and Columns are of VR US
_MONOCHROME = "MONOCHROME2"
_DECODED_NAMES = {"YBR_FULL_422": "YBR_FULL", "YBR_RCT": "RGB", "YBR_ICT": "RGB", "XYB": "RGB"}
# one chroma pair for two pixels, where pixel data is native (PS3.3 §C.7.6.3.1.2)
_SUBSAMPLED = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """How the frames of one image are stored.

    Parameters
    ----------
    rows, columns : int
        Pixels of a frame, down and across.
    samples_per_pixel : int
        1, or 3 for colour; 4 is retired and read.
    photometric_interpretation : str
        As the data set says, without padding.
    planar_configuration : int
        1 where native or RLE samples are stored plane by plane.
    bits_allocated, bits_stored, high_bit : int
        Of a sample (PS3.5 §8.1.1).
    is_signed : bool
        Pixel Representation 1.
    number_of_frames : int
        At least 1.
    transfer_syntax_uid : str
        Of the data set.
    is_float : bool
        Float or Double Float Pixel Data.
    """

    rows: int
    columns: int
    samples_per_pixel: int
    photometric_interpretation: str
    planar_configuration: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    is_signed: bool
    number_of_frames: int
    transfer_syntax_uid: str
    is_float: bool = False

    @property
    def is_subsampled(self) -> bool:
        """Whether native samples are stored as Y1 Y2 CB CR, four for two pixels."""
        return self.samples_per_pixel == 3 and self.photometric_interpretation in _SUBSAMPLED

    @property
    def sample_count(self) -> int:
        """Samples of a decoded frame."""
        return self.rows * self.columns * self.samples_per_pixel

    @property
    def frame_bytes(self) -> int:
        """Length of a decoded frame in bytes, one-bit samples as a byte each."""
        return self.sample_count * max(self.bits_allocated // 8, 1)

    @property
    def native_frame_bits(self) -> int:
        """Length of a frame in bits as native pixel data stores it."""
        samples = self.sample_count * 2 // 3 if self.is_subsampled else self.sample_count
        return samples * self.bits_allocated


def describe_image(
    data_set: pydicom.Dataset | Mapping[str, Any], transfer_syntax_uid: str, *, max_frame_bytes: int = MAX_FRAME_BYTES
) -> ImageDescription:
    """Read and check the Image Pixel attributes.

    Parameters
    ----------
    data_set : pydicom.Dataset or mapping of str to value
        Attributes by keyword, with or without the pixel data.
    transfer_syntax_uid : str
        Of the data set.
    max_frame_bytes : int
        Longest decoded frame.

    Raises
    ------
    ImagingFailed
        An attribute is missing or absurd, or a frame would be longer than the limit.
    """
    samples = _read_number(data_set, "SamplesPerPixel", 1)
    allocated = _read_number(data_set, "BitsAllocated", 0) or _find_float_width(data_set)
    stored = _read_number(data_set, "BitsStored", 0) or allocated
    description = ImageDescription(
        rows=_read_number(data_set, "Rows", 0),
        columns=_read_number(data_set, "Columns", 0),
        samples_per_pixel=samples,
        photometric_interpretation=_read_text(data_set, "PhotometricInterpretation") or _guess_photometric(samples),
        planar_configuration=_read_number(data_set, "PlanarConfiguration", 0),
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=_read_number(data_set, "HighBit", stored - 1),
        is_signed=_read_number(data_set, "PixelRepresentation", 0) == 1,
        number_of_frames=max(_read_number(data_set, "NumberOfFrames", 1), 1),
        transfer_syntax_uid=transfer_syntax_uid,
        is_float=_is_float(data_set, allocated),
    )
    check_description(description, max_frame_bytes)
    return description


def check_description(description: ImageDescription, max_frame_bytes: int = MAX_FRAME_BYTES) -> None:
    """Refuse what no image can be, and frames over `max_frame_bytes`.

    Raises
    ------
    ImagingFailed
        Naming the attribute.
    """
    if not 1 <= description.rows <= _MAX_EDGE or not 1 <= description.columns <= _MAX_EDGE:
        raise ImagingFailed("Rows or Columns are missing or out of range")
    if description.samples_per_pixel not in (1, 3, 4):
        raise ImagingFailed("Samples per Pixel is neither 1, 3 nor 4")
    if description.bits_allocated not in _BITS_ALLOCATED:
        raise ImagingFailed("Bits Allocated is neither 1, 8, 16, 32 nor 64")
    if not 1 <= description.bits_stored <= description.bits_allocated:
        raise ImagingFailed("Bits Stored is more than Bits Allocated")
    if not description.bits_stored - 1 <= description.high_bit < description.bits_allocated:
        raise ImagingFailed("High Bit does not fit Bits Stored and Bits Allocated")
    if description.frame_bytes > max_frame_bytes:
        raise ImagingFailed(f"a frame is over the limit of {max_frame_bytes} bytes")


def _read_number(data_set: pydicom.Dataset | Mapping[str, Any], keyword: str, default: int) -> int:
    try:
        value = data_set.get(keyword)
        return default if value is None or value == "" else int(value)
    except Exception as error:
        raise ImagingFailed(f"{keyword} is no number") from error


def _read_text(data_set: pydicom.Dataset | Mapping[str, Any], keyword: str) -> str:
    try:
        return str(data_set.get(keyword) or "").strip(" \0").upper()
    except Exception as error:
        raise ImagingFailed(f"{keyword} cannot be read") from error


def _guess_photometric(samples: int) -> str:
    return _MONOCHROME if samples == 1 else "RGB"


def _find_float_width(data_set: pydicom.Dataset | Mapping[str, Any]) -> int:
    return 64 if "DoubleFloatPixelData" in data_set else 32 if "FloatPixelData" in data_set else 0


def _is_float(data_set: pydicom.Dataset | Mapping[str, Any], allocated: int) -> bool:
    """Whether samples are floats: the float pixel modules have no Pixel Representation (PS3.3 §C.7.6.24)."""
    if "PixelData" in data_set:
        return False
    return allocated in (32, 64) and (_find_float_width(data_set) > 0 or "PixelRepresentation" not in data_set)


def name_decoded(description: ImageDescription) -> str:
    """The Photometric Interpretation of decoded frames, by what the data set says alone.

    Each pixel has chrominance of its own then, and the transforms of JPEG 2000 and JPEG XL are undone.
    """
    name = description.photometric_interpretation
    return _DECODED_NAMES.get(name, name)


def is_native(transfer_syntax_uid: str) -> bool:
    """Whether frames of this transfer syntax are stored as bare samples."""
    return not get_transfer_syntax(transfer_syntax_uid).encapsulated
