"""Which files are found, and what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from gateway.sender.files import find_files, read_instance_file
from tests.support.samples import sample_files
from tests.unit.sandbox.conftest import CT, make_instance, save


def test_each_file_once_in_order(tmp_path: Path) -> None:
    for name in ("b/2.dcm", "b/1.dcm", "a.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b" / "link.dcm").symlink_to(tmp_path / "a.dcm")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    found = [path.relative_to(tmp_path).as_posix() for path in find_files([tmp_path, tmp_path / "a.dcm"])]
    assert found == ["a.dcm", "b/1.dcm", "b/2.dcm"]


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(find_files([tmp_path / "nowhere"]))


def test_an_instance(tmp_path: Path) -> None:
    path = save(make_instance("1.2.1.1.1"), tmp_path)
    file = read_instance_file(path)
    assert file is not None
    assert (file.sop_class_uid, file.sop_instance_uid, file.study_uid) == (CT, "1.2.1.1.1", "1.2.1")
    assert (file.path, file.size, file.modified) == (path, path.stat().st_size, path.stat().st_mtime_ns)


def test_what_is_no_instance(tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"text", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM" + b"\xff" * 64)):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert read_instance_file(path) is None


def test_samples_of_every_kind_are_read_or_told_apart() -> None:
    found = [read_instance_file(path) for path in sample_files()]
    assert sum(file is not None for file in found) > 50
    for file in found:
        if file is not None:
            assert str(dcmread(file.path, stop_before_pixels=True).SOPInstanceUID) == file.sop_instance_uid
