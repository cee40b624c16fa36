"""Whether what is kept of a study, series or instance still is what the archive holds: asked cheaply.

A validator is a digest of what the index says of a study, its patient and its series, with their numbers of
instances. As long as it stays the same, what is kept is taken for current. Nothing but the digest is kept. An archive
that tells no numbers needs the UIDs of its instances compared as well; see ``metadata/cache.py``, which does all this.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from gateway.errors import UnknownResource
from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.inventories import Inventories

__all__ = ["Validator", "take_validator"]

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Validator:
    """What the index says in short; `tells_counts` where it knows how many instances each series has."""

    digest: str
    tells_counts: bool


async def take_validator(inventories: Inventories, path: ResourcePath) -> tuple[Validator, float]:
    """The validator of what is under `path`, and when the archive was asked for it at the latest.

    Raises
    ------
    UnknownResource
        The index has no such study or series.
    BackendError
        The archive failed.
    """
    study = await inventories.take_study(path.study)
    series = await inventories.take_series(ResourcePath(path.study, path.series))
    if not study.content or not series.content:
        raise UnknownResource("study" if not study.content else "series")
    digest = blake2b(study.content.encode(), digest_size=_DIGEST_BYTES)
    for row in sorted(series.content, key=lambda row: row.uid):
        digest.update(f"\n{row.uid} {row.digest}".encode())
    tells_counts = all(row.instance_count is not None for row in series.content)
    return Validator(digest.hexdigest(), tells_counts), min(study.asked_at, series.asked_at)
