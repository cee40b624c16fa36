"""Store: a request body to instances, read a little ahead of the archive (PS3.18 §10.5, PS3.4 Annex B).

What an instance is, its head says (``incoming.py``), or metadata (``metadata_request.py``); then it passes from the
request to the archive piece by piece (``store_request.py``). While the archive digests one instance the next is read,
up to a limit (``read_ahead.py``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from gateway.config import StoreSettings
from gateway.dimse.archive import Archive
from gateway.errors import RequestError
from gateway.services.store.coercion import Coercion
from gateway.services.store.consumer_images import ConsumerImages
from gateway.services.store.incoming import BodyEvent, InstanceData, InstanceEvent, read_instances
from gateway.services.store.metadata_request import read_metadata_instances
from gateway.services.store.read_ahead import read_ahead
from gateway.services.store.results import StoreResult
from gateway.services.store.store_request import StoreRequest

__all__ = ["READ_AHEAD_BYTES", "StoreService"]

READ_AHEAD_BYTES = 1_048_576
"""Read of a request while the archive is busy: the next slice of a series and more, yet little for each request."""

_EVENT_BYTES = 1_024
"""What an event without data takes, about; it bounds how many wait, however small the parts of a request are."""


def _tell_nobody(study: str) -> None: ...


class StoreService:
    """Stores into one archive.

    Parameters
    ----------
    note_change : callable
        Called with the Study Instance UID when an instance of it was sent, however that ended: what is kept of the
        study may no longer be true.
    coercion
        What attributes every instance is given; None for none.
    images
        What transforms consumer formats among bulk data; without it they are refused.
    """

    def __init__(
        self,
        archive: Archive,
        settings: StoreSettings,
        note_change: Callable[[str], None] = _tell_nobody,
        coercion: Coercion | None = None,
        images: ConsumerImages | None = None,
    ) -> None:
        self._archive = archive
        self._settings = settings
        self._note_change = note_change
        self._coercion = coercion
        self._images = images

    async def store_instances(
        self, body: AsyncIterator[BodyEvent], study: str | None, *, metadata_url: str | None = None
    ) -> list[StoreResult]:
        """Send every instance in `body` to the archive, as it arrives.

        Leaving early (the client has gone) cuts the instance under way; those sent completely are still answered by
        the archive, in the background.

        Parameters
        ----------
        body
            Events of the request body; pulled at the pace of the archive, a little ahead of it. The caller closes it.
        study
            The Study Instance UID all instances must have, from the path; None if any will do.
        metadata_url
            URL of the request if `body` is metadata and bulk data; None if it is instances, one a part.

        Returns
        -------
        list[StoreResult]
            One entry per instance, or part that is none, in their order, and one more failure if the body ended badly
            between parts. At least one.

        Raises
        ------
        RequestError
            The body breaks multipart grammar or a limit, or its metadata and bulk data do not belong together, and
            nothing was stored.
        SpoolFailed
            Bulk data could not be kept on disk, and nothing was stored.
        BackendError, ShuttingDown
            The archive cannot be reached or broke off, and nothing was stored. Raised before the end of `body` if
            nothing in it could be stored any more.
        """
        request = StoreRequest(self._archive, self._settings, study, self._note_change, self._coercion)
        if metadata_url is None:
            reader = read_instances(body, self._settings.max_head_bytes)
        else:
            reader = read_metadata_instances(body, metadata_url, self._settings, self._images)
        try:
            async with (
                aclosing(reader) as instances,
                read_ahead(instances, _measure, READ_AHEAD_BYTES) as events,
            ):
                async for event in events:
                    await request.take(event, more=events.is_waiting)
        except RequestError as error:
            await request.end_early(error)
        except BaseException:
            await request.abandon()
            raise
        return await request.conclude()


def _measure(event: InstanceEvent) -> int:
    """About the bytes that waiting for its turn costs."""
    return len(event.data) if isinstance(event, InstanceData) else _EVENT_BYTES
