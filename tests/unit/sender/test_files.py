"""Which files are found, and what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread

from gateway.sender.files import InstanceFile, UnreadableFile, find_files, read_instance_file
from tests.support.samples import sample_files
from tests.unit.sandbox.conftest import CT, make_instance, save
from tests.unit.sender.conftest import save_broken_deflated, save_dicomdir


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
    for number, content in enumerate((b"", b"text", b"\0" * 128 + b"DIC", b"\0" * 200)):
        path = tmp_path / str(number)
        path.write_bytes(content)
        assert read_instance_file(path) is None
    assert read_instance_file(save_dicomdir(tmp_path / "DICOMDIR")) is None


@pytest.mark.parametrize("length", [132, 140, 200, 300, 380, 420])
def test_an_instance_with_its_head_cut(tmp_path: Path, length: int) -> None:
    path = save(make_instance("1.2.1.1.1"), tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(UnreadableFile):
        read_instance_file(path)


def test_a_dicom_file_that_is_damaged(tmp_path: Path) -> None:
    overwritten = tmp_path / "overwritten"
    overwritten.write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 64)
    with pytest.raises(UnreadableFile, match="without the UIDs"):
        read_instance_file(overwritten)
    with pytest.raises(UnreadableFile, match="^cannot be read: damaged$"):
        read_instance_file(save_broken_deflated(tmp_path / "deflated"))


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="cannot be read: No such file or directory"):
        read_instance_file(tmp_path / "gone")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("garbage")


@settings(max_examples=200)
@given(st.binary(max_size=300), st.booleans())
def test_garbage_gives_one_error_only(folder: Path, content: bytes, has_prefix: bool) -> None:
    path = folder / "garbage"
    path.write_bytes(b"\0" * 128 + b"DICM" + content if has_prefix else content)
    try:
        read_instance_file(path)
    except UnreadableFile:
        assert has_prefix


def test_samples_of_every_kind_are_read_or_told_apart() -> None:
    found = [file for path in sample_files() if (file := read_sample(path)) is not None]
    assert len(found) > 50
    for file in found:
        assert str(dcmread(file.path, stop_before_pixels=True).SOPInstanceUID) == file.sop_instance_uid


def read_sample(path: Path) -> InstanceFile | None:
    try:
        return read_instance_file(path)
    except UnreadableFile:
        return None
