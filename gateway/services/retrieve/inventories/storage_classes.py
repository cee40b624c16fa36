"""Which storage classes an instance may be of, when the archive does not tell (PS3.4 Annex B.5).

Some archives leave SOP Class UID out of image-level answers. A C-GET must offer contexts for the classes to come,
so the modality of the series is taken for a hint, and the whole list is gone through in portions after that.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.codecs.dictionary import list_uids

__all__ = ["ALL_STORAGE_CLASSES", "guess_classes"]

_ROOT = "1.2.840.10008.5.1.4.1.1."
_ENDINGS = ("Storage", "Storage - For Presentation", "Storage - For Processing")
_NOT_STORED = frozenset({"1.2.840.10008.1.3.10"})

_BY_MODALITY = {
    "CR": ("1",),
    "CT": ("2", "2.1", "2.2"),
    "DX": ("1.1", "1.1.1"),
    "ECG": ("9.1.1", "9.1.2", "9.1.3"),
    "DOC": ("104.1", "104.2"),
    "M3D": ("104.3", "104.4", "104.5"),
    "HD": ("9.2.1",),
    "KO": ("88.59",),
    "MG": ("1.2", "1.2.1", "13.1.3"),
    "MR": ("4", "4.1", "4.2", "4.3", "4.4"),
    "NM": ("20",),
    "OT": ("7", "104.1"),
    "PR": ("11.1", "11.2", "11.3", "11.4"),
    "PT": ("128", "128.1", "130"),
    "REG": ("66.1", "66.3"),
    "RF": ("12.2", "12.2.1"),
    "RTDOSE": ("481.2",),
    "RTIMAGE": ("481.1",),
    "RTPLAN": ("481.5", "481.8"),
    "RTSTRUCT": ("481.3",),
    "RWV": ("67",),
    "SEG": ("66.4", "66.7", "66.5"),
    "SM": ("77.1.6",),
    "SR": ("88.11", "88.22", "88.33", "88.34", "88.67"),
    "US": ("6.1", "3.1", "6.2"),
    "XA": ("12.1", "12.1.1", "13.1.1"),
    "XC": ("77.1.4", "77.1.4.1"),
}
"""The suffixes of the classes that a modality (0008,0060) commonly makes."""

_COMMON = ("7", "7.2", "7.3", "7.4")
"""Secondary captures, which appear under any modality."""

_WITHOUT_HINT = ("2", "4", "1", "1.1", "1.2", "6.1", "3.1", "20", "128", "12.1", "88.33", "88.22", "11.1", "104.1")


_STANDARD = (
    uid for uid, name, kind in list_uids() if kind == "SOP Class" and name.endswith(_ENDINGS) and uid not in _NOT_STORED
)
_NEWER = (_ROOT + suffix for suffixes in _BY_MODALITY.values() for suffix in suffixes)  # than the dictionary

ALL_STORAGE_CLASSES = tuple(dict.fromkeys((*_STANDARD, *_NEWER)))
"""Every storage class of PS3.6, retired ones included, for archives keep what is old."""


def guess_classes(modalities: Iterable[str]) -> tuple[str, ...]:
    """The likely classes of instances in series of these modalities; the commonest of all where none is known."""
    suffixes = [suffix for modality in modalities for suffix in _BY_MODALITY.get(modality, ())]
    return tuple(dict.fromkeys(_ROOT + suffix for suffix in (*(suffixes or _WITHOUT_HINT), *_COMMON)))
