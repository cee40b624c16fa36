"""Archives read back by Python's zipfile and by Info-ZIP's unzip."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.codecs.zip_archive import ZipEncoder

NAMES = st.text("0123456789.", min_size=1, max_size=64).map(lambda text: f"study/{text}.dcm")


def write(files: Iterable[tuple[str, bytes]], size: int = 7) -> bytes:
    encoder, out = ZipEncoder(), []
    for name, content in files:
        out.append(encoder.begin_file(name))
        for start in range(0, len(content), size):
            piece = content[start : start + size]
            encoder.note(piece)
            out.append(piece)
        out.append(encoder.end_file())
    return b"".join([*out, *encoder.finish()])


@given(st.dictionaries(NAMES, st.binary(max_size=100), max_size=6), st.integers(1, 120))
def test_what_was_written_is_read_back(files: dict[str, bytes], size: int) -> None:
    with zipfile.ZipFile(BytesIO(write(files.items(), size))) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == files
        assert {info.compress_type for info in archive.infolist()} <= {zipfile.ZIP_STORED}


def test_unzip_reads_it(tmp_path: Path) -> None:
    files = {f"1.2.3/1.2.3.{n}/1.2.3.{n}.{m}.dcm": bytes([n, m]) * 1000 for n in range(3) for m in range(4)}
    (tmp_path / "x.zip").write_bytes(write(files.items(), 512))
    tested = subprocess.run(["unzip", "-tq", "x.zip"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (tested.returncode, tested.stderr) == (0, ""), tested.stdout
    subprocess.run(["unzip", "-q", "x.zip", "-d", "out"], cwd=tmp_path, check=True)
    found = {str(path.relative_to(tmp_path / "out")): path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm")}
    assert found == files


def test_what_needs_eight_bytes(tmp_path: Path) -> None:
    """A file over 4 GiB and one behind it; the former a hole in a sparse file."""
    encoder, path, length = ZipEncoder(), tmp_path / "large.zip", 5 << 30
    with path.open("wb") as out:
        out.write(encoder.begin_file("large.dcm"))
        out.seek(length, 1)
        encoder._size = length  # reading five gigabytes of zeros for their checksum would take seconds
        out.write(encoder.end_file())
        out.write(encoder.begin_file("behind.dcm"))
        encoder.note(b"behind")
        out.write(b"behind" + encoder.end_file())
        out.writelines(encoder.finish())
    with zipfile.ZipFile(path) as archive:
        large, behind = archive.infolist()
        assert (large.file_size, large.header_offset) == (length, 0)
        assert behind.header_offset > length and archive.read(behind) == b"behind"
    found = subprocess.run(["unzip", "-p", path, "behind.dcm"], capture_output=True, check=True)
    assert found.stdout == b"behind"


def test_more_files_than_two_bytes_count() -> None:
    files = {f"{number}.dcm": b"" for number in range(70_000)}
    with zipfile.ZipFile(BytesIO(write(files.items()))) as archive:
        assert archive.namelist() == list(files)
