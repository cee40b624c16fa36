"""Retrieve: instances and metadata (PS3.18 §10.4). Thin: negotiate, fetch, write."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from aiohttp import hdrs, web

from gateway.codecs import Buffer
from gateway.services.retrieve.instances import Instances
from gateway.services.retrieve.metadata.service import MetadataStream
from gateway.web.backends import BackendServices
from gateway.web.conditional import METADATA_CACHING, answer_unchanged
from gateway.web.conversions import ALL_TARGETS
from gateway.web.negotiation import (
    AcceptableInstances,
    DocumentForm,
    InstanceFrame,
    InstanceRepresentation,
    negotiate_metadata,
)
from gateway.web.retrieve_answers import RetrieveAnswers, judge_validity, read_accept, read_path
from gateway.web.retrieve_bulk import BulkHandlers
from gateway.web.streaming import ArchivedFile, Part, stream_json_array, stream_zip
from gateway.web.transfer_demands import demand_instances, demand_zip, find_instance_frame

__all__ = ["RetrieveHandlers"]


class RetrieveHandlers:
    """Answers the Retrieve transaction of one backend."""

    def __init__(self, backend: BackendServices) -> None:
        self._backend = backend
        self._answers = RetrieveAnswers(backend)
        self.bulk = BulkHandlers(backend, self._answers)
        self._ways = {
            InstanceFrame.FILES: self._retrieve_files,
            InstanceFrame.ZIP: self._retrieve_zip,
            InstanceFrame.BULKDATA: self.bulk.retrieve_all_bulkdata,
        }

    # --- instances ---

    async def retrieve_instances(self, request: web.Request) -> web.StreamResponse:
        """A study, a series or an instance, in what the client takes it in (§10.4.1.1.1)."""
        level = read_path(request).level
        frame = find_instance_frame(*read_accept(request), level=level, require_accept=self._answers.require_accept)
        return await self._ways[frame](request)

    async def _retrieve_files(self, request: web.Request) -> web.StreamResponse:
        """DICOM files in a multipart, or one alone."""
        path = read_path(request)
        accepted, demand = demand_instances(
            *read_accept(request),
            level=path.level,
            require_accept=self._answers.require_accept,
            targets=ALL_TARGETS,
        )
        validity = await self._answers.find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        async with self._backend.retrieve.open_instances(path, demand) as instances:
            head = self._answers.begin_head(request, len(instances.unavailable), instances.expected, validity.headers)
            parts = self._iter_instance_parts(instances, accepted, self._answers.find_url(request))
            single = self._choose_form(accepted, instances.first.delivered_syntax).single_part
            return await self._answers.send_parts(request, parts, head, single=single)

    async def _retrieve_zip(self, request: web.Request) -> web.StreamResponse:
        """DICOM files in a ZIP archive: ``study/series/instance.dcm``."""
        path = read_path(request)
        accepted, demand = demand_zip(
            *read_accept(request), require_accept=self._answers.require_accept, targets=ALL_TARGETS
        )
        validity = await self._answers.find_validity(request, path)
        if validity.is_unchanged:
            return answer_unchanged(validity.headers)
        async with self._backend.retrieve.open_instances(path, demand) as instances:
            head = self._answers.begin_head(request, len(instances.unavailable), instances.expected, validity.headers)
            name = path.instance or path.series or path.study
            head.headers[hdrs.CONTENT_DISPOSITION] = f'attachment; filename="{name}.zip"'
            files = self._iter_files(instances, accepted)
            return await stream_zip(request, files, head, stall_s=self._answers.stall_s)

    async def _iter_instance_parts(
        self, instances: Instances, accepted: AcceptableInstances, url: str
    ) -> AsyncGenerator[Part, None]:
        forms: dict[str, InstanceRepresentation] = {}
        async for instance in instances:
            syntax = instance.delivered_syntax
            form = forms.get(syntax)
            if form is None:
                form = forms[syntax] = self._choose_form(accepted, syntax)
            pieces = self._backend.conversions.iter_part10(instance, form.transfer_syntax)
            yield Part(form.content_type, url + instance.path.url_path, pieces)

    async def _iter_files(
        self, instances: Instances, accepted: AcceptableInstances
    ) -> AsyncGenerator[ArchivedFile, None]:
        async for instance in instances:
            form = self._choose_form(accepted, instance.delivered_syntax)
            pieces = self._backend.conversions.iter_part10(instance, form.transfer_syntax)
            path = instance.path
            yield ArchivedFile(f"{path.study}/{path.series}/{path.instance}.dcm", pieces)

    def _choose_form(self, accepted: AcceptableInstances, delivered_syntax: str) -> InstanceRepresentation:
        return accepted.choose(delivered_syntax, self._backend.conversions.list_targets(delivered_syntax))

    # --- metadata ---

    async def retrieve_metadata(self, request: web.Request) -> web.StreamResponse:
        """The data sets of a study, a series or an instance, bulk values by reference (§10.4.1.1.2)."""
        path = read_path(request)
        form = negotiate_metadata(*read_accept(request), level=path.level, require_accept=self._answers.require_accept)
        url = self._answers.find_url(request)
        async with self._backend.metadata.open_metadata(path, url) as metadata:
            representation = (form.media_type, form.form.name, url)
            validity = judge_validity(request, metadata.generation, METADATA_CACHING, *representation, exists=True)
            if validity.is_unchanged:
                return answer_unchanged(validity.headers)
            head = self._answers.begin_head(request, len(metadata.unavailable), metadata.expected, validity.headers)
            if form.form is DocumentForm.JSON:
                return await stream_json_array(
                    request, metadata.iter_json(), head, content_type=form.media_type, stall_s=self._answers.stall_s
                )
            parts = _iter_xml_parts(metadata, url, form.media_type)
            return await self._answers.send_parts(request, parts, head, single=form.form is DocumentForm.XML_DOCUMENT)


async def _iter_xml_parts(metadata: MetadataStream, url: str, media_type: str) -> AsyncGenerator[Part, None]:
    async for path, document in metadata.iter_xml():
        yield Part(media_type, f"{url}{path.url_path}/metadata", _once(document))


async def _once(document: bytes) -> AsyncGenerator[Buffer, None]:
    yield document
