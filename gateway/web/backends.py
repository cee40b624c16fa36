"""What the handlers of one backend work with, and where they find it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config import HttpSettings
from gateway.services.commitment.service import CommitmentService
from gateway.services.contracts import SearchService
from gateway.services.rendered.service import RenderedService
from gateway.services.retrieve.metadata.service import MetadataService
from gateway.services.retrieve.pixels.pixel_stream import PixelDataService
from gateway.services.retrieve.service import RetrieveService
from gateway.services.store.service import StoreService
from gateway.web.conditional import METADATA_CACHING
from gateway.web.conversions import Conversions
from gateway.web.urls import service_path

__all__ = ["BackendServices"]


@dataclass(frozen=True, slots=True)
class BackendServices:
    """The services of one archive, as ``app.py`` made them.

    Parameters
    ----------
    name, ae_title
        Of the backend and of its archive.
    is_default
        Whether it also answers below ``/dicomweb``.
    conversions
        Into transfer syntaxes that the archive does not deliver.
    verify
        Asks the archive whether it answers; raises BackendError if not.
    describe
        Figures for the status page: associations open, idle, waiting.
    pixel_caching
        Cache-Control of instances, frames and bulk data whose metadata is kept.
    """

    name: str
    ae_title: str
    is_default: bool
    http: HttpSettings
    search: SearchService
    retrieve: RetrieveService
    metadata: MetadataService
    pixel_data: PixelDataService
    conversions: Conversions
    rendered: RenderedService
    store: StoreService
    commitment: CommitmentService
    verify: Callable[[], Awaitable[None]]
    describe: Callable[[], Mapping[str, Any]]
    pixel_caching: str = METADATA_CACHING

    @property
    def path(self) -> str:
        """Path of its service root."""
        return service_path(None if self.is_default else self.name)
