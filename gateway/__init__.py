"""A DICOMweb origin server that answers from DIMSE archives (a DIMSE proxy, PS3.18 §3.9).

The rings, imports pointing inwards only: ``web`` → ``services`` → ``dimse`` → ``dimse.ul``; ``codecs``
are pure; ``app`` wires them. See ``docs/architecture.md``.
"""

__version__ = "0.1.0"

IMPLEMENTATION_CLASS_UID = "2.25.120563834191778826497710253298687559146"
"""Implementation Class UID sent in every association (PS3.7 §D.3.3.2)."""

IMPLEMENTATION_VERSION_NAME = "DICOMWEBGW_010"
"""Implementation Version Name, at most 16 characters (PS3.7 §D.3.3.2)."""
