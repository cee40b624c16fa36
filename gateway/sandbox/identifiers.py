"""Request identifiers of C-FIND, C-GET and C-MOVE: their level, their unique keys and what they name (PS3.4 §C.4).

Hierarchical rules hold unless relational queries were agreed: a single value for the unique key of every level
above the one asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydicom.dataset import Dataset

from gateway.sandbox.index import InstanceIndex, StoredInstance
from gateway.sandbox.negotiation import PATIENT_ROOT
from gateway.sandbox.values import read_element, read_values

__all__ = ["LEVELS", "IdentifierError", "QueryScope", "read_scope", "select_instances"]


@dataclass(frozen=True, slots=True)
class Level:
    """A query/retrieve level: its unique key, and the column of the index that holds it."""

    tag: int
    column: str


LEVELS: Mapping[str, Level] = MappingProxyType(
    {
        "PATIENT": Level(0x00100020, "patient_id"),
        "STUDY": Level(0x0020000D, "study_instance_uid"),
        "SERIES": Level(0x0020000E, "series_instance_uid"),
        "IMAGE": Level(0x00080018, "sop_instance_uid"),
    }
)


class IdentifierError(ValueError):
    """The identifier does not match the SOP class: status A900."""


@dataclass(frozen=True, slots=True)
class QueryScope:
    """The level asked for and the values of the unique keys at it and above; no values: any."""

    level: str
    unique_keys: Mapping[str, tuple[str, ...]]


def read_scope(identifier: Dataset, sop_class_uid: str, *, relational: bool) -> QueryScope:
    """Check an identifier against the information model of `sop_class_uid`.

    Raises
    ------
    IdentifierError
        No such level in this model, or hierarchical rules broken.
    """
    levels = list(LEVELS) if sop_class_uid.startswith(PATIENT_ROOT) else list(LEVELS)[1:]
    asked = [str(value) for value in read_values(read_element(identifier, 0x00080052))]
    if len(asked) != 1 or asked[0] not in levels:
        raise IdentifierError("level")
    covered = levels[: levels.index(asked[0]) + 1]
    keys = {name: _read_unique_key(identifier, LEVELS[name].tag) for name in covered}
    if not relational and any(len(keys[name]) != 1 for name in covered[:-1]):
        raise IdentifierError("unique keys of upper levels")
    return QueryScope(asked[0], {name: values for name, values in keys.items() if values})


def _read_unique_key(identifier: Dataset, tag: int) -> tuple[str, ...]:
    return tuple(str(value).strip() for value in read_values(read_element(identifier, tag)))


def select_instances(index: InstanceIndex, scope: QueryScope, *, at_patient_id: bool) -> list[StoredInstance]:
    """Return the instances below what the unique keys name.

    Parameters
    ----------
    at_patient_id : bool
        Whether Patient ID counts by its exact value; for a query it is matched like any other key.
    """
    columns = {
        LEVELS[name].column: values for name, values in scope.unique_keys.items() if name != "PATIENT" or at_patient_id
    }
    return index.select(columns)
