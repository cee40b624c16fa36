"""Metadata: the whole data set of each instance, bulk values by reference (PS3.18 §10.4.1.1.2, §10.4.3.3.2).

Instances are streamed through a tokenizer; what may be long is dropped as it passes and leaves a Bulkdata URI.
The URI names the instance and the tag path, so it resolves after a restart as before one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import structlog

from gateway.codecs.dicom_json import JsonModelBuilder
from gateway.dimse.archive import Archive
from gateway.errors import DecodeError
from gateway.resources import ResourcePath
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.received_instance import ReceivedInstance
from gateway.services.retrieve.service import RetrieveService
from gateway.services.retrieve.transfer_demand import AS_STORED

__all__ = ["INLINE_BYTES", "MetadataService", "MetadataStream"]

INLINE_BYTES = 1_024
"""Longer values of the VRs that permit it become Bulkdata URIs."""

SOP_INSTANCE_UID = "00080018"

Model = dict[str, Any]

_log = structlog.get_logger(__name__)


class MetadataStream:
    """The metadata of the instances of one target; iterated once."""

    def __init__(self, archive: Archive, instances: Instances, base_url: str) -> None:
        self._archive = archive
        self._instances = instances
        self._base_url = base_url

    @property
    def unavailable(self) -> tuple[str, ...]:
        """SOP Instance UIDs known to be missing before the first byte."""
        return self._instances.unavailable

    @property
    def expected(self) -> int:
        """Instances of the target."""
        return self._instances.expected

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[ResourcePath, Model]:
        """Give the next instance's path and its data set in the DICOM JSON Model.

        Of an instance that cannot be read to its end, what stands before the damage is given: one bad instance
        must not hide the rest of its series.

        Raises
        ------
        UndecodableResponse
            The damage stands before the SOP Instance UID, so that nothing useful is left.
        BackendError
            As ``Instances``.
        """
        instance = await self._instances.__anext__()
        return instance.path, await self._read(instance)

    async def _read(self, instance: ReceivedInstance) -> Model:
        prefix = f"{self._base_url}{instance.path.url_path}/bulkdata/"
        builder = JsonModelBuilder(
            instance.transfer_syntax_uid,
            bulkdata_uri=lambda path: prefix + path,
            inline_limit=INLINE_BYTES,
            default_character_set=self._archive.settings.default_character_set,
        )
        try:
            while (piece := await instance.read_piece()) is not None:
                builder.feed(piece)
            return builder.finish()
        except DecodeError as error:
            model = builder.salvage()
            if SOP_INSTANCE_UID not in model:
                raise instance.undecodable(error) from error
            _log.warning("metadata_cut_short", backend=self._archive.name, offset=error.offset, tag=error.path)
            return model


class MetadataService:
    """Retrieves metadata from one archive."""

    def __init__(self, archive: Archive, retrieve: RetrieveService) -> None:
        self._archive = archive
        self._retrieve = retrieve

    @asynccontextmanager
    async def open_metadata(self, path: ResourcePath, base_url: str) -> AsyncIterator[MetadataStream]:
        """Fetch the metadata under `path`; the first instance has begun to arrive when the block begins.

        Parameters
        ----------
        base_url
            Absolute URL of the service root, for Bulkdata URIs.

        Raises
        ------
        UnknownResource, BackendError
            As ``RetrieveService.open_instances``.
        """
        async with self._retrieve.open_instances(path, AS_STORED) as instances:
            yield MetadataStream(self._archive, instances, base_url)
