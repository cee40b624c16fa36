"""Text burned into a picture when the annotation parameter asks for it (PS3.18 §8.3.5.1.1).

``patient``: who was examined, in the upper left corner. ``technique``: how, in the lower left corner. Text stands in
white on a dark rim, in proportion to the picture. Nothing of it is logged.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset

from gateway.imaging.rendering.attributes import get_number, get_text
from gateway.imaging.rendering.colours import Colour

__all__ = ["draw_annotation", "draw_text", "load_font", "measure_text"]

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_WIDE_FONT = Path(
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
)  # where it is there: more scripts than Pillow's own
_LINES_A_PICTURE = 32
_SIZES = (8, 96)
_MOST_CHARACTERS = 80
_RIM = 1

_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_TECHNIQUE: dict[str, tuple[tuple[str, str, str], ...]] = {
    "": (("SliceThickness", "", " mm"),),
    "CT": (("KVP", "", " kV"), ("XRayTubeCurrent", "", " mA"), ("SliceThickness", "", " mm"),
           ("ConvolutionKernel", "kernel ", "")),
    "MR": (("ScanningSequence", "", ""), ("RepetitionTime", "TR ", " ms"), ("EchoTime", "TE ", " ms"),
           ("FlipAngle", "flip ", "°"), ("MagneticFieldStrength", "", " T"), ("SliceThickness", "", " mm")),
    "DX": (("KVP", "", " kV"), ("Exposure", "", " mAs"), ("BodyPartExamined", "", ""), ("ViewPosition", "", "")),
}  # fmt: skip
_LIKE_DX = frozenset({"CR", "MG", "RG", "RF", "XA", "PX", "IO"})


def draw_annotation(image: Image.Image, header: Dataset, kinds: tuple[str, ...]) -> None:
    """Draw the lines of each kind onto `image`, which is of mode L, I;16 or RGB."""
    margin = max(2, image.height // 64)
    font = load_font(image.height / _LINES_A_PICTURE)
    if "patient" in kinds and (text := "\n".join(_list_patient(header))):
        draw_text(image, (margin, margin), text, font)
    if "technique" in kinds and (text := "\n".join(_list_technique(header))):
        height = measure_text(text, font)[1]
        draw_text(image, (margin, image.height - margin - height), text, font)


def _list_patient(header: Dataset) -> list[str]:
    texts = (get_text(header, keyword) for keyword in _PATIENT)
    return [text.replace("^", " ").strip()[:_MOST_CHARACTERS] for text in texts if text]


def _list_technique(header: Dataset) -> list[str]:
    modality = get_text(header, "Modality")
    rows = _TECHNIQUE.get("DX" if modality in _LIKE_DX else modality, _TECHNIQUE[""])
    values = [f"{before}{text}{after}" for keyword, before, after in rows if (text := _shorten(header, keyword))]
    return [line[:_MOST_CHARACTERS] for line in (modality, *values) if line]


def _shorten(header: Dataset, keyword: str) -> str:
    """The value, a number with four digits that matter: machines write 1.4939999580383 for 1.5 T."""
    number = get_number(header, keyword)
    return get_text(header, keyword) if number is None else f"{number:.4g}"


@lru_cache(maxsize=16)
def load_font(size: float) -> _Font:
    """A font whose lines are about `size` pixels high, within limits."""
    height = min(max(round(size), _SIZES[0]), _SIZES[1])
    if _WIDE_FONT.is_file():
        return ImageFont.truetype(str(_WIDE_FONT), height)
    return ImageFont.load_default(height)


def measure_text(text: str, font: _Font) -> tuple[float, float]:
    """Width and height of the lines of `text` in pixels."""
    text = _clean(text)
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=font, stroke_width=_RIM)
    return box[2], box[3]


def _clean(text: str) -> str:
    """Lines of printable characters: the layout engine fails on some of the others."""
    return "\n".join("".join(letter if letter.isprintable() else " " for letter in line) for line in text.splitlines())


def draw_text(
    image: Image.Image, place: tuple[float, float], text: str, font: _Font, colour: Colour = (255, 255, 255)
) -> None:
    """Draw `text` with its upper left corner at `place`, on a rim that sets it off from any background."""
    draw = ImageDraw.Draw(image)
    fill, rim = _choose_inks(image.mode, colour)
    draw.multiline_text(place, _clean(text), fill=fill, font=font, stroke_width=_RIM, stroke_fill=rim)


def _choose_inks(mode: str, colour: Colour) -> tuple[int | Colour, int | Colour]:
    if mode == "RGB":
        return colour, (0, 0, 0)
    return sum(colour) // 3 * (257 if mode == "I;16" else 1), 0
