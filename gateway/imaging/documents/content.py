"""A structured report as a tree of plain values, whatever it shall become (PS3.3 §A.35, §C.17.3).

Words and numbers are made readable here once; ``html_page``, ``plain_text`` and ``pdf`` only lay them out. What breaks
its VR or is unknown is left out or shown as it is, so that one odd item does not cost the report.
"""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["ContentItem", "InstanceReference", "Report"]


@dataclass(frozen=True, slots=True)
class InstanceReference:
    """An instance that a content item refers to.

    Parameters
    ----------
    instance_uid : str
        SOP Instance UID.
    study_uid, series_uid : str
        Where the evidence sequences say it belongs, empty where they do not.
    frames : tuple of int
        Frame numbers from 1, empty for all.
    label : str
        What to call it, ``"CT Image, frame 3"``.
    """

    instance_uid: str
    study_uid: str
    series_uid: str
    frames: tuple[int, ...]
    label: str


@dataclass(frozen=True, slots=True)
class ContentItem:
    """A node of the content tree.

    Parameters
    ----------
    name : str
        Meaning of its concept name, empty where it has none.
    code : str
        The concept name as ``"DCM 121071"``.
    lines : tuple of str
        The value, line by line; empty for containers.
    value_code : str
        Of a coded value, as `code`.
    is_container : bool
        A heading with content below it.
    is_context : bool
        Says how or by whom its parent was observed, or modifies it, and is no finding by itself.
    position : str
        Place in the tree, ``"1.2.3"``, which other items may refer to.
    target : str
        Position of another item that stands here by reference.
    references : tuple of InstanceReference
        Images, waveforms and other instances.
    children : tuple of ContentItem
        In the order of the report.
    """

    name: str
    code: str = ""
    lines: tuple[str, ...] = field(default=(), repr=False)
    value_code: str = ""
    is_container: bool = False
    is_context: bool = False
    position: str = ""
    target: str = ""
    references: tuple[InstanceReference, ...] = ()
    children: tuple[ContentItem, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Report:
    """A whole report: `title`, rows of (label, value) about patient, study and document, and the tree."""

    title: str
    patient: tuple[tuple[str, str], ...] = field(repr=False)
    document: tuple[tuple[str, str], ...] = field(repr=False)
    root: ContentItem = field(repr=False)
