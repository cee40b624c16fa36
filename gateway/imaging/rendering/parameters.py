"""How a picture is wanted: values of the query parameters of rendered resources, and their grammar (PS3.18 §8.3.5.1).

Not the query string itself, nor which parameters a service takes: ``web/rendered.py`` and ``web/uri.py`` split it and
call one parser a parameter. Everything is picklable, since it travels to a worker process.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.errors import BadParameter

__all__ = [
    "ANNOTATIONS",
    "MAX_SIDE",
    "FrameSource",
    "IccProfile",
    "NormalizedRegion",
    "RenderParameters",
    "RenderedPicture",
    "SourceRegion",
    "Viewport",
    "VoiFunction",
    "Window",
    "parse_annotation",
    "parse_iccprofile",
    "parse_quality",
    "parse_region",
    "parse_size",
    "parse_viewport",
    "parse_window",
    "parse_window_center_width",
]

MAX_SIDE = 8_192
"""Pixels of one side of a picture: more than any display, and 64 M pixels at most, which a worker can hold."""

ANNOTATIONS = ("patient", "technique")
"""Keywords of the annotation parameter that are supported (PS3.18 §8.3.5.1.1)."""

_DECIMAL = re.compile(r"[+-]?([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][+-]?[0-9]{1,2})?")
_POSITIVE = re.compile(r"[0-9]{1,9}")
_KEYWORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


class VoiFunction(StrEnum):
    """Values of VOI LUT Function (0028,1056), PS3.3 §C.11.2.1.3."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


class IccProfile(StrEnum):
    """Values of the iccprofile parameter (PS3.18 §8.3.5.1.5)."""

    NO = "no"
    YES = "yes"
    SRGB = "srgb"
    ADOBERGB = "adobergb"
    ROMMRGB = "rommrgb"


@dataclass(frozen=True, slots=True)
class Window:
    """Center and width in the units that the modality LUT gives, and how they are read (PS3.3 §C.11.2.1.2).

    Raises
    ------
    BadParameter
        A value that is not finite, a width below 1 (LINEAR) or not above 0.
    """

    center: float
    width: float
    function: VoiFunction = VoiFunction.LINEAR

    def __post_init__(self) -> None:
        if not (math.isfinite(self.center) and math.isfinite(self.width)):
            raise BadParameter("window", "center and width must be finite numbers")
        if self.width < 1 and self.function is VoiFunction.LINEAR:
            raise BadParameter("window", "the width of a linear window is 1 or more")
        if self.width <= 0:
            raise BadParameter("window", "the width is more than 0")


@dataclass(frozen=True, slots=True)
class SourceRegion:
    """The part of the image to be shown, in its pixels from the top left corner; None reaches to the edge."""

    x: float = 0.0
    y: float = 0.0
    width: float | None = None
    height: float | None = None
    flip_horizontally: bool = False
    flip_vertically: bool = False


@dataclass(frozen=True, slots=True)
class NormalizedRegion:
    """The part to be shown as fractions of the image, 0 to 1 from the top left corner (PS3.18 §9.5.1.2.5)."""

    xmin: float
    ymin: float
    xmax: float
    ymax: float


@dataclass(frozen=True, slots=True)
class Viewport:
    """The rectangle that the picture shall fit into, in pixels; a side that is None follows from the other."""

    width: int | None
    height: int | None
    region: SourceRegion | None = None


@dataclass(frozen=True, slots=True)
class FrameSource:
    """One frame as it is stored.

    Parameters
    ----------
    header : bytes
        The data set without its pixel data, Explicit VR Little Endian, no preamble, no File Meta Information.
    transfer_syntax_uid : str
        Of `frame`.
    frame : bytes
        Native: little endian, 1-bit frames packed from bit 0 of the first byte. Encapsulated: the codestream
        (of a video syntax: the whole stream).
    frame_number : int
        From 1, selects the functional groups and overlay frames that belong to it.
    """

    header: bytes = field(repr=False)
    transfer_syntax_uid: str
    frame: bytes = field(repr=False)
    frame_number: int = 1


