"""From one transfer syntax into another: whether it can be done without harm, and what the image is called then.

    target = plan_conversion(source, "1.2.840.10008.1.2.4.90")       # NotAcceptable if it would do harm
    converted = convert_frame(source, target, frame)                 # in a worker process

The plan is made from the description alone, before anything is decoded, so that a refusal is a status and not a broken
stream. It keeps Photometric Interpretation, Planar Configuration and bits true (PS3.3 §C.7.6.3, PS3.5 §8.2). Only what
JPEG with loss demands loses anything, and who asks for JPEG asks for that. Importing this module loads no codec.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE, get_transfer_syntax
from gateway.errors import NotAcceptable
from gateway.imaging.description import ImageDescription, name_decoded

__all__ = ["CONVERTIBLE", "PRODUCIBLE", "ConvertedFrame", "convert_frame", "is_lossy_target", "plan_conversion"]

_PREFIX = "1.2.840.10008.1.2."
BASELINE, RECOMPRESSED = f"{_PREFIX}4.50", f"{_PREFIX}4.111"

_LOSSY_JPEG = frozenset({*(f"{_PREFIX}4.{number}" for number in range(50, 57)), RECOMPRESSED})
_STREAM_COPIES = frozenset({(BASELINE, RECOMPRESSED), (RECOMPRESSED, BASELINE)})
_COLOUR = frozenset({"RGB", "YBR_FULL"})
_GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})


@dataclass(frozen=True, slots=True)
class ConvertedFrame:
    """A frame in its new form.

    Parameters
    ----------
    data : bytes
        Not padded.
    is_lossy : bool
        The codestream it was made from says that it had been compressed with loss.
    native_bytes : int
        Length of the frame without compression, for a ratio.
    """

    data: bytes
    is_lossy: bool
    native_bytes: int


@dataclass(frozen=True, slots=True)
class _Form:
    """What a family of syntaxes takes, and what it makes of colour."""

    bits_allocated: frozenset[int]
    max_bits_stored: int = 64
    signed: bool = True
    palette: bool = True
    floats: bool = False
    ybr: bool = True
    colour_bits: int = 64
    rgb_becomes: str = "RGB"
    lossy: bool = False


_WHOLE_CELLS = frozenset({8, 16})
_NATIVE = _Form(frozenset({1, 8, 16, 32, 64}), floats=True)
_LOSSLESS_JPEG = _Form(_WHOLE_CELLS)
_JPEG_2000 = _Form(frozenset({1, 8, 16}), rgb_becomes="YBR_RCT")
_JPEG_XL = _Form(_WHOLE_CELLS, signed=False, ybr=False)
_FORMS = {
    f"{_PREFIX}{suffix}": form
    for form, suffixes in (
        (_NATIVE, ("1", "1.99", "1.98", "8.1")),
        (_Form(frozenset({1, 8, 16, 32})), ("5",)),
        (_Form(_WHOLE_CELLS, 8, False, False, colour_bits=8, rgb_becomes="YBR_FULL_422", lossy=True), ("4.50",)),
        (_Form(_WHOLE_CELLS, 12, False, False, colour_bits=8, rgb_becomes="YBR_FULL_422", lossy=True), ("4.51",)),
        (_LOSSLESS_JPEG, ("4.57", "4.70", "4.80", "4.81")),
        (_JPEG_2000, ("4.90", "4.91")),
        (replace(_JPEG_2000, bits_allocated=_WHOLE_CELLS), ("4.201", "4.202", "4.203")),
        (_JPEG_XL, ("4.110", "4.112")),
    )
    for suffix in suffixes
}

PRODUCIBLE: frozenset[str] = frozenset(_FORMS) | {RECOMPRESSED}
"""UIDs of the transfer syntaxes that images can be converted into, each from those it takes."""

_RETIRED = tuple(f"4.{number}" for number in range(52, 70))
CONVERTIBLE: frozenset[str] = PRODUCIBLE | {"1.2.840.10008.1.2", *(f"{_PREFIX}{suffix}" for suffix in ("2", *_RETIRED))}
"""UIDs of the transfer syntaxes that images can be converted from: those that ``decode`` reads."""


def plan_conversion(source: ImageDescription, transfer_syntax_uid: str) -> ImageDescription:
    """Describe the image as it will be in `transfer_syntax_uid`.

    Raises
    ------
    NotAcceptable
        The conversion is not offered, or would harm the image: bits, sign or interpretation that the syntax cannot
        hold.
    """
    if (source.transfer_syntax_uid, transfer_syntax_uid) in _STREAM_COPIES:
        return replace(source, transfer_syntax_uid=transfer_syntax_uid)
    form = _FORMS.get(transfer_syntax_uid)
    if form is None or source.transfer_syntax_uid not in CONVERTIBLE:
        raise _refuse(transfer_syntax_uid, "that conversion is not offered")
    name = _name_converted(source)
    if reason := _find_harm(source, name, form):
        raise _refuse(transfer_syntax_uid, reason)
    if form.lossy and name == "YBR_FULL":
        name = "YBR_FULL_422"
    return replace(
        source,
        bits_allocated=(8 if source.bits_stored <= 8 else 16) if form.lossy else source.bits_allocated,
        photometric_interpretation=form.rgb_becomes if name == "RGB" else name,
        planar_configuration=0,
        transfer_syntax_uid=transfer_syntax_uid,
    )


def is_lossy_target(transfer_syntax_uid: str) -> bool:
    """Whether a conversion into this syntax loses something, though the image did not before."""
    form = _FORMS.get(transfer_syntax_uid)
    return form is not None and form.lossy


def convert_frame(source: ImageDescription, target: ImageDescription, data: bytes) -> ConvertedFrame:
    """Decode one frame and encode it as planned; called in worker processes, which alone load the codecs.

    Raises
    ------
    ImagingFailed
        The frame cannot be decoded or encoded.
    """
    from gateway.imaging.frame_conversion import copy_stream, reencode_frame

    native_bytes = (source.sample_count * source.bits_allocated + 7) // 8
    if (source.transfer_syntax_uid, target.transfer_syntax_uid) in _STREAM_COPIES:
        return ConvertedFrame(copy_stream(target, data), is_lossy=True, native_bytes=native_bytes)
    encoded, is_lossy = reencode_frame(source, target, _name_converted(source), data)
    return ConvertedFrame(encoded, is_lossy, native_bytes)


def _name_converted(source: ImageDescription) -> str:
    """The interpretation of the pixels between decoder and encoder.

    What JPEG with loss made of RGB becomes RGB again, and so does what only video and old ultrasound know.
    """
    name = name_decoded(source)
    is_undone = name.startswith("YBR_PARTIAL") or (name == "YBR_FULL" and source.transfer_syntax_uid in _LOSSY_JPEG)
    return "RGB" if is_undone else name


def _find_harm(source: ImageDescription, name: str, form: _Form) -> str:
    """Why the image does not fit `form`; empty if it does."""
    samples = source.samples_per_pixel
    rules = (
        (source.bits_allocated not in form.bits_allocated, f"{source.bits_allocated} bits allocated"),
        (source.bits_stored > form.max_bits_stored, f"{source.bits_stored} bits stored"),
        (samples > 1 and source.bits_stored > form.colour_bits, f"colour of {source.bits_stored} bits"),
        (source.is_signed and not form.signed, "signed samples"),
        (source.is_float and not form.floats, "floating point samples"),
        (name == "PALETTE COLOR" and not form.palette, "palette colour"),
        (samples > 1 and name not in _COLOUR, "this colour space"),
        (name == "YBR_FULL" and not form.ybr, "luminance and chrominance"),
        (samples == 1 and name not in _GREY | {"PALETTE COLOR"}, "this Photometric Interpretation"),
        (form.lossy and source.high_bit != source.bits_stored - 1, "this High Bit"),
    )
    return next((f"it cannot hold {reason}" for applies, reason in rules if applies), "")


def _refuse(transfer_syntax_uid: str, reason: str) -> NotAcceptable:
    name = get_transfer_syntax(transfer_syntax_uid).name
    available = f'multipart/related; type="application/dicom"; transfer-syntax={EXPLICIT_VR_LE}'
    return NotAcceptable([available], f"the image is not converted into {name}: {reason}")
