"""Consumer formats to native pixel data: in a worker, within a limit, and refused in words."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from gateway.errors import MalformedBody, TooLarge
from gateway.imaging import consumer_images
from gateway.imaging.workers import ImagingWorkers
from gateway.services.store.consumer_images import CONSUMER_TYPES, ConsumerImages


async def test_an_image_is_decoded_in_a_worker_process() -> None:
    buffer = BytesIO()
    Image.new("L", (5, 4), 7).save(buffer, "PNG")
    workers = ImagingWorkers(1)
    try:
        images = ConsumerImages(workers, 20)
        found = await images.transform("image/png", buffer.getvalue())
        assert (found.rows, found.columns, found.pixels) == (4, 5, bytes([7]) * 20)
        assert len(workers.process_ids) == 1
        with pytest.raises(MalformedBody, match="more than 19 bytes"):
            await ConsumerImages(workers, 19).transform("image/png", buffer.getvalue())
        with pytest.raises(MalformedBody, match="image/gif"):
            await images.transform("image/gif", buffer.getvalue())
    finally:
        await workers.close()


def test_files_have_a_limit() -> None:
    images = ConsumerImages(ImagingWorkers(1), 20)
    images.check_length(20)
    with pytest.raises(TooLarge):
        images.check_length(21)


def test_the_types_are_those_that_can_be_decoded() -> None:
    assert CONSUMER_TYPES == consumer_images.CONSUMER_TYPES
