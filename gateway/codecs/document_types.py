"""Media types of encapsulated documents (PS3.3 §A.45, §A.85, §A.104; PS3.18 §10.4.3.3.5).

The data set names the type in (0042,0012), which comes after the document itself; the SOP class says it beforehand.
"""

from __future__ import annotations

__all__ = ["DOCUMENT_TYPES", "ENCAPSULATED_DOCUMENT"]

ENCAPSULATED_DOCUMENT = "00420011"
"""Path of the document in its data set."""

DOCUMENT_TYPES = {
    "1.2.840.10008.5.1.4.1.1.104.1": "application/pdf",
    "1.2.840.10008.5.1.4.1.1.104.2": "text/xml",  # CDA
    "1.2.840.10008.5.1.4.1.1.104.3": "model/stl",
    "1.2.840.10008.5.1.4.1.1.104.4": "model/obj",
    "1.2.840.10008.5.1.4.1.1.104.5": "model/mtl",
}
"""Media type by SOP Class UID."""
