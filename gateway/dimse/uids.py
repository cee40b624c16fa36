"""UIDs of the services the gateway uses as SCU or SCP (PS3.4 Annexes A, C, J, Y, Z; PS3.6 Annex A)."""

from __future__ import annotations

__all__ = [
    "COMPOSITE_ROOT_GET",
    "QR_TRANSFER_SYNTAXES",
    "STORAGE_COMMITMENT",
    "STORAGE_COMMITMENT_INSTANCE",
    "STUDY_ROOT_FIND",
    "STUDY_ROOT_GET",
    "STUDY_ROOT_MOVE",
    "VERIFICATION",
    "WITHOUT_BULK_DATA_GET",
]

VERIFICATION = "1.2.840.10008.1.1"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"
COMPOSITE_ROOT_GET = "1.2.840.10008.5.1.4.1.2.4.3"
"""Composite Instance Root Retrieve: instances by their UID, or frames of one (PS3.4 Annex Y)."""
WITHOUT_BULK_DATA_GET = "1.2.840.10008.5.1.4.1.2.5.3"
"""Composite Instance Retrieve Without Bulk Data (PS3.4 Annex Z)."""

STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 Annex J)."""
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
"""The well-known instance that all its actions and events are about."""

QR_TRANSFER_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
"""Explicit and Implicit VR Little Endian, for commands whose data set is an identifier."""
