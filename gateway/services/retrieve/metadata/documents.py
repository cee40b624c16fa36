"""The metadata of one instance as a JSON or XML document: on its way through, and as JSON that can be kept.

A document is kept without the address of the service, which differs between clients: where it belongs stands a byte
that no UTF-8 text contains.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import orjson
import structlog

from gateway.codecs.data_set_encoder import DataSetEncoder
from gateway.codecs.dicom_json import JSON
from gateway.codecs.dicom_xml import encode_native_xml
from gateway.codecs.fragment_memo import Form, FragmentMemo
from gateway.codecs.omitted_values import restore_elements
from gateway.dimse.archive import Archive
from gateway.errors import DecodeError
from gateway.resources import ResourcePath
from gateway.services.retrieve.received_instance import ReceivedInstance

__all__ = ["INLINE_BYTES", "DocumentReader", "MetadataDocument", "TemplateReader", "render_json"]

INLINE_BYTES = 1_024
"""Longer values of the VRs that permit it become Bulkdata URIs."""

SOP_INSTANCE_UID = 0x00080018

_ADDRESS = b"\xff"
"""Stands for the address of the service."""

_STAND_IN = f"address-{secrets.token_hex(16)}"
"""The same in a URI, where only text can be: nobody outside this process knows it, so no value contains it."""

_OVERHEAD_BYTES = 700

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MetadataDocument:
    """The DICOM JSON of one instance, ``FF`` in place of the address of the service."""

    path: ResourcePath
    template: bytes

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return len(self.template) + _OVERHEAD_BYTES

    def render_xml(self, base_url: str) -> bytes:
        """The same as a Native XML document, Bulkdata URIs below `base_url`."""
        return encode_native_xml(orjson.loads(render_json([self], base_url)))


def render_json(documents: Iterable[MetadataDocument], base_url: str) -> bytes:
    """`documents` as JSON objects with commas between them, Bulkdata URIs below `base_url`."""
    address = orjson.dumps(base_url)[1:-1]
    return b",".join(document.template for document in documents).replace(_ADDRESS, address)


class DocumentReader:
    """Reads the instances of one target as documents; what they have in common is encoded once.

    Parameters
    ----------
    form : Form
        ``JSON`` or ``XML``.
    base_url : str
        What Bulkdata URIs are below.
    """

    def __init__(self, archive: Archive, form: Form, base_url: str) -> None:
        self._archive = archive
        self._memo = FragmentMemo(form)
        self._base_url = base_url

    async def read(self, instance: ReceivedInstance) -> tuple[bytes, bool]:
        """Read an instance to its end; its document, and whether it could be read to its end.

        Of an instance that cannot, what stands before the damage is given: one bad instance must not hide the rest
        of its series.

        Raises
        ------
        UndecodableResponse
            The damage stands before the SOP Instance UID, so that nothing useful is left.
        BackendError
            The archive failed in the middle.
        """
        prefix = f"{self._base_url}{instance.path.url_path}/bulkdata/"
        encoder = DataSetEncoder(
            instance.transfer_syntax_uid,
            self._memo,
            bulkdata_uri=lambda path: prefix + path,
            inline_limit=INLINE_BYTES,
            default_character_set=self._archive.settings.default_character_set,
        )
        try:
            while (piece := await instance.read_piece()) is not None:
                encoder.feed(piece)
            if instance.lacks_bulk_data:
                encoder.feed(restore_elements(instance.transfer_syntax_uid, encoder.has_element))
            return encoder.finish(), True
        except DecodeError as error:
            if not encoder.has_element(SOP_INSTANCE_UID):
                raise instance.undecodable(error) from error
            _log.warning("metadata_cut_short", backend=self._archive.name, offset=error.offset, tag=error.path)
            return encoder.salvage(), False


class TemplateReader:
    """The same as documents to keep."""

    def __init__(self, archive: Archive) -> None:
        self._reader = DocumentReader(archive, JSON, _STAND_IN)

    async def read(self, instance: ReceivedInstance) -> tuple[MetadataDocument, bool]:
        """As ``DocumentReader.read``."""
        text, is_whole = await self._reader.read(instance)
        return MetadataDocument(instance.path, text.replace(_STAND_IN.encode(), _ADDRESS)), is_whole
