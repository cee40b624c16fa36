"""Softcopy presentation states: how somebody decided an image shall be shown (PS3.3 §A.33, PS3.4 §N.2).

Grayscale, color, pseudo-color and blending states. What a state says takes the place of what the image says: a state
without a modality, VOI or presentation LUT means none. Called by ``composition`` and ``render``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydicom.dataset import Dataset

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.aspect import choose_aspect
from gateway.imaging.rendering.attributes import get_items, get_number, get_numbers, get_text, get_texts, read_header
from gateway.imaging.rendering.colours import Colour, read_colour
from gateway.imaging.rendering.geometry import Presentation
from gateway.imaging.rendering.graphics import Graphic, Text, get_layer_colour, get_layer_order, read_graphics
from gateway.imaging.rendering.lookup_tables import LookupTable
from gateway.imaging.rendering.modality import Rescale, read_modality
from gateway.imaging.rendering.overlays import GROUPS, Mask, read_overlay
from gateway.imaging.rendering.presentation_lut import PresentationLut, read_presentation_lut
from gateway.imaging.rendering.voi import Voi, read_voi

__all__ = ["PresentationState", "StateKind", "read_presentation_state"]

_WHITE: Colour = (255, 255, 255)
_MOST_AREA = 16_384  # pixels of one side of a displayed area
_MOST_MAGNIFICATION = 64.0


class StateKind(StrEnum):
    """Kinds of states, by SOP class (PS3.4 §B.5)."""

    GRAYSCALE = "1.2.840.10008.5.1.4.1.1.11.1"
    COLOR = "1.2.840.10008.5.1.4.1.1.11.2"
    PSEUDO_COLOR = "1.2.840.10008.5.1.4.1.1.11.3"
    BLENDING = "1.2.840.10008.5.1.4.1.1.11.4"


_KINDS = {kind.value: kind for kind in StateKind}


@dataclass(frozen=True, slots=True)
class PresentationState:
    """A state as it applies to one frame of one image.

    Parameters
    ----------
    data_set : pydicom.Dataset
        The whole state.
    kind : StateKind
        Its SOP class.
    instance_uid, frame_number
        The frame that it is applied to.
    """

    data_set: Dataset
    kind: StateKind
    instance_uid: str
    frame_number: int

    def _select(self, holder: Dataset, keyword: str) -> list[Dataset]:
        """Items of a sequence that apply to the frame: those that refer to it, and those that refer to nothing."""
        return [item for item in get_items(holder, keyword) if self._applies(item)]

    def _applies(self, item: Dataset) -> bool:
        references = get_items(item, "ReferencedImageSequence")
        return not references or any(self._is_meant(reference) for reference in references)

    def _is_meant(self, reference: Dataset) -> bool:
        frames = get_numbers(reference, "ReferencedFrameNumber")
        is_frame = not frames or self.frame_number in frames
        return is_frame and get_text(reference, "ReferencedSOPInstanceUID") == self.instance_uid

    def read_modality(self, *, is_signed: bool) -> Rescale | LookupTable:
        """The modality LUT that applies."""
        return read_modality(self._find_input("UNDERLYING"), is_signed=is_signed)

    def read_voi(self, *, is_signed: bool) -> Voi | None:
        """The VOI LUT that applies, None where the whole range is meant."""
        for item in self._select(self._find_input("UNDERLYING"), "SoftcopyVOILUTSequence"):
            return read_voi(item, is_signed=is_signed)
        return None

    def find_superimposed(self) -> Dataset:
        """The Blending Sequence item of the superimposed images."""
        return self._find_input("SUPERIMPOSED")

    def _find_input(self, position: str) -> Dataset:
        """What holds the LUT modules: the state, or of a blending state the item of that position (§C.11.14)."""
        if self.kind is not StateKind.BLENDING:
            return self.data_set
        inputs = get_items(self.data_set, "BlendingSequence")
        found = [item for item in inputs if get_text(item, "BlendingPosition") == position]
        if not found:
            raise ImagingFailed(f"the blending presentation state has no {position} images")
        return found[0]

    @property
    def presentation_lut(self) -> PresentationLut:
        """The presentation LUT that applies; none where the state has none."""
        return read_presentation_lut(self.data_set) or PresentationLut()

    @property
    def opacity(self) -> float:
        """Of the superimposed images, 0 to 1."""
        return min(max(get_number(self.data_set, "RelativeOpacity", 0.5) or 0.0, 0.0), 1.0)

    def read_presentation(self, rows: int, columns: int) -> Presentation:
        """Displayed area, rotation, flip and size; the whole image where the state names no area for it."""
        turned = int(get_number(self.data_set, "ImageRotation", 0) or 0) % 360
        is_flipped = get_text(self.data_set, "ImageHorizontalFlip") == "Y"
        rotation = turned if turned in (90, 180, 270) else 0
        for item in self._select(self.data_set, "DisplayedAreaSelectionSequence"):
            keywords = ("PresentationPixelSpacing", "PresentationPixelAspectRatio")
            area = _read_area(item, rows, columns)
            return Presentation(area, rotation, is_flipped, choose_aspect([item], keywords), _read_magnification(item))
        return Presentation((0, 0, columns, rows), rotation, is_flipped)

    def read_graphics(self) -> list[Graphic | Text]:
        """Graphic annotation of the frame, lowest layer first."""
        layers = get_items(self.data_set, "GraphicLayerSequence")
        items = self._select(self.data_set, "GraphicAnnotationSequence")
        items.sort(key=lambda item: get_layer_order(layers, get_text(item, "GraphicLayer")))
        found = []
        for item in items:
            found += read_graphics(item, get_layer_colour(layers, get_text(item, "GraphicLayer"), _read_layer, _WHITE))
        return found

    def read_overlays(self, header: Dataset, shape: tuple[int, int]) -> list[tuple[Mask, Colour]]:
        """The planes that the state activates, its own or those of the image (§C.11.7), with their colours."""
        layers = get_items(self.data_set, "GraphicLayerSequence")
        found = []
        for group in GROUPS:
            names = get_texts(self.data_set, group << 16 | 0x1001)
            if not names or not names[0]:
                continue
            own = read_overlay(self.data_set, group, shape, self.frame_number)
            mask = read_overlay(header, group, shape, self.frame_number) if own is None else own
            if mask is not None:
                found.append((mask, get_layer_colour(layers, names[0], _read_layer, _WHITE)))
        return found


def _read_layer(layer: Dataset) -> Colour:
    return read_colour(
        layer,
        "GraphicLayerRecommendedDisplayCIELabValue",
        "GraphicLayerRecommendedDisplayGrayscaleValue",
        _WHITE,
    )


def _read_area(item: Dataset, rows: int, columns: int) -> tuple[int, int, int, int]:
    """Corners in any order, since they are named as displayed, that is after rotation and flip (§C.10.4)."""
    first = get_numbers(item, "DisplayedAreaTopLeftHandCorner")
    second = get_numbers(item, "DisplayedAreaBottomRightHandCorner")
    if len(first) != 2 or len(second) != 2:
        return 0, 0, columns, rows
    (left, right), (top, bottom) = (sorted((int(a), int(b))) for a, b in zip(first, second, strict=True))
    if right - left >= _MOST_AREA or bottom - top >= _MOST_AREA:
        raise ImagingFailed("the displayed area of the presentation state is too large")
    return left - 1, top - 1, right, bottom


def _read_magnification(item: Dataset) -> float | None:
    if get_text(item, "PresentationSizeMode") != "MAGNIFY":
        return None
    ratio = get_number(item, "PresentationPixelMagnificationRatio", 1.0) or 1.0
    return min(max(ratio, 1 / _MOST_MAGNIFICATION), _MOST_MAGNIFICATION)


def read_presentation_state(data: bytes, header: Dataset, frame_number: int) -> PresentationState:
    """Read a state for one frame of the image of `header`.

    Parameters
    ----------
    data : bytes
        The state's data set, Explicit VR Little Endian, no preamble.
    header : pydicom.Dataset
        Of the image.
    frame_number : int
        From 1.

    Raises
    ------
    ImagingFailed
        Not a presentation state of a kind that is supported.
    """
    data_set = read_header(data)
    kind = _KINDS.get(get_text(data_set, "SOPClassUID"))
    if kind is None:
        raise ImagingFailed("the instance is no presentation state that is supported")
    return PresentationState(data_set, kind, get_text(header, "SOPInstanceUID"), frame_number)
