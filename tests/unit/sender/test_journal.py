"""The journal: what it holds after a cut, and what it does not trust."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import ConfigurationError
from gateway.sender.files import InstanceFile
from gateway.sender.journal import Journal, locate_journal

URL = "http://host/dicomweb"


def make_file(folder: Path, name: str) -> InstanceFile:
    return InstanceFile(folder / name, 100, 7, "1.1", f"1.2.{name}", "1.3")


def test_what_was_noted_is_held_by_the_next_run(tmp_path: Path) -> None:
    one, two = make_file(tmp_path, "1"), make_file(tmp_path, "2")
    path = tmp_path / "state" / "journal"
    with Journal(path, URL) as journal:
        journal.note(one)
        assert journal.holds(one) and not journal.holds(two)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with Journal(path, URL) as journal:
        assert len(journal) == 1 and journal.holds(one) and not journal.holds(two)
        for changed in (replace(one, size=101), replace(one, modified=8), replace(one, sop_instance_uid="1.9")):
            assert not journal.holds(changed)
        journal.withdraw(one)
        assert not journal.holds(one)
    with Journal(path, URL) as journal:
        assert not journal.holds(one)
        journal.remove()
    assert not path.exists()


@pytest.mark.parametrize("cut", range(1, 40, 7))
def test_a_line_under_which_the_run_was_cut(tmp_path: Path, cut: int) -> None:
    one, two, three = (make_file(tmp_path, name) for name in "123")
    path = tmp_path / "journal"
    with Journal(path, URL) as journal:
        journal.note(one)
        journal.note(two)
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, URL) as journal:
        assert journal.holds(one) and not (cut > 1 and journal.holds(two))
        journal.note(three)
    with Journal(path, URL) as journal:
        assert journal.holds(one) and journal.holds(three)


def test_a_journal_is_of_one_service(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal(path, "http://user:secret@host/dicomweb/") as journal:
        journal.note(make_file(tmp_path, "1"))
    kept = path.read_bytes()
    assert b"secret" not in kept
    for url in ("http://host/other", "https://host/dicomweb", "http://host:81/dicomweb"):
        with pytest.raises(ConfigurationError, match="of another service, http://host/dicomweb"), Journal(path, url):
            pass
    assert path.read_bytes() == kept
    for url in (URL, "http://HOST/dicomweb", "http://other:secret@host/dicomweb"):
        with Journal(path, url) as journal:
            assert len(journal) == 1


def test_a_line_that_names_no_service_counts_for_nothing(tmp_path: Path) -> None:
    path, file = tmp_path / "journal", make_file(tmp_path, "1")
    with Journal(path, URL) as journal:
        journal.note(file)
    row = json.loads(path.read_bytes())
    del row["service"]
    path.write_text(json.dumps(row) + "\n")
    with Journal(path, URL) as journal:
        assert not journal.holds(file)


def test_each_order_has_a_place_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    places = {
        locate_journal("http://a", [Path("x")]),
        locate_journal("http://b", [Path("x")]),
        locate_journal("http://a", [Path("x"), Path("y")]),
    }
    assert len(places) == 3 and all(place.is_relative_to(tmp_path) for place in places)
    assert locate_journal("http://a", [Path("y"), Path("x")]) in places


def test_names_of_any_bytes(tmp_path: Path) -> None:
    folders = [Path(os.fsdecode(os.fsencode(tmp_path) + name)) for name in (b"/\xe9", b"/\xe8")]
    assert len({locate_journal(URL, [folder]) for folder in folders}) == 2
    one, two = (make_file(folder, "1") for folder in folders)
    with Journal(tmp_path / "journal", URL) as journal:
        journal.note(one)
    with Journal(tmp_path / "journal", URL) as journal:
        assert journal.holds(one) and not journal.holds(two)
