"""Metadata: the whole data set of each instance, bulk values by reference (PS3.18 §10.4.1.1.2, §10.4.3.3.2).

Instances are streamed through a tokenizer; what may be long is dropped as it passes and leaves a Bulkdata URI.
The URI names the instance and the tag path, so it resolves after a restart as before one. What was read is kept in
``metadata/cache.py`` where there is one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from gateway.codecs import Buffer
from gateway.codecs.dicom_json import JSON
from gateway.codecs.dicom_xml import XML
from gateway.codecs.fragment_memo import Form
from gateway.dimse.archive import Archive
from gateway.resources import ResourcePath
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.metadata.cache import KeptMetadata, MetadataCache
from gateway.services.retrieve.metadata.documents import INLINE_BYTES, DocumentReader, render_json
from gateway.services.retrieve.service import RetrieveService

__all__ = ["INLINE_BYTES", "MetadataService", "MetadataStream"]


class MetadataStream(Protocol):
    """The metadata of the instances of one target; iterated once, in one of two ways.

    Both raise while iterating: ``UndecodableResponse`` where an instance is damaged before its SOP Instance UID, so
    that nothing useful is left of it, and ``BackendError`` as ``Instances``. Of an instance that is damaged later,
    what stands before the damage is given.
    """

    @property
    def unavailable(self) -> tuple[str, ...]:
        """SOP Instance UIDs known to be missing before the first byte."""

    @property
    def expected(self) -> int:
        """Instances of the target; 0 as long as the archive has not listed them."""

    @property
    def generation(self) -> str | None:
        """Name of the retrieval it comes from, the same as long as what is kept of it holds; None if nothing is."""

    def iter_json(self) -> AsyncGenerator[Buffer, None]:
        """Yield JSON objects, one or several with commas between them."""

    def iter_xml(self) -> AsyncGenerator[tuple[ResourcePath, bytes], None]:
        """Yield each instance's path and its Native XML document."""


class _PassingMetadata:
    """Metadata straight from the archive, at the pace of the client."""

    generation = None

    def __init__(self, archive: Archive, instances: Instances, base_url: str) -> None:
        self._archive = archive
        self._instances = instances
        self._base_url = base_url

    @property
    def unavailable(self) -> tuple[str, ...]:
        return self._instances.unavailable

    @property
    def expected(self) -> int:
        return self._instances.expected

    async def iter_json(self) -> AsyncGenerator[Buffer, None]:
        async for _, document in self._iter_documents(JSON):
            yield document

    def iter_xml(self) -> AsyncGenerator[tuple[ResourcePath, bytes], None]:
        return self._iter_documents(XML)

    async def _iter_documents(self, form: Form) -> AsyncGenerator[tuple[ResourcePath, bytes], None]:
        reader = DocumentReader(self._archive, form, self._base_url)
        async for instance in self._instances:
            document, _ = await reader.read(instance)
            yield instance.path, document


class _KeptMetadata:
    """Metadata from the cache, or on its way into it."""

    def __init__(self, kept: KeptMetadata, base_url: str) -> None:
        self._kept = kept
        self._base_url = base_url
        self.unavailable = kept.unavailable
        self.expected = kept.expected
        self.generation = kept.generation

    async def iter_json(self) -> AsyncGenerator[Buffer, None]:
        async for batch in self._kept.iter_batches():
            yield render_json(batch, self._base_url)

    async def iter_xml(self) -> AsyncGenerator[tuple[ResourcePath, bytes], None]:
        async for batch in self._kept.iter_batches():
            for document in batch:
                yield document.path, document.render_xml(self._base_url)


class MetadataService:
    """Retrieves metadata from one archive, by way of `cache` where there is one."""

    def __init__(self, archive: Archive, retrieve: RetrieveService, cache: MetadataCache | None = None) -> None:
        self._archive = archive
        self._retrieve = retrieve
        self._cache = cache

    @property
    def keeps(self) -> bool:
        """Whether metadata is kept, so that there are generations."""
        return self._cache is not None

    def peek_generation(self, path: ResourcePath) -> str | None:
        """Name of the retrieval whose metadata of `path` is kept, without asking whether it holds; None without any."""
        entry = None if self._cache is None else self._cache.peek(path)
        return None if entry is None else entry.generation

    async def find_generation(self, path: ResourcePath) -> str | None:
        """The same, once the archive has said that it holds.

        Raises
        ------
        BackendError
            The archive could not be asked.
        """
        entry = None if self._cache is None else await self._cache.find(path)
        return None if entry is None else entry.generation

    def open_metadata(self, path: ResourcePath, base_url: str) -> AbstractAsyncContextManager[MetadataStream]:
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
        if self._cache is None:
            return self._open_passing(path, base_url)
        return _open_kept(self._cache, path, base_url)

    @asynccontextmanager
    async def _open_passing(self, path: ResourcePath, base_url: str) -> AsyncIterator[MetadataStream]:
        async with self._retrieve.partial.open_headers(path) as instances:
            yield _PassingMetadata(self._archive, instances, base_url)


@asynccontextmanager
async def _open_kept(cache: MetadataCache, path: ResourcePath, base_url: str) -> AsyncIterator[MetadataStream]:
    async with cache.open(path) as kept:
        yield _KeptMetadata(kept, base_url)
