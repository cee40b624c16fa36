"""Icons: pixel data inside sequences, which is compressed along with the image and has to be undone with it.

Where the image leaves its syntax, the icon cannot stay behind in it; native is allowed in every syntax (PS3.5 §A.4). An
icon is small, so pydicom reads and writes its sequence whole. Called in worker processes for ``services/transcode``;
they alone load pydicom and the codecs.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from gateway.errors import ImagingFailed

if TYPE_CHECKING:
    import pydicom

__all__ = ["MAX_ICON_BYTES", "decompress_icons"]

MAX_ICON_BYTES = 16 * 1024 * 1024
"""Longest sequence, and longest icon in it."""


def decompress_icons(sequence: bytes, transfer_syntax_uid: str) -> bytes:
    """Write one element, a sequence, again with the pixel data in its items native.

    Parameters
    ----------
    sequence : bytes
        The whole element in Explicit VR Little Endian.
    transfer_syntax_uid : str
        In which the pixel data is compressed.

    Raises
    ------
    ImagingFailed
        It cannot be read, or an icon not be decoded.
    """
    from pydicom.filebase import DicomBytesIO
    from pydicom.filereader import read_dataset
    from pydicom.filewriter import write_dataset

    if len(sequence) > MAX_ICON_BYTES:
        raise ImagingFailed("a sequence with compressed pixel data is too long")
    try:
        data_set = read_dataset(BytesIO(sequence), is_implicit_VR=False, is_little_endian=True)
        data_set.walk(lambda parent, element: _decompress(parent, element, transfer_syntax_uid))
        out = DicomBytesIO()
        out.is_implicit_VR, out.is_little_endian = False, True
        write_dataset(out, data_set)
        return out.getvalue()
    except ImagingFailed:
        raise
    except Exception as error:
        raise ImagingFailed("a sequence with compressed pixel data cannot be read") from error


def _decompress(parent: pydicom.Dataset, element: pydicom.DataElement, transfer_syntax_uid: str) -> None:
    from pydicom.encaps import generate_fragments

    from gateway.imaging.decode import decode_cells
    from gateway.imaging.description import describe_image
    from gateway.imaging.native import pack_native

    if element.tag != 0x7FE00010 or not element.is_undefined_length:
        return
    description = describe_image(parent, transfer_syntax_uid, max_frame_bytes=MAX_ICON_BYTES)
    _, *fragments = generate_fragments(element.value)
    frame = decode_cells(description, b"".join(fragments))
    native = pack_native(frame.pixels, description.bits_allocated)
    parent.PhotometricInterpretation = frame.photometric_interpretation
    if description.samples_per_pixel > 1:
        parent.PlanarConfiguration = 0
    element.VR = "OW" if description.bits_allocated > 8 else "OB"
    element.is_undefined_length = False
    element.value = native + b"\0" * (len(native) % 2)
