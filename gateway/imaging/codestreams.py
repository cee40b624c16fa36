"""What the headers of compressed frames say, read before a codec sees them.

A codec allocates what the header asks for. So the header is compared with the attributes of the data set first, and
what does not agree is refused. JPEG and JPEG-LS: ITU-T T.81 §B.2.2, T.87 §C; JPEG 2000: T.800 §A.5.1, §A.6.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from struct import unpack_from

from gateway.errors import ImagingFailed
from gateway.imaging.description import ImageDescription

__all__ = ["CodestreamHeader", "check_end", "check_header", "read_jpeg_2000_header", "read_jpeg_header"]

_START_OF_IMAGE, _END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
_TAIL = 64  # some writers pad fragments to more than an even length
_SOF_LOSSLESS, _SOF_JPEG_LS = 0xC3, 0xF7
_SOF = frozenset({*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), _SOF_JPEG_LS})
_SOS = 0xDA
_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})
_J2K_START = b"\xff\x4f\xff\x51"
_COD, _SOT = 0x52, 0x90
_MAX_JP2_HEADER = 65_536


@dataclass(frozen=True, slots=True)
class CodestreamHeader:
    """What a compressed frame says of itself.

    Parameters
    ----------
    rows, columns, samples : int
        Its size.
    bits : int
        Precision of a sample.
    is_signed : bool
        JPEG 2000 alone can say so.
    is_lossy : bool
        As far as the header tells: reversible coding of data that lost precision before looks lossless.
    """

    rows: int
    columns: int
    samples: int
    bits: int
    is_signed: bool = False
    is_lossy: bool = False


def check_header(header: CodestreamHeader, description: ImageDescription) -> None:
    """Refuse a codestream that is not the frame the data set describes.

    Raises
    ------
    ImagingFailed
        Rows, columns or samples differ, or a sample does not fit Bits Allocated.
    """
    if (header.rows, header.columns) != (description.rows, description.columns):
        raise ImagingFailed("the compressed frame has other dimensions than the data set says")
    if header.samples != description.samples_per_pixel:
        raise ImagingFailed("the compressed frame has another number of samples than the data set says")
    if not 1 <= header.bits <= description.bits_allocated:
        raise ImagingFailed("the compressed frame has more bits than Bits Allocated")


def check_end(data: bytes) -> None:
    """Refuse a JPEG, JPEG-LS or JPEG 2000 stream that was cut: some codecs fill up what is missing.

    Raises
    ------
    ImagingFailed
        The end of image marker is not where the padding begins.
    """
    if not data[-_TAIL:].rstrip(b"\0\xff").endswith(_END_OF_IMAGE):
        raise ImagingFailed("the compressed frame is cut short")


def read_jpeg_header(data: bytes) -> CodestreamHeader:
    """Read the header of a JPEG or JPEG-LS stream.

    Raises
    ------
    ImagingFailed
        It is no such stream, or ends before its frame header.
    """
    if not data.startswith(_START_OF_IMAGE):
        raise ImagingFailed("the frame is no JPEG stream")
    header, is_jpeg_ls = None, False
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise ImagingFailed("the JPEG stream has no marker where one belongs")
        marker = data[position + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        length = unpack_from(">H", data, position + 2)[0]
        body = data[position + 4 : position + 2 + length]
        if marker in _SOF:
            header, is_jpeg_ls = _read_frame_header(marker, body), marker == _SOF_JPEG_LS
        elif marker == _SOS and header is not None:
            return replace(header, is_lossy=_find_near(body) > 0) if is_jpeg_ls else header
        position += 2 + length
    raise ImagingFailed("the JPEG stream has no frame header")


def read_jpeg_2000_header(data: bytes) -> CodestreamHeader:
    """Read the header of a JPEG 2000 or HTJ2K codestream, bare or in a JP2 file.

    Raises
    ------
    ImagingFailed
        It is no such codestream, or its components differ in size or depth.
    """
    start = 0 if data.startswith(_J2K_START) else data.find(_J2K_START, 0, _MAX_JP2_HEADER)
    if start < 0 or len(data) < start + 44:
        raise ImagingFailed("the frame is no JPEG 2000 codestream")
    right, bottom, left, top = unpack_from(">4I", data, start + 8)
    samples = unpack_from(">H", data, start + 40)[0]
    components = data[start + 42 : start + 42 + 3 * samples]
    if not 1 <= samples <= 4 or len(components) < 3 * samples or components[3:] != components[:3] * (samples - 1):
        raise ImagingFailed("the components of the JPEG 2000 codestream are not alike")
    if components[1:3] != b"\x01\x01" or right <= left or bottom <= top:
        raise ImagingFailed("the JPEG 2000 codestream is subsampled or empty")
    return CodestreamHeader(
        bottom - top,
        right - left,
        samples,
        (components[0] & 0x7F) + 1,
        is_signed=components[0] >= 0x80,
        is_lossy=_is_irreversible(data, start),
    )


def _read_frame_header(marker: int, body: bytes) -> CodestreamHeader:
    if len(body) < 6:
        raise ImagingFailed("the JPEG frame header is cut short")
    bits, rows, columns, samples = unpack_from(">BHHB", body)
    return CodestreamHeader(rows, columns, samples, bits, is_lossy=marker not in (_SOF_LOSSLESS, _SOF_JPEG_LS))


def _find_near(scan: bytes) -> int:
    """NEAR of a JPEG-LS scan header, 0 for lossless (T.87 §C.2.3)."""
    place = 1 + 2 * scan[0] if scan else 0
    return scan[place] if place < len(scan) else 0


def _is_irreversible(data: bytes, start: int) -> bool:
    """Whether the coding style default names the 9-7 wavelet (T.800 Table A.20)."""
    position = start + 2
    while position + 14 <= len(data) and data[position] == 0xFF and data[position + 1] != _SOT:
        if data[position + 1] == _COD:
            return data[position + 13] == 0
        position += 2 + int(unpack_from(">H", data, position + 2)[0])
    return False
