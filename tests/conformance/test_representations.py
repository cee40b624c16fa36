"""Every resource in every media type and transfer syntax of the tables of PS3.18 §8.7, over the sandbox archive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.sandbox import SandboxArchive
from tests.support.conformance_site import Site, open_site
from tests.support.representations import CELLS, WORKED, Cell, check_cell, write_categories


@pytest.fixture(scope="module")
def categories(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway over a sandbox with one instance of each Resource Category."""
    folder = tmp_path_factory.mktemp("categories")
    with SandboxArchive(folder / "archive") as archive:
        for path in write_categories(folder / "files"):
            archive.index.add_file(path)
        with open_site(archive) as site:
            yield site


@pytest.mark.parametrize("cell", [cell for cells in CELLS.values() for cell in cells], ids=str)
def test_each_cell_of_the_tables(categories: Site, cell: Cell) -> None:
    check_cell(categories, cell)


@pytest.mark.parametrize("cell", WORKED, ids=str)
def test_each_worked_example(categories: Site, cell: Cell) -> None:
    check_cell(categories, cell)


def test_without_an_accept_header_where_it_is_required(categories: Site) -> None:
    """§8.7.5: 406 for the strict."""
    with open_site(categories.archive, http={"require_accept": True}) as strict:
        for path in (WORKED[0].path, WORKED[7].path):
            assert strict.get(path, None).status == 406
