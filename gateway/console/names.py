"""The names of attributes and UIDs for the page: ``/console/names.json``, written from pydicom's dictionaries (PS3.6).

Not a DICOM format of any kind. Called by ``gateway/console/routes.py``.
"""

from __future__ import annotations

import json

from gateway.codecs.dictionary import list_attribute_names, list_uids

__all__ = ["encode_names"]


def encode_names() -> bytes:
    """Write every name.

    Returns
    -------
    bytes
        UTF-8 JSON of about 200 KB: ``attributes`` by 8 upper-case hex digits, ``uids`` by UID. Attributes of
        repeating groups stand under their first group (``60000010``, PS3.5 §7.6).
    """
    attributes = {tag.replace("x", "0"): name for tag, name in list_attribute_names().items() if name}
    names = {"attributes": attributes, "uids": {entry.uid: entry.name for entry in list_uids()}}
    return json.dumps(names, ensure_ascii=False, separators=(",", ":")).encode()
