"""What a request accepts, against what each kind of resource can be (PS3.18 §8.7.5–8.7.8, Table 10.4.4-1).

Text of the Accept header and of the ``accept`` query parameter in, small frozen values out, or one of the
exceptions that become 400, 406 and 415. No request objects: the handlers of ``gateway/web`` call this. What the
words mean is ``gateway/codecs/media_types.py``. One module a subject: `accepted` reads both lists and ranks offers,
the others know what instances, frames, documents, pictures and uploads can be.
"""

from gateway.web.negotiation.accepted import DICOM_JSON, DICOM_XML, join_lines, read_accept_parameter
from gateway.web.negotiation.documents import (
    DocumentForm,
    DocumentRepresentation,
    negotiate_metadata,
    negotiate_search,
    negotiate_store_response,
)
from gateway.web.negotiation.frames import AcceptableFrames, FrameRepresentation, negotiate_frames
from gateway.web.negotiation.instances import (
    AcceptableInstances,
    InstanceChoice,
    InstanceFrame,
    InstanceRepresentation,
    negotiate_instance_frame,
    negotiate_instances,
    negotiate_zip,
)
from gateway.web.negotiation.rendered import (
    AcceptableRendered,
    RenderedCategory,
    RenderedRepresentation,
    RenderedScope,
    negotiate_rendered,
)
from gateway.web.negotiation.uploads import read_store_content_type

__all__ = [
    "DICOM_JSON",
    "DICOM_XML",
    "AcceptableFrames",
    "AcceptableInstances",
    "AcceptableRendered",
    "DocumentForm",
    "DocumentRepresentation",
    "FrameRepresentation",
    "InstanceChoice",
    "InstanceFrame",
    "InstanceRepresentation",
    "RenderedCategory",
    "RenderedRepresentation",
    "RenderedScope",
    "join_lines",
    "negotiate_frames",
    "negotiate_instance_frame",
    "negotiate_instances",
    "negotiate_metadata",
    "negotiate_rendered",
    "negotiate_search",
    "negotiate_store_response",
    "negotiate_zip",
    "read_accept_parameter",
    "read_store_content_type",
]
