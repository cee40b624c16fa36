"""The sandbox archive filled for the demo: what ``dicomweb-gateway demo`` puts behind the gateway."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.sandbox.archive import SandboxArchive
from gateway.sandbox.studies import write_demo_studies

__all__ = ["run_sandbox"]


def run_sandbox(
    directory: Path,
    port: int = 0,
    *,
    ae_title: str = "SANDBOX",
    host: str = "127.0.0.1",
    move_destinations: Mapping[str, tuple[str, int]] | None = None,
) -> SandboxArchive:
    """Start a sandbox archive with the demo's studies in it.

    Parameters
    ----------
    directory : Path
        Kept between runs: the studies are made only if it holds no instance yet (a few seconds).
    port : int
        0 lets the system choose; `SandboxArchive.port` tells.
    move_destinations : mapping of str to (str, int), optional
        AE title to host and port.

    Returns
    -------
    SandboxArchive
        Listening; whoever called stops it.

    Raises
    ------
    OSError
        The port is taken or the directory cannot be written.
    """
    archive = SandboxArchive(directory, ae_title=ae_title, host=host, port=port, move_destinations=move_destinations)
    if not len(archive.index):
        for path in write_demo_studies(directory / "studies"):
            archive.index.add_file(path)
    archive.start()
    return archive
