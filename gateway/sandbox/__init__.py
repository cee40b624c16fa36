"""An embedded DIMSE archive for the demo and for tests, on pynetdicom's own application entity.

Nothing of the rest of the gateway is imported here, so that the archive proves it independently.
"""

from gateway.sandbox.archive import SandboxArchive
from gateway.sandbox.behaviour import Behaviour, CommitmentAnswer, Disturbance, Fault, Moment
from gateway.sandbox.counters import Counters

__all__ = ["Behaviour", "CommitmentAnswer", "Counters", "Disturbance", "Fault", "Moment", "SandboxArchive"]
