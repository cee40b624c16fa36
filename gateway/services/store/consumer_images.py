"""Bulk parts in consumer formats (PNG, GIF), transformed to native pixel data in a worker process.

The file and what it becomes are in memory while that happens, each within a limit: an exception to streaming that
decoding makes necessary. Used by ``metadata_request.py`` (PS3.18 §10.5.2, Table 10.5.2-1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import ImagingFailed, MalformedBody, TooLarge
from gateway.imaging.workers import ImagingWorkers

if TYPE_CHECKING:
    from gateway.imaging.consumer_images import ConsumerImage

__all__ = ["CONSUMER_TYPES", "ConsumerImages"]

CONSUMER_TYPES = frozenset({"image/gif", "image/png"})
"""Media types that no transfer syntax has."""


class ConsumerImages:
    """Transforms images.

    Parameters
    ----------
    workers
        Where codecs run.
    max_bytes
        Longest file, and most bytes of what it becomes.
    """

    def __init__(self, workers: ImagingWorkers, max_bytes: int) -> None:
        self._workers = workers
        self.max_bytes = max_bytes

    async def transform(self, media_type: str, data: bytes) -> ConsumerImage:
        """Decode a file, which is no longer than `max_bytes`.

        Raises
        ------
        MalformedBody
            It cannot be decoded, or is over a limit then; says why.
        """
        from gateway.imaging.consumer_images import read_consumer_image  # codecs, which a start need not wait for

        try:
            return await self._workers.run(read_consumer_image, media_type, data, self.max_bytes)
        except ImagingFailed as failure:
            raise MalformedBody(f"an image cannot be stored: {failure.reason}") from failure

    def check_length(self, length: int) -> None:
        """Refuse a file over the limit.

        Raises
        ------
        TooLarge
            It is.
        """
        if length > self.max_bytes:
            raise TooLarge("an image that is to be decoded", self.max_bytes)
