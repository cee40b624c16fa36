"""A sandbox archive with one CT instance, and our application entity that probes it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread

from gateway.config import GatewaySettings
from gateway.dimse.application_entity import run_application_entity
from gateway.dimse.archive import Archive
from gateway.probes.diagnosis import Listener
from gateway.sandbox import SandboxArchive
from tests.support.samples import sample_files

__all__ = ["CT_FILE", "SHORT_WAITS", "add_copy", "open_archive"]

SHORT_WAITS = dict.fromkeys(
    ("associate_timeout_s", "response_timeout_s", "retrieve_timeout_s", "cancel_timeout_s", "move_grace_s"), 1.0
)
"""For archives that stall."""

CT_FILE = next(path for path in sample_files() if path.name == "CT_small.dcm")
"""From the pydicom package: Explicit VR Little Endian, 39 kB."""


def add_copy(sandbox: SandboxArchive, folder: Path, uid: str, **attributes: Any) -> None:
    """Add a changed copy of the CT; `uid` is that of instance, its parents' are made from it."""
    instance = dcmread(CT_FILE)
    study, series = uid.rsplit(".", 2)[0], uid.rsplit(".", 1)[0]
    instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.SOPInstanceUID = study, series, uid
    instance.file_meta.MediaStorageSOPInstanceUID = uid
    for keyword, value in attributes.items():
        setattr(instance, keyword, value)
    path = folder / f"{uid}.dcm"
    instance.save_as(path)
    sandbox.index.add_file(path)


@asynccontextmanager
async def open_archive(
    sandbox: SandboxArchive, *, is_known: bool = True, listen: str | None = "127.0.0.1:0", **backend: Any
) -> AsyncIterator[tuple[Archive, Listener]]:
    """The sandbox as our archive ``main``; it knows us as move destination if `is_known`."""
    main = {"ae_title": "SANDBOX", "host": "127.0.0.1", "port": sandbox.port, **backend}
    settings = GatewaySettings(dimse={"listen": listen}, backends={"main": main})
    async with run_application_entity(settings) as entity:
        if is_known:
            sandbox.add_move_destination("GATEWAY", "127.0.0.1", entity.acceptor.port)
        yield entity.archives["main"], Listener(f"127.0.0.1:{entity.acceptor.port}")
