"""The colour space of a picture: the profile that is embedded, and conversion into another (PS3.18 §8.3.5.1.5).

The profile of a picture is that of its presentation state, of the frame's optical path, or of the image (PS3.3
§C.11.15); an image without one counts as sRGB. Grayscale pictures get one only when asked for, and become RGB for it.
"""

from __future__ import annotations

import io

from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from gateway.errors import BadParameter, ImagingFailed
from gateway.imaging.rendering.attributes import find_macro, get_items, get_text
from gateway.imaging.rendering.element_values import read_octets
from gateway.imaging.rendering.encoders import CARRIES_PROFILE
from gateway.imaging.rendering.icc_profiles import build_profile
from gateway.imaging.rendering.parameters import IccProfile

__all__ = ["apply_profile", "check_profile", "find_profile"]

_MOST_BYTES = 4 * 1024 * 1024
_UNREADABLE = (OSError, ValueError, ImageCms.PyCMSError)
_NAMED = (IccProfile.SRGB, IccProfile.ADOBERGB, IccProfile.ROMMRGB)


def check_profile(wanted: IccProfile | None, media_type: str) -> None:
    """Refuse a profile where the media type cannot carry one.

    Raises
    ------
    BadParameter
        As §8.3.5.1.5 demands.
    """
    if wanted not in (None, IccProfile.NO) and media_type not in CARRIES_PROFILE:
        raise BadParameter("iccprofile", f"{media_type} carries no ICC profile here")


def find_profile(header: Dataset, frame_number: int, presentation_state: Dataset | None) -> bytes | None:
    """ICC Profile (0028,2000) for one frame, None where there is none for RGB that can be read."""
    holders = [] if presentation_state is None else [presentation_state]
    for holder in (*holders, *_list_optical_paths(header, frame_number), header):
        profile = read_octets(holder, "ICCProfile")
        if profile and len(profile) <= _MOST_BYTES and _is_rgb(profile):
            return profile
    return None


def _list_optical_paths(header: Dataset, frame_number: int) -> list[Dataset]:
    """The optical path of the frame, or the only one there is (PS3.3 §C.8.12.5)."""
    macro = find_macro(header, frame_number, "OpticalPathIdentificationSequence")
    identifier = None if macro is None else get_text(macro, "OpticalPathIdentifier")
    paths = get_items(header, "OpticalPathSequence")
    return [path for path in paths if len(paths) == 1 or get_text(path, "OpticalPathIdentifier") == identifier]


def _is_rgb(profile: bytes) -> bool:
    try:
        return _open(profile).profile.xcolor_space.strip() == "RGB"
    except _UNREADABLE:
        return False


def _open(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def apply_profile(
    image: Image.Image, own: bytes | None, wanted: IccProfile | None, media_type: str
) -> tuple[Image.Image, bytes | None]:
    """Convert `image` where that is wanted, and choose the profile to embed.

    Parameters
    ----------
    image : PIL.Image.Image
        Mode L, I;16 or RGB.
    own : bytes, optional
        What `find_profile` found.
    wanted : IccProfile, optional
        Of the request.
    media_type : str
        Of the picture.

    Returns
    -------
    (PIL.Image.Image, bytes or None)
        The image in its colour space, and the profile.
    """
    if wanted is IccProfile.NO or media_type not in CARRIES_PROFILE:
        return image, None
    if wanted is None:
        return image, own if image.mode == "RGB" else None
    coloured = image if image.mode == "RGB" else _to_rgb(image)
    source = own if own is not None and image.mode == "RGB" else build_profile(IccProfile.SRGB)
    if wanted not in _NAMED:
        return coloured, source
    target = build_profile(wanted)
    return (coloured if target == source else _convert(coloured, source, target)), target


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "I;16":
        raise BadParameter("iccprofile", "pictures of 16 bits carry no ICC profile here")
    return image.convert("RGB")


def _convert(image: Image.Image, source: bytes, target: bytes) -> Image.Image:
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    try:
        converted = ImageCms.profileToProfile(image, _open(source), _open(target), renderingIntent=intent)
    except _UNREADABLE as error:
        raise ImagingFailed("the ICC profile of the image cannot be converted from") from error
    return image if converted is None else converted