@dataclass(frozen=True, slots=True)
class RenderParameters:
    """How pictures are to be made.

    Parameters
    ----------
    media_type : str
        A key of ``encoders.MEDIA_TYPES`` or ``animation.MEDIA_TYPES``.
    viewport, region, window : optional
        Absent: original size, whole image, the window that the image names (``voi.choose_voi``).
    quality : int, optional
        1 to 100, lossy media types only; 100 is the best.
    annotation : tuple of str
        Of `ANNOTATIONS`; drawn last.
    iccprofile : IccProfile, optional
        Absent: a profile of the image is passed on where the media type can carry one.
    presentation_state : bytes, optional
        A softcopy presentation state instance, encoded as `FrameSource.header` is.
    segmentations : tuple of FrameSource
        Segmentation frames of the size of the image, drawn over it in colour.
    superimposed : FrameSource, optional
        For a blending presentation state: the frame of the superimposed series.
    bits : int
        8, or 16 for grayscale in image/png, image/jp2 and image/jxl.
    """

    media_type: str = "image/jpeg"
    viewport: Viewport | None = None
    region: NormalizedRegion | None = None
    window: Window | None = None
    quality: int | None = None
    annotation: tuple[str, ...] = ()
    iccprofile: IccProfile | None = None
    presentation_state: bytes | None = field(default=None, repr=False)
    segmentations: tuple[FrameSource, ...] = ()
    superimposed: FrameSource | None = None
    bits: int = 8


@dataclass(frozen=True, slots=True)
class RenderedPicture:
    """An encoded picture, `width` by `height` pixels."""

    media_type: str
    data: bytes = field(repr=False)
    width: int
    height: int


def parse_window(text: str) -> Window:
    """Read ``center,width,function`` (PS3.18 §8.3.5.1.4).

    Raises
    ------
    BadParameter
        A value is missing or ill-formed, or no such window can be.
    """
    values = text.split(",")
    if len(values) != 3:
        raise BadParameter("window", "must be center,width,function")
    function = _FUNCTIONS.get(values[2].lower())
    if function is None:
        raise BadParameter("window", f"the function is one of {', '.join(_FUNCTIONS)}")
    return Window(_parse_decimal("window", values[0]), _parse_decimal("window", values[1]), function)


_FUNCTIONS = {"linear": VoiFunction.LINEAR, "linear-exact": VoiFunction.LINEAR_EXACT, "sigmoid": VoiFunction.SIGMOID}


def parse_window_center_width(center: str | None, width: str | None) -> Window | None:
    """Read windowCenter and windowWidth of the URI service, which come together or not at all (PS3.18 §9.5.1.2.6).

    Raises
    ------
    BadParameter
        One without the other, or not a number.
    """
    if center is None and width is None:
        return None
    if center is None or width is None:
        raise BadParameter("windowCenter", "windowCenter and windowWidth come together")
    return Window(_parse_decimal("windowCenter", center), _parse_decimal("windowWidth", width))


def parse_viewport(text: str, *, size_only: bool = False) -> Viewport:
    """Read ``vw,vh[,[sx],[sy],[sw],[sh]]`` (PS3.18 §8.3.5.1.3).

    Parameters
    ----------
    text : str
        The value, percent-decoded.
    size_only : bool
        Take no source region: thumbnails and presentation states (§8.3.5.2, §8.3.5.1.6).

    Raises
    ------
    BadParameter
        Ill-formed, a size of 0 or over `MAX_SIDE`, an empty source region, or a region that is not taken.
    """
    values = text.split(",")
    if not 2 <= len(values) <= 6 or (len(values) > 2 and values[-1] == ""):
        raise BadParameter("viewport", "must be vw,vh or vw,vh,sx,sy,sw,sh")
    if size_only and len(values) > 2:
        raise BadParameter("viewport", "takes only vw,vh here")
    width, height = (_parse_side("viewport", value) for value in values[:2])
    region = _parse_source_region([*values[2:], *[""] * (6 - len(values))]) if len(values) > 2 else None
    return Viewport(width, height, region)


