"""An association profile with which DCMTK's dcmqrscp takes and sends every transfer syntax it knows.

By itself dcmqrscp accepts uncompressed syntaxes and at most one compressed one. Written in the format of
DCMTK's asconfig.txt.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import uid

__all__ = ["association_profile"]

_UNCOMPRESSED = (uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian)
_COMPRESSED = (
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.JPEGLosslessSV1,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.RLELossless,
    uid.MPEG2MPML,
    uid.MPEG4HP41,
    uid.DeflatedExplicitVRLittleEndian,
)
_SENT_COMPRESSED = (uid.JPEGLosslessSV1, uid.JPEGBaseline8Bit, uid.JPEG2000Lossless)
_VERIFICATION = "1.2.840.10008.1.1"
# Patient Root and Study Root, each FIND, MOVE and GET (PS3.4 §C.6)
_QUERY_RETRIEVE = tuple(f"1.2.840.10008.5.1.4.1.2.{root}.{service}" for root in (1, 2) for service in (1, 2, 3))
# 27 classes: with four contexts each they fill the 128 contexts that one association can propose
_STORAGE = (
    uid.CTImageStorage,
    uid.EnhancedCTImageStorage,
    uid.MRImageStorage,
    uid.EnhancedMRImageStorage,
    uid.UltrasoundImageStorage,
    uid.UltrasoundMultiFrameImageStorage,
    uid.SecondaryCaptureImageStorage,
    uid.MultiFrameTrueColorSecondaryCaptureImageStorage,
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalMammographyXRayImageStorageForPresentation,
    uid.XRayAngiographicImageStorage,
    uid.NuclearMedicineImageStorage,
    uid.PositronEmissionTomographyImageStorage,
    uid.VLPhotographicImageStorage,
    uid.VLWholeSlideMicroscopyImageStorage,
    uid.VideoPhotographicImageStorage,
    uid.SegmentationStorage,
    uid.RTStructureSetStorage,
    uid.RTDoseStorage,
    uid.RTPlanStorage,
    uid.EncapsulatedPDFStorage,
    uid.BasicTextSRStorage,
    uid.EnhancedSRStorage,
    uid.ComprehensiveSRStorage,
    uid.GrayscaleSoftcopyPresentationStateStorage,
    uid.TwelveLeadECGWaveformStorage,
)


def association_profile(*, incoming: str, outgoing: str) -> str:
    """Text of a profile file with one profile for incoming and one for outgoing associations."""
    accepted = [(name, "Uncompressed") for name in (_VERIFICATION, *_QUERY_RETRIEVE)]
    accepted += [(name, "Any") for name in _STORAGE]
    # one context a syntax: dcmqrscp sends an object only where its own syntax was accepted
    sent = [(name, f"Sent{i}") for name in _STORAGE for i in range(len(_SENT_COMPRESSED))]
    sent += [(name, "Uncompressed") for name in _STORAGE]
    lines = [
        "[[TransferSyntaxes]]",
        *_numbered("Any", "TransferSyntax", (*_COMPRESSED, *_UNCOMPRESSED)),
        *_numbered("Uncompressed", "TransferSyntax", _UNCOMPRESSED),
    ]
    for i, name in enumerate(_SENT_COMPRESSED):
        lines += _numbered(f"Sent{i}", "TransferSyntax", (name,))
    lines.append("[[PresentationContexts]]")
    lines += _numbered("In", "PresentationContext", [f"{name}\\{syntaxes}" for name, syntaxes in accepted])
    lines += _numbered("Out", "PresentationContext", [f"{name}\\{syntaxes}" for name, syntaxes in sent])
    lines.append("[[SCPSCURoleSelection]]")
    lines += _numbered("InRoles", "Role", [f"{name}\\BOTH" for name in _STORAGE])
    lines.append("[[Profiles]]")
    lines += [f"[{incoming}]", "PresentationContexts = In", "SCPSCURoleSelection = InRoles"]
    lines += [f"[{outgoing}]", "PresentationContexts = Out", ""]
    return "\n".join(lines)


def _numbered(section: str, key: str, values: Sequence[str]) -> list[str]:
    return [f"[{section}]", *(f"{key}{number} = {value}" for number, value in enumerate(values, 1))]
