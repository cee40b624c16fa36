"""Frames decoded by programs that the gateway does not use: DCMTK, GDCM, OpenJPEG's and libjxl's tools.

Each takes a DICOM file, or one frame of it, and gives arrays of pixel cells; None where it cannot read the file.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom

from gateway.codecs.frames import FrameChunk, FrameExtractor, FrameStart
from gateway.imaging.description import ImageDescription, describe_image
from gateway.imaging.native import unpack_native

__all__ = ["REFERENCES", "decode_by_reference", "extract_frames"]

Pixels = npt.NDArray[Any]
SECONDS = 60
BASELINE, RECOMPRESSED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.111"

# the DCMTK programs by their full path: pynetdicom installs others of such names
_TOOLS: dict[str, tuple[str, ...]] = {
    "dcmdjpeg": ("/usr/bin/dcmdjpeg", "--conv-never"),
    "dcmdjpls": ("/usr/bin/dcmdjpls",),
    "dcmdrle": ("/usr/bin/dcmdrle",),
    "gdcmconv": ("/usr/bin/gdcmconv", "--raw"),
}

REFERENCES: dict[str, tuple[str, ...]] = {
    "1.2.840.10008.1.2.4.5": ("dcmdjpeg", "gdcmconv"),
    "1.2.840.10008.1.2.4.7": ("dcmdjpeg", "gdcmconv"),
    "1.2.840.10008.1.2.4.8": ("dcmdjpls", "gdcmconv"),
    "1.2.840.10008.1.2.4.9": ("opj_decompress",),
    "1.2.840.10008.1.2.4.20": ("opj_decompress",),
    "1.2.840.10008.1.2.4.11": ("djxl",),
    "1.2.840.10008.1.2.5": ("dcmdrle", "gdcmconv"),
}
"""Decoders for each family of transfer syntaxes, by what its UIDs begin with; the later ones where the first fails."""


def extract_frames(data_set: bytes, transfer_syntax_uid: str) -> list[bytes]:
    """All frames as they are stored; raises DecodeError."""
    extractor = FrameExtractor(transfer_syntax_uid)
    frames: list[bytes] = []
    for event in [*extractor.feed(data_set), *extractor.finish()]:
        if isinstance(event, FrameStart):
            frames.append(b"")
        elif isinstance(event, FrameChunk):
            frames[-1] += bytes(event.data)
    return frames


def decode_by_reference(
    content: bytes, description: ImageDescription, frames: list[bytes], folder: Path
) -> tuple[str, list[Pixels]] | None:
    """Decode a whole file with the first program that can; its name, and each frame colour by pixel."""
    uid = description.transfer_syntax_uid
    names = next((names for prefix, names in REFERENCES.items() if uid.startswith(prefix)), ())
    if uid == RECOMPRESSED:
        content, names = _restore_jpeg(content, frames, folder), REFERENCES[BASELINE[:-1]]
    for name in names:
        if name in _TOOLS:
            decoded = _decode_file(_TOOLS[name], content, description, folder)
        else:
            decoded = _decode_each(_CODESTREAM_TOOLS[name], description, frames, folder)
        if decoded is not None:
            return name, decoded
    return None


def _restore_jpeg(content: bytes, frames: list[bytes], folder: Path) -> bytes:
    """A file of the JPEG streams that the frames were made of, as djxl restores them."""
    data_set = pydicom.dcmread(BytesIO(content))
    source, target = folder / "in.jxl", folder / "out.jpg"
    streams = []
    for frame in frames:
        source.write_bytes(frame)
        _run(["djxl", source, target])
        streams.append(target.read_bytes())
    data_set.PixelData = pydicom.encaps.encapsulate(streams)
    data_set.file_meta.TransferSyntaxUID = BASELINE
    out = BytesIO()
    data_set.save_as(out)
    return out.getvalue()


def _decode_file(
    tool: tuple[str, ...], content: bytes, description: ImageDescription, folder: Path
) -> list[Pixels] | None:
    source, target = folder / "in.dcm", folder / "out.dcm"
    source.write_bytes(content)
    target.unlink(missing_ok=True)
    if subprocess.run([*tool, source, target], capture_output=True, timeout=SECONDS).returncode or not target.exists():
        return None
    found = pydicom.dcmread(target)
    uid = str(found.file_meta.TransferSyntaxUID)
    if uid == description.transfer_syntax_uid:
        return None
    native = describe_image(found, uid)
    length = (native.native_frame_bits + 7) // 8
    pieces = [found.PixelData[number * length : (number + 1) * length] for number in range(native.number_of_frames)]
    return [unpack_native(native, piece) for piece in pieces]


def _decode_each(
    decode: Callable[[ImageDescription, bytes, Path], Pixels],
    description: ImageDescription,
    frames: list[bytes],
    folder: Path,
) -> list[Pixels]:
    return [decode(description, frame, folder) for frame in frames]


def _run_opj_decompress(description: ImageDescription, frame: bytes, folder: Path) -> Pixels:
    """A PGX file for each component, which tells precision and sign of the codestream."""
    source = folder / ("in.jp2" if frame.startswith(b"\0\0\0\x0cjP") else "in.j2k")
    source.write_bytes(frame)
    for old in folder.glob("out*.pgx"):
        old.unlink()
    _run(["opj_decompress", "-i", source, "-o", folder / "out.pgx"])
    planes = [_read_pgx(path) for path in sorted(folder.glob("out*.pgx"))]
    return planes[0] if description.samples_per_pixel == 1 else np.stack(planes, axis=-1)


def _read_pgx(path: Path) -> Pixels:
    header, _, raw = path.read_bytes().partition(b"\n")
    _, order, sign, bits, columns, rows = header.replace(b"+", b"+ ").replace(b"-", b"- ").split()
    kind = ("<" if order == b"LM" else ">") + ("i" if sign == b"-" else "u") + ("1" if int(bits) <= 8 else "2")
    return np.frombuffer(raw, kind).reshape(int(rows), int(columns))


def _run_djxl(description: ImageDescription, frame: bytes, folder: Path) -> Pixels:
    """A PGM or PPM, in which djxl spreads the codestream's depth over 8 or 16 bits."""
    source, target = folder / "in.jxl", folder / f"out.{'pgm' if description.samples_per_pixel == 1 else 'ppm'}"
    source.write_bytes(frame)
    _run(["djxl", source, target])
    samples = _read_netpbm(target.read_bytes())
    full = (1 << samples.dtype.itemsize * 8) - 1  # what it writes as greatest value, whatever the header says
    samples = np.rint(samples * (((1 << description.bits_stored) - 1) / full)).astype(np.uint16)
    shape = (description.rows, description.columns, description.samples_per_pixel)
    pixels = samples.reshape(shape)
    return pixels[..., 0] if description.samples_per_pixel == 1 else pixels


def _read_netpbm(data: bytes) -> Pixels:
    _, _, _, rest = data.split(maxsplit=3)
    top, _, raw = rest.partition(b"\n")
    return np.frombuffer(raw, ">u2" if int(top) > 255 else "u1")


def _run(command: list[str | Path]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=SECONDS)


_CODESTREAM_TOOLS = {"opj_decompress": _run_opj_decompress, "djxl": _run_djxl}