def _parse_source_region(values: list[str]) -> SourceRegion:
    x, y, width, height = (_parse_decimal("viewport", value) if value else None for value in values)
    if width == 0 or height == 0:
        raise BadParameter("viewport", "the source region is empty")
    return SourceRegion(
        abs(x or 0.0),
        abs(y or 0.0),
        None if width is None else abs(width),
        None if height is None else abs(height),
        flip_horizontally=width is not None and width < 0,
        flip_vertically=height is not None and height < 0,
    )


def parse_size(rows: str | None, columns: str | None) -> Viewport | None:
    """Read rows and columns of the URI service; either may be absent (PS3.18 §9.5.1.2.4, §9.5.2.5).

    Raises
    ------
    BadParameter
        Not a positive integer, or over `MAX_SIDE`.
    """
    if rows is None and columns is None:
        return None
    return Viewport(
        None if columns is None else _parse_side("columns", columns),
        None if rows is None else _parse_side("rows", rows),
    )


def parse_region(text: str) -> NormalizedRegion:
    """Read ``xmin,ymin,xmax,ymax`` of the URI service (PS3.18 §9.5.1.2.5).

    Raises
    ------
    BadParameter
        Not four decimals with 0 ≤ min < max ≤ 1.
    """
    values = [_parse_decimal("region", value) for value in text.split(",")]
    if len(values) != 4:
        raise BadParameter("region", "must be xmin,ymin,xmax,ymax")
    xmin, ymin, xmax, ymax = values
    if not (0 <= xmin < xmax <= 1 and 0 <= ymin < ymax <= 1):
        raise BadParameter("region", "must hold 0 <= min < max <= 1")
    return NormalizedRegion(xmin, ymin, xmax, ymax)


def parse_quality(text: str, name: str = "quality") -> int:
    """Read a quality of 1 to 100 (PS3.18 §8.3.5.1.2); `name` is the parameter's name in this service.

    Raises
    ------
    BadParameter
        Not an integer of that range.
    """
    if not _POSITIVE.fullmatch(text) or not 1 <= int(text) <= 100:
        raise BadParameter(name, "must be an integer from 1 to 100")
    return int(text)


def parse_annotation(text: str, name: str = "annotation") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Read a list of keywords; quotes around them are tolerated (PS3.18 §8.3.5.1.1).

    Returns
    -------
    (tuple of str, tuple of str)
        Supported keywords in the order of `ANNOTATIONS`; unsupported ones, for the Warning header.

    Raises
    ------
    BadParameter
        Empty, or a value that is no keyword.
    """
    keywords = [value.strip().strip('"') for value in text.split(",")]
    if not all(_KEYWORD.fullmatch(keyword) for keyword in keywords):
        raise BadParameter(name, f"must be a list of keywords such as {', '.join(ANNOTATIONS)}")
    supported = tuple(keyword for keyword in ANNOTATIONS if keyword in keywords)
    return supported, tuple(dict.fromkeys(keyword for keyword in keywords if keyword not in ANNOTATIONS))


def parse_iccprofile(text: str) -> IccProfile:
    """Read one of the values of `IccProfile` (PS3.18 §8.3.5.1.5).

    Raises
    ------
    BadParameter
        Any other value.
    """
    try:
        return IccProfile(text)
    except ValueError:
        raise BadParameter("iccprofile", f"must be one of {', '.join(IccProfile)}") from None


def _parse_decimal(name: str, text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise BadParameter(name, "a value is not a decimal number")
    return float(text)


def _parse_side(name: str, text: str) -> int:
    if not _POSITIVE.fullmatch(text) or not 1 <= int(text) <= MAX_SIDE:
        raise BadParameter(name, f"sizes are integers from 1 to {MAX_SIDE}")
    return int(text)
