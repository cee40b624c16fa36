"""The metadata of a study, series or instance as it is kept, with what says whether it still holds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.errors import DecodeError
from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.inventory import Inventory
from gateway.services.retrieve.inventories.validators import Validator
from gateway.services.retrieve.metadata.documents import MetadataDocument

__all__ = ["MetadataEntry"]


@dataclass(slots=True, eq=False)
class MetadataEntry:
    """What was retrieved, and when it was last found to hold.

    Parameters
    ----------
    generation
        A name that no other retrieval has; it stands in entity tags.
    filled_at
        Seconds of the wall clock, since it is compared after a restart too.
    documents
        By SOP Instance UID, in the order in which they came.
    validated_at, inventoried_at
        Seconds of a clock that never goes back: when the archive was last asked for the validator, and for the UIDs.
    """

    path: ResourcePath
    generation: str
    validator: Validator
    filled_at: float
    documents: dict[str, MetadataDocument]
    validated_at: float = -math.inf
    inventoried_at: float = -math.inf

    @property
    def size(self) -> int:
        """Bytes of memory, about."""
        return sum(document.size for document in self.documents.values())

    def select(self, path: ResourcePath) -> list[MetadataDocument]:
        """The documents under `path`."""
        if path.instance is not None:
            document = self.documents.get(path.instance)
            return [document] if document is not None and document.path == path else []
        return [
            document
            for document in self.documents.values()
            if document.path.study == path.study and path.series in (None, document.path.series)
        ]

    def matches(self, inventory: Inventory) -> bool:
        """Whether these are the instances that the archive holds."""
        held = {uid: instance.path for uid, instance in inventory.instances.items()}
        return held == {uid: document.path for uid, document in self.documents.items()}

    def encode(self) -> bytes:
        """The entry as bytes: a line that says what it is, then the documents one after the other."""
        documents = self.documents.values()
        head = {
            "path": _list_uids(self.path),
            "generation": self.generation,
            "validator": [self.validator.digest, self.validator.tells_counts],
            "filled_at": self.filled_at,
            "documents": [[*_list_uids(document.path), len(document.template)] for document in documents],
        }
        return orjson.dumps(head) + b"\n" + b"".join(document.template for document in documents)

    @classmethod
    def decode(cls, data: bytes) -> MetadataEntry:
        """Read what `encode` made; it has to be validated before it is used.

        Raises
        ------
        DecodeError
            It is something else.
        """
        line, _, content = data.partition(b"\n")
        try:
            head = orjson.loads(line)
            documents = _cut(head["documents"], content)
            path, validator = ResourcePath(*head["path"]), Validator(*head["validator"])
            return cls(path, head["generation"], validator, head["filled_at"], documents)
        except (ValueError, TypeError, KeyError) as error:
            raise DecodeError("not an entry of the metadata cache") from error


def _list_uids(path: ResourcePath) -> list[str | None]:
    return [path.study, path.series, path.instance]


def _cut(described: list[list[Any]], content: bytes) -> dict[str, MetadataDocument]:
    documents, position = {}, 0
    for *uids, length in described:
        path = ResourcePath(*uids)
        documents[path.instance or ""] = MetadataDocument(path, content[position : position + length])
        position += length
    if position != len(content):
        raise ValueError("documents end early or late")
    return documents
