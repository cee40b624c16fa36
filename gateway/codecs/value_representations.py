"""Value representations: which have a 32-bit length, which are words, and which one an implicit VR element has.

Facts only (PS3.5 §6.2, §7.1.2, §7.3); the dictionaries are pydicom's. ``tokens`` reads with them, ``reencode`` writes.
"""

from __future__ import annotations

from array import array
from functools import lru_cache

from gateway.codecs import Buffer
from gateway.codecs.dictionary import private_dictionary_vr, public_dictionary_vr

__all__ = ["LONG_VRS", "SHORT_VRS", "WORD_SIZES", "choose_ambiguous_vr", "look_up_vr", "swap_words"]

LONG_VRS = {vr.encode(): vr for vr in "OB OD OF OL OV OW SQ SV UC UN UR UT UV".split()}
"""VRs written with two reserved bytes and a 32-bit length (PS3.5 Table 7.1-1), by their two bytes."""

SHORT_VRS = {vr.encode(): vr for vr in "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()}
"""VRs written with a 16-bit length (PS3.5 Table 7.1-2), by their two bytes."""

WORD_SIZES = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
"""Bytes a word of the value has, for the VRs subject to byte ordering (PS3.5 §7.3); AT is two words of two bytes."""

_WORD_TYPES = {2: "H", 4: "I", 8: "Q"}

_LUT_DATA = 0x00283006


@lru_cache(maxsize=16384)
def _public_vr(tag: int) -> str:
    """VR by the dictionary of PS3.6, repeating groups included; it may be ambiguous ("US or SS")."""
    try:
        vr = public_dictionary_vr(tag)
    except KeyError:
        return "UN"
    return vr if vr != "NONE" else "UN"


@lru_cache(maxsize=4096)
def _private_vr(tag: int, creator: str) -> str:
    try:
        vr = private_dictionary_vr(tag, creator)
    except KeyError:
        return "UN"
    return "OB or OW" if vr == "OB_OW" else vr


def look_up_vr(tag: int, creator: str | None) -> str:
    """Return the VR of an element written without one.

    Parameters
    ----------
    tag : int
        Group in the upper 16 bits.
    creator : str or None
        Of a private element, the private creator its block is reserved by; None where nothing reserves it.

    Returns
    -------
    str
        "UL" for group lengths (PS3.5 §7.2), "LO" for private creators (§7.8.1), "UN" for what no dictionary knows
        (§6.2.2 note), or an ambiguous one such as "US or SS" for `choose_ambiguous_vr`.
    """
    if not tag & 0xFFFF:
        return "UL"
    if not tag & 0x10000:
        return _public_vr(tag)
    if 0x10 <= tag & 0xFFFF <= 0xFF:
        return "LO"
    return "UN" if creator is None else _private_vr(tag, creator)


def choose_ambiguous_vr(vr: str, tag: int, *, pixel_representation: int | None, lut_entries: int | None) -> str:
    """Choose among the VRs that the dictionary leaves open, for an element in Implicit VR.

    Parameters
    ----------
    vr : str
        "US or SS", "OB or OW", "US or OW" or "US or SS or OW".
    tag : int
        Of the element.
    pixel_representation : int or None
        (0028,0103) of the nearest enclosing data set that had it before this element; None where none had.
    lut_entries : int or None
        First value of LUT Descriptor (0028,3002) in the same data set.

    Returns
    -------
    str
        "US or SS": by Pixel Representation, US where it is absent, since then nothing is signed
        (PS3.3 §C.7.6.3, §C.11.1, §C.7.5.1.1.2).
        "OB or OW": Pixel Data, Overlay Data, Waveform Data and Curve Data in Implicit VR are OW (PS3.5 §A.1, §8.1.2,
        §8.3; PS3.3 §C.10.9.1.5).
        LUT Data: US where its descriptor counts one entry (PS3.3 §C.11.1.1.1), else OW, which no length limits.
    """
    if vr == "US or SS":
        return "SS" if pixel_representation else "US"
    return "US" if tag == _LUT_DATA and lut_entries == 1 else "OW"


def swap_words(data: Buffer, size: int) -> bytes:
    """Return `data` with the bytes of each word of `size` (2, 4 or 8) bytes reversed; a rest of a word stays."""
    whole = len(data) - len(data) % size
    words = array(_WORD_TYPES[size], bytes(data[:whole]))
    words.byteswap()
    return words.tobytes() + bytes(data[whole:])
