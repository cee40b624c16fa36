"""One instance as a DICOM file in another transfer syntax (PS3.10 §7.1). Called by ``web``."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from gateway.codecs import Buffer
from gateway.codecs.part10 import encode_file_meta
from gateway.errors import DecodeError
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.transcode.transcoder import Transcoder

__all__ = ["iter_converted_part10"]


async def iter_converted_part10(
    instance: ReceivedInstance, transcoder: Transcoder, transfer_syntax_uid: str
) -> AsyncGenerator[Buffer, None]:
    """Yield preamble, File Meta Information and the converted data set.

    Nothing comes before the first frame is converted.

    Raises
    ------
    NotAcceptable
        The image cannot be converted without harm; before the first piece.
    ImagingFailed
        A frame cannot be decoded.
    UndecodableResponse
        The data set cannot be read.
    BackendError
        The archive failed in the middle.
    """
    pieces = transcoder.convert(instance.read_piece, instance.transfer_syntax_uid, transfer_syntax_uid)
    meta = encode_file_meta(
        instance.sop_class_uid,
        instance.path.instance or "",
        transfer_syntax_uid,
        source_ae_title=instance.ae_title,
    )
    async with aclosing(pieces):
        try:
            async for piece in pieces:
                if meta:
                    yield meta
                    meta = b""
                yield piece
            if meta:  # a data set without elements
                yield meta
        except DecodeError as error:
            raise instance.undecodable(error) from error
