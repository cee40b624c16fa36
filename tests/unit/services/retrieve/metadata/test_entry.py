"""Entries: what they hold below a path, whether it is what the archive holds, and that they come back from disk."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import DecodeError
from gateway.resources import ResourcePath
from gateway.services.retrieve.inventories.inventory import HeldInstance, Inventory
from gateway.services.retrieve.inventories.validators import Validator
from gateway.services.retrieve.metadata.documents import MetadataDocument
from gateway.services.retrieve.metadata.entry import MetadataEntry

STUDY = ResourcePath("1")
PATHS = [ResourcePath("1", f"1.{series}", f"1.{series}.{n}") for series in (1, 2) for n in (1, 2)]


def make_entry(templates: list[bytes]) -> MetadataEntry:
    documents = {
        str(path.instance): MetadataDocument(path, template) for path, template in zip(PATHS, templates, strict=False)
    }
    return MetadataEntry(STUDY, "generation", Validator("digest", True), 12.5, documents, 1.0, 2.0)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (STUDY, PATHS),
        (ResourcePath("1", "1.2"), PATHS[2:]),
        (PATHS[1], PATHS[1:2]),
        (ResourcePath("1", "1.2", "1.1.1"), []),
        (ResourcePath("1", "1.3"), []),
        (ResourcePath("2"), []),
    ],
)
def test_what_is_below(path: ResourcePath, expected: list[ResourcePath]) -> None:
    assert [document.path for document in make_entry([b"{}"] * 4).select(path)] == expected


def test_what_the_archive_holds() -> None:
    entry = make_entry([b"{}"] * 4)
    held = {str(path.instance): HeldInstance(path, "1.2.3") for path in reversed(PATHS)}
    assert entry.matches(Inventory(STUDY, held, {}))
    assert not entry.matches(Inventory(STUDY, {uid: held[uid] for uid in list(held)[1:]}, {}))
    moved = ResourcePath("1", "1.2", "1.1.1")
    assert not entry.matches(Inventory(STUDY, held | {"1.1.1": HeldInstance(moved, "1.2.3")}, {}))


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=4))
def test_written_and_read_again(templates: list[bytes]) -> None:
    entry = make_entry(templates)
    again = MetadataEntry.decode(entry.encode())
    for name in ("path", "generation", "validator", "filled_at", "documents", "size"):
        assert getattr(again, name) == getattr(entry, name)
    assert again.validated_at == again.inventoried_at == -math.inf  # nothing is known of what happened since


@given(st.data())
def test_cut_or_changed_it_is_refused_or_harmless(data: st.DataObject) -> None:
    encoded = make_entry([b'{"a":1}', b"\xff"]).encode()
    damaged = bytearray(encoded[: data.draw(st.integers(0, len(encoded)))])
    if damaged:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        MetadataEntry.decode(bytes(damaged))
    except DecodeError:
        pass


@pytest.mark.parametrize("data", [b"", b"[]\n", b"{}\n", b'{"path":["1"]}\n', b"\n\n"])
def test_something_else(data: bytes) -> None:
    with pytest.raises(DecodeError):
        MetadataEntry.decode(data)


def test_every_length_but_the_right_one_is_refused() -> None:
    encoded = make_entry([b"12345", b"678"]).encode()
    for other in (encoded[:-1], encoded + b"9"):
        with pytest.raises(DecodeError):
            MetadataEntry.decode(other)
