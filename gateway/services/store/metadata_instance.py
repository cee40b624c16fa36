"""One instance of a metadata store: what its metadata says, what is still to come, and what follows from both.

A value of one request; ``metadata_output.py`` writes it, ``metadata_request.py`` makes it. No bytes of bulk data pass
here. What is derived, because a client may leave it out: the transfer syntax, from the media types of the pixel data;
the Image Pixel Description Macro, from a compressed image; the MIME Type of an Encapsulated Document, from its part.

Source: PS3.18 §10.5.1.4, §10.5.2, Table 10.5.2-1
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from gateway.codecs.codestreams import Codestream
from gateway.codecs.compressed_types import choose_transfer_syntax
from gateway.codecs.head import InstanceHead
from gateway.codecs.head_scanner import UID_NAMES
from gateway.codecs.media_types import MediaType
from gateway.codecs.model_writer import BulkReference, Model, write_model
from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import DecodeError
from gateway.resources import is_valid_uid
from gateway.services.store.bulkdata_parts import MAX_URI, BulkdataParts, BulkPart

__all__ = ["PIXEL_DATA", "WORTH_A_THREAD", "PlannedInstance"]

WORTH_A_THREAD = 65_536
"""Bytes of metadata whose handling would hold the event loop for too long."""

_REFERENCE_BYTES = 64
"""What a reference counts for among them."""

PIXEL_DATA = 0x7FE00010
_BITS = {PIXEL_DATA: 0, 0x7FE00008: 32, 0x7FE00009: 64}
"""The forms of native pixel data, with the Bits Allocated that two of them always have."""

_DOCUMENT, _MIME_TYPE = 0x00420011, "00420012"
_OFFSET_TABLES = ("7FE00001", "7FE00002")
"""Extended Offset Table, and its lengths: of fragments that were elsewhere, not those that are made (PS3.5 §A.4)."""

_SAMPLES, _PHOTOMETRIC, _FRAMES, _ROWS, _COLUMNS = "00280002", "00280004", "00280008", "00280010", "00280011"
_BITS_ALLOCATED, _TRANSFER_SYNTAX, _LOSSY = "00280100", "00020010", "00282110"
_PLANAR, _BITS_STORED, _HIGH_BIT = "00280006", "00280101", "00280102"
_DESCRIPTION = (_SAMPLES, _PHOTOMETRIC, _ROWS, _COLUMNS, _BITS_ALLOCATED, _BITS_STORED, _HIGH_BIT, "00280103")
_COMPARED = (_SAMPLES, _PLANAR, _FRAMES, _ROWS, _COLUMNS, _BITS_ALLOCATED, _BITS_STORED)
_JPEG_BASELINE, _MAX_BITS = "1.2.840.10008.1.2.4.50", 64
_HALVES_OF_SAMPLES = {"YBR_FULL_422": 4, "YBR_PARTIAL_422": 4, "YBR_PARTIAL_420": 3}
"""Twice the samples of a pixel where chroma is subsampled (PS3.3 §C.7.6.3.1.2)."""

_FIRST_ITEM = ("/v8A4", "_v8A4")
"""How base64 of encapsulated pixel data begins: with the tag of an item."""

_MAX_FRAMES = 10_000_000


class PlannedInstance:
    """See the module.

    Parameters
    ----------
    model : mapping
        Its metadata in the DICOM JSON Model, untrusted.
    stated : str or None
        The transfer syntax that the media type of the metadata names.
    resolve : callable
        A URI of the metadata to the form in which locations of parts are compared.

    Attributes
    ----------
    pieces : list of bytes and BulkReference
        The data set, in order.
    references : list of BulkReference
        Those among them; what is where in `pieces` may change with `prepare`.
    dropped : list of BulkReference
        Values that have to come too, but are not stored: those of an Extended Offset Table.
    uses : Counter of str
        How many of `references` each URI answers.
    pixel_uris : list of str
        Where the parts of all pixel data, that of icons included, are to come from.
    is_large : bool
        Whether `prepare` is better called beside the event loop.

    Raises
    ------
    DecodeError
        The metadata breaks the model, or lacks what an instance cannot do without; names the attribute.
    """

    def __init__(self, model: Model, stated: str | None, resolve: Callable[[str], str]) -> None:
        tables = {tag: attribute for tag, attribute in model.items() if tag.upper() in _OFFSET_TABLES}
        self.dropped = _find_references(write_model(tables))
        model = {tag: attribute for tag, attribute in model.items() if tag not in tables}
        self.pieces = write_model(model)
        model = {tag.upper(): attribute for tag, attribute in model.items()}
        self.references = _find_references(self.pieces)
        self._uris = {it.path: resolve(_check_uri(it)) for it in (*self.references, *self.dropped)}
        self.uses = Counter(self._uris[it.path] for it in self.references)
        self.pixel_uris = [self._uris[it.path] for it in self.references if it.tag == PIXEL_DATA]
        sizes = (len(it) if isinstance(it, bytes) else _REFERENCE_BYTES for it in self.pieces)
        self.is_large = sum(sizes) >= WORTH_A_THREAD
        self._uids = {tag: _read_uid(model, tag) for tag in UID_NAMES}
        self._stated = stated or _first(model, _TRANSFER_SYNTAX)
        self._frames = _read_frames(model)
        self._native_lengths = {tag: _measure_pixels(model, tag, self._frames) for tag in _BITS}
        self._given = {tag: _read_number(model, tag) for tag in _COMPARED if _first(model, tag) is not None}
        self._has_inline_pixels = "InlineBinary" in model.get("7FE00010", {})
        self._check_inline_pixels(model)
        top_level = {it.tag for it in self.references if it.path == f"{it.tag:08X}"}
        self._lacks_description = PIXEL_DATA in top_level and any(_first(model, tag) is None for tag in _DESCRIPTION)
        self._lacks_mime_type = _DOCUMENT in top_level and _first(model, _MIME_TYPE) is None
        # all but the gaps is in `pieces`; the model is of use only if something is to be added to it
        self._model = model if self._lacks_description or self._lacks_mime_type else None
        self._undecided = [self._uris[it.path] for it in self.references if self._decides(it)]

    def _check_inline_pixels(self, model: Model) -> None:
        """Refuse compressed pixel data that is inline: it has no such form, and would be stored as native."""
        text = model.get("7FE00010", {}).get("InlineBinary", "")
        is_stated = isinstance(self._stated, str) and is_valid_uid(self._stated)
        is_compressed = is_stated and get_transfer_syntax(str(self._stated)).encapsulated
        if text and (is_compressed or text.startswith(_FIRST_ITEM)):
            raise DecodeError("InlineBinary, which compressed pixel data does not have", path="7FE00010")

    def uri_of(self, reference: BulkReference) -> str:
        """Where the parts of a value are to come from."""
        return self._uris[reference.path]

    def find_syntax(self, reference: BulkReference, part: BulkPart) -> str | None:
        """The transfer syntax of a value that came in `part`; None if it is not compressed.

        Raises
        ------
        DecodeError
            Pixel data of a media type that none is in.
        """
        if reference.tag != PIXEL_DATA:
            return None
        found = part.codestream.transfer_syntax_uid if part.codestream is not None else None
        return self._find_syntax_of(reference, part.media_type, found)

    def _find_syntax_of(self, reference: BulkReference, media_type: MediaType, found: str | None) -> str | None:
        try:
            return choose_transfer_syntax(media_type, self._stated, found)
        except DecodeError as error:
            raise DecodeError(error.reason, path=reference.path) from None

    def count_parts(self, reference: BulkReference, first: BulkPart) -> int:
        """How many parts a value comes in: one a frame if it is compressed, but a video is one stream."""
        syntax = self.find_syntax(reference, first)
        if syntax is None or get_transfer_syntax(syntax).video or reference.path != "7FE00010":
            return 1
        return self._frames

    def find_length(self, reference: BulkReference) -> int | None:
        """Bytes of native pixel data, as the Image Pixel Module has it; None for other values and if it does not."""
        return self._native_lengths.get(reference.tag) if reference.path == f"{reference.tag:08X}" else None

    def check_length(self, reference: BulkReference, part: BulkPart) -> None:
        """Compare a native value with what the metadata says of it.

        Raises
        ------
        DecodeError
            It is of another length, padding apart.
        """
        length = self.find_length(reference)
        describes_itself = part.codestream is not None and self._lacks_description
        if length is None or describes_itself or self.find_syntax(reference, part) is not None:
            return
        if part.length not in (length, length + length % 2):
            raise DecodeError(f"{part.length} bytes of pixel data, not {length}", path=reference.path)

    def is_ready(self, parts: BulkdataParts, arriving: str = "") -> bool:
        """Whether enough has come to tell the transfer syntax and what the metadata leaves out.

        Parameters
        ----------
        arriving
            The location of a part that counts as there already.
        """
        while self._undecided and parts.find(self._undecided[-1]) is not None:
            self._undecided.pop()
        return self._undecided in ([], [arriving])

    def _decides(self, reference: BulkReference) -> bool:
        return reference.tag == PIXEL_DATA or (self._lacks_mime_type and reference.tag == _DOCUMENT)

    def check_description(self, parts: BulkdataParts) -> None:
        """Tell before anything is sent whether :meth:`prepare` will succeed once all of `parts` have come.

        Raises
        ------
        DecodeError
            As :meth:`prepare`.
        """
        syntax = self._choose_syntax(parts)
        self._compare_description(parts, syntax)
        if self._model is not None:
            write_model(self._derive(parts, syntax))

    def prepare(self, parts: BulkdataParts) -> InstanceHead:
        """Settle what follows from the parts, which `is_ready`, and tell what the instance is.

        Raises
        ------
        DecodeError
            Pixel data in several forms, without a description that could be had from it, or with one of another image.
        """
        syntax = self._choose_syntax(parts)
        self._compare_description(parts, syntax)
        if self._model is not None:
            self.pieces = write_model({**self._model, **self._derive(parts, syntax)})
            self._model = None
        sop_class, sop_instance, study, series = (self._uids[tag] for tag in sorted(self._uids))
        return InstanceHead(sop_class, sop_instance, study, series, syntax or EXPLICIT_VR_LE, [])

    def _choose_syntax(self, parts: BulkdataParts) -> str | None:
        """The one syntax of all pixel data, that of icons included, which may be native (PS3.5 §A.4)."""
        found: dict[str, str | None] = {}
        for reference in self.references:
            part = parts.find(self.uri_of(reference))
            if reference.tag == PIXEL_DATA and part is not None:
                found[reference.path] = self._find_common_syntax(reference, part, parts)
        encapsulated = {syntax for syntax in found.values() if syntax is not None}
        is_native = self._has_inline_pixels or ("7FE00010" in found and found["7FE00010"] is None)
        if len(encapsulated) > 1 or (encapsulated and is_native):
            raise DecodeError("pixel data in more than one transfer syntax", path="7FE00010")
        return next(iter(encapsulated), None)

    def _find_common_syntax(self, reference: BulkReference, first: BulkPart, parts: BulkdataParts) -> str | None:
        """The syntax of all parts of a value that have come; what none says of itself is in that of the first."""
        syntax = self.find_syntax(reference, first)
        uri, seen = self.uri_of(reference), {first.media_type}
        for index in range(1, self.count_parts(reference, first)):
            part = parts.find(uri, index)
            if part is None:
                break
            if part.media_type not in seen and self._find_syntax_of(reference, part.media_type, syntax) != syntax:
                raise DecodeError("frames in more than one transfer syntax", path=reference.path)
            seen.add(part.media_type)
        return syntax

    def _compare_description(self, parts: BulkdataParts, syntax: str | None) -> None:
        """Refuse what the metadata says of the image where the image says otherwise.

        Of a compressed image a full description counts as it is: streams in use differ from theirs in odd ways.
        """
        uri = self._uris.get("7FE00010")
        part = parts.find(uri) if uri is not None else None
        if part is None or part.codestream is None or not (self._lacks_description or syntax is None):
            return
        for tag, allowed in _find_allowed(part.codestream, syntax).items():
            if tag in self._given and self._given[tag] not in allowed:
                raise DecodeError("another value than the image has", path=tag)

    def _derive(self, parts: BulkdataParts, syntax: str | None) -> dict[str, Any]:
        derived: dict[str, Any] = {}
        for reference in self.references:
            part = parts.find(self.uri_of(reference))
            if part is not None and self._lacks_mime_type and reference.path == f"{_DOCUMENT:08X}":
                derived[_MIME_TYPE] = {"vr": "LO", "Value": [part.media_type.essence]}
            is_described = syntax is not None or (part is not None and part.codestream is not None)
            if part is not None and is_described and self._lacks_description and reference.path == "7FE00010":
                derived |= _describe(part.codestream, syntax)
        given = {tag for tag in derived if _first(self._model or {}, tag) is not None}
        if _BITS_STORED in given and _HIGH_BIT in derived:
            derived[_HIGH_BIT] = {"vr": "US", "Value": [self._given[_BITS_STORED] - 1]}
        return {tag: attribute for tag, attribute in derived.items() if tag not in given}


def _find_allowed(codestream: Codestream, syntax: str | None) -> dict[str, range]:
    """What the metadata may say of an image.

    Native pixel data was made of the image as it is. A codestream may have more bits than are stored, and fewer than
    are allocated, but for JPEG Baseline (PS3.5 §8.2).
    """
    bits, is_native = codestream.bits, syntax is None
    is_fixed = is_native or syntax == _JPEG_BASELINE
    allowed = {
        _ROWS: _only(codestream.rows),
        _COLUMNS: _only(codestream.columns),
        _SAMPLES: _only(codestream.samples),
        _BITS_ALLOCATED: _only(8 if bits <= 8 else 16) if is_fixed else range(bits, _MAX_BITS + 1),
        _BITS_STORED: range(1, bits + 1),
    }
    if is_native:
        allowed[_FRAMES] = _only(codestream.frames)
    if is_native and codestream.samples > 1:
        allowed[_PLANAR] = _only(0)
    return allowed


def _only(number: int) -> range:
    return range(number, number + 1)


def _describe(codestream: Codestream | None, syntax: str | None) -> dict[str, Any]:
    """The Image Pixel Description Macro of an image that tells it itself (PS3.3 §C.7.6.3)."""
    if codestream is None:
        raise DecodeError("no Image Pixel Description, and none that could be read from the image", path=_ROWS)
    numbers = {
        _SAMPLES: codestream.samples,
        _ROWS: codestream.rows,
        _COLUMNS: codestream.columns,
        _BITS_ALLOCATED: 8 if codestream.bits <= 8 else 16,
        _BITS_STORED: codestream.bits,
        _HIGH_BIT: codestream.bits - 1,
        "00280103": int(codestream.is_signed),
    }
    if codestream.samples > 1:
        numbers[_PLANAR] = 0
    derived: dict[str, Any] = {tag: {"vr": "US", "Value": [number]} for tag, number in numbers.items()}
    derived[_PHOTOMETRIC] = {"vr": "CS", "Value": [codestream.photometric_interpretation]}
    if codestream.frames > 1:
        derived[_FRAMES] = {"vr": "IS", "Value": [codestream.frames]}
    if syntax is not None and get_transfer_syntax(syntax).lossy:
        derived[_LOSSY] = {"vr": "CS", "Value": ["01"]}
    return derived


# --- single attributes ---


def _find_references(pieces: list[bytes | BulkReference]) -> list[BulkReference]:
    return [piece for piece in pieces if isinstance(piece, BulkReference)]


def _check_uri(reference: BulkReference) -> str:
    if len(reference.uri) > MAX_URI:
        raise DecodeError(f"a BulkDataURI of more than {MAX_URI} characters", path=reference.path)
    return reference.uri


def _first(model: Model, tag: str) -> Any:
    """The first value of an attribute, None if it has none."""
    values = model.get(tag, {}).get("Value") or [None]
    return None if values[0] in (None, "") else values[0]


def _read_number(model: Model, tag: str) -> int:
    """A given number; -1 where it is none."""
    try:
        return int(_first(model, tag))
    except (TypeError, ValueError, OverflowError):
        return -1


def _read_uid(model: Model, tag: int) -> str:
    uid = _first(model, f"{tag:08X}")
    uid = uid.strip("\0 ") if isinstance(uid, str) else ""
    if not is_valid_uid(uid):
        raise DecodeError(f"{UID_NAMES[tag]} is empty or malformed", path=f"{tag:08X}")
    return uid


def _read_frames(model: Model) -> int:
    frames = 1 if _first(model, _FRAMES) is None else _read_number(model, _FRAMES)
    if not 0 < frames <= _MAX_FRAMES:
        raise DecodeError("no number of frames", path=_FRAMES)
    return frames


def _measure_pixels(model: Model, tag: int, frames: int) -> int | None:
    """Bytes of native pixel data without padding (PS3.5 §8.1.1); None where attributes are missing."""
    try:
        rows, columns = int(_first(model, _ROWS) or 0), int(_first(model, _COLUMNS) or 0)
        samples = int(_first(model, _SAMPLES) or 0)
        bits = _BITS[tag] or int(_first(model, _BITS_ALLOCATED) or 0)
    except (TypeError, ValueError, OverflowError):
        return None
    halves = _HALVES_OF_SAMPLES.get(str(_first(model, _PHOTOMETRIC)).strip(), 2 * samples)
    length = (rows * columns * halves * bits * frames + 15) // 16
    return length if length > 0 else None
