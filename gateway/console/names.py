"""The names of attributes and UIDs for the page: ``/console/names.json``, written from pydicom's dictionaries (PS3.6).

Not a DICOM format of any kind. Called by ``gateway/console/routes.py``.
"""

from __future__ import annotations

import json

from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom._uid_dict import UID_dictionary

__all__ = ["encode_names"]


def encode_names() -> bytes:
    """Write every name.

    Returns
    -------
    bytes
        UTF-8 JSON of about 200 KB: ``attributes`` by 8 upper-case hex digits, ``uids`` by UID. Attributes of
        repeating groups stand under their first group (``60000010``, PS3.5 §7.6).
    """
    attributes = {pattern.replace("x", "0"): entry[2] for pattern, entry in RepeatersDictionary.items()}
    attributes |= {f"{tag:08X}": entry[2] for tag, entry in DicomDictionary.items()}
    uids = {uid: entry[0] for uid, entry in UID_dictionary.items()}
    names = {"attributes": {tag: name for tag, name in attributes.items() if name}, "uids": uids}
    return json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()
