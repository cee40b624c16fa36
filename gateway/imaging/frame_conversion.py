"""One frame through a decoder and an encoder, as ``conversion`` has planned it. Runs in worker processes."""

from __future__ import annotations

from gateway.errors import ImagingFailed
from gateway.imaging.decode import decode_cells, to_rgb
from gateway.imaging.description import ImageDescription
from gateway.imaging.encode import encode_frame
from gateway.imaging.jpeg_xl import recompress_jpeg, restore_jpeg

__all__ = ["copy_stream", "reencode_frame"]

_RECOMPRESSED = "1.2.840.10008.1.2.4.111"


def copy_stream(target: ImageDescription, data: bytes) -> bytes:
    """Put a JPEG stream into JPEG XL, or take it out, byte for byte; padding is left out.

    Raises
    ------
    ImagingFailed
        It cannot be recompressed or restored.
    """
    stream = data[:-1] if data.endswith(b"\xff\xd9\0") else data
    try:
        return recompress_jpeg(stream) if target.transfer_syntax_uid == _RECOMPRESSED else restore_jpeg(stream)
    except (RuntimeError, ValueError) as error:
        raise ImagingFailed("the JPEG stream cannot be recompressed") from error


def reencode_frame(source: ImageDescription, target: ImageDescription, between: str, data: bytes) -> tuple[bytes, bool]:
    """Decode a frame, bring it into the Photometric Interpretation `between`, encode it.

    Returns
    -------
    tuple of bytes and bool
        The frame, and whether its codestream said that it had been compressed with loss.

    Raises
    ------
    ImagingFailed
        It cannot be decoded or encoded.
    """
    frame = decode_cells(source, data)
    if frame.photometric_interpretation != between:
        frame = to_rgb(frame)
    return encode_frame(frame, target, target.transfer_syntax_uid), frame.is_lossy
