"""Which attributes belong to which Query/Retrieve level, and which of them a search returns.

Tables only: PS3.18 Tables 10.6.3-3 to -5 (returned attributes), PS3.4 §C.6.1.1 and §C.6.2.1 (keys) and, for
attributes that neither names, the modules of PS3.3 §C.7 that describe patient, study and series.
"""

from __future__ import annotations

from gateway.codecs.dictionary import tag_for_keyword
from gateway.resources import Level
from gateway.services.search.attributes import AttributePath, attribute_vr

__all__ = [
    "COMPUTED_STUDY_TAGS",
    "DATE_TIME_PAIRS",
    "INSTANCES_OF_SERIES",
    "INSTANCES_OF_STUDY",
    "LEVELS",
    "MODALITIES_IN_STUDY",
    "MODALITY",
    "OPTIONAL_KEYS",
    "REQUIRED_TAGS",
    "RETURN_KEYS",
    "SERIES_OF_STUDY",
    "SPECIFIC_CHARACTER_SET",
    "TIMEZONE",
    "UNIQUE_KEYS",
    "key_path",
    "level_of",
]

LEVELS = (Level.STUDY, Level.SERIES, Level.IMAGE)
"""From the top down, as Study Root knows them."""


def _tag(keyword: str) -> str:
    number = tag_for_keyword(keyword)
    if number is None:
        raise LookupError(keyword)
    return f"{number:08X}"


def key_path(name: str) -> AttributePath:
    """The path of a dotted name made of keywords.

    Raises
    ------
    LookupError
        No such keyword.
    """
    tags = tuple(_tag(keyword) for keyword in name.split("."))
    return AttributePath(tags, attribute_vr(tags[-1]))


def _paths(names: str) -> tuple[AttributePath, ...]:
    return tuple(key_path(name) for name in names.split())


SPECIFIC_CHARACTER_SET = "00080005"
TIMEZONE = "00080201"
_INSTANCE_AVAILABILITY = "00080056"
MODALITY = "00080060"
MODALITIES_IN_STUDY = "00080061"
SERIES_OF_STUDY = "00201206"
INSTANCES_OF_STUDY = "00201208"
INSTANCES_OF_SERIES = "00201209"
COMPUTED_STUDY_TAGS = (MODALITIES_IN_STUDY, SERIES_OF_STUDY, INSTANCES_OF_STUDY)
"""Study attributes that no instance carries; an archive may leave them out (PS3.4 §C.3.4)."""

UNIQUE_KEYS = {Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.IMAGE: "00080018"}

_REQUIRED = {
    Level.STUDY: _paths(
        "StudyDate StudyTime AccessionNumber ModalitiesInStudy ReferringPhysicianName PatientName PatientID"
        " PatientBirthDate PatientSex StudyInstanceUID StudyID NumberOfStudyRelatedSeries"
        " NumberOfStudyRelatedInstances"
    ),
    Level.SERIES: _paths("Modality SeriesInstanceUID SeriesNumber NumberOfSeriesRelatedInstances"),
    Level.IMAGE: _paths("SOPClassUID SOPInstanceUID InstanceNumber"),
}
_CONDITIONAL = {
    Level.STUDY: _paths("InstanceAvailability TimezoneOffsetFromUTC"),
    Level.SERIES: _paths(
        "TimezoneOffsetFromUTC SeriesDescription PerformedProcedureStepStartDate"
        " PerformedProcedureStepStartTime RequestAttributesSequence.ScheduledProcedureStepID"
        " RequestAttributesSequence.RequestedProcedureID"
    ),
    Level.IMAGE: _paths(
        "InstanceAvailability TimezoneOffsetFromUTC Rows Columns BitsAllocated NumberOfFrames"
        " AvailableTransferSyntaxUID"
    ),
}

REQUIRED_TAGS = {level: tuple(path.tag for path in paths) for level, paths in _REQUIRED.items()}
"""Type U and R: in every result, empty where the archive has no value."""

RETURN_KEYS = {level: (*_REQUIRED[level], *_CONDITIONAL[level]) for level in LEVELS}
"""Everything the tables name except Retrieve URL, which is made here."""

OPTIONAL_KEYS = {
    Level.STUDY: _paths(
        "SOPClassesInStudy AnatomicRegionsInStudyCodeSequence StudyDescription ProcedureCodeSequence"
        " NameOfPhysiciansReadingStudy AdmittingDiagnosesDescription ReferencedStudySequence"
        " IssuerOfPatientID ReferencedPatientSequence PatientBirthTime OtherPatientIDsSequence"
        " OtherPatientNames EthnicGroup PatientComments PatientAge PatientSize PatientWeight Occupation"
        " AdditionalPatientHistory NumberOfPatientRelatedStudies NumberOfPatientRelatedSeries"
        " NumberOfPatientRelatedInstances"
    ),
    Level.SERIES: _paths(
        "SeriesDate SeriesTime BodyPartExamined Laterality ProtocolName OperatorsName PerformingPhysicianName"
        " Manufacturer ManufacturerModelName InstitutionName StationName PatientPosition FrameOfReferenceUID"
        " PerformedProcedureStepID PerformedProcedureStepDescription"
    ),
    Level.IMAGE: _paths(
        "AlternateRepresentationSequence RelatedGeneralSOPClassUID ConceptNameCodeSequence"
        " ContentTemplateSequence ContainerIdentifier SpecimenDescriptionSequence ContentDate ContentTime"
        " AcquisitionDate AcquisitionTime AcquisitionNumber ImageType"
    ),
}
"""What ``includefield=all`` adds (PS3.18 §10.6.3.3; PS3.4 §C.6.1.1.3–5)."""

DATE_TIME_PAIRS = {
    _tag(f"{stem}Date"): _tag(f"{stem}Time")
    for stem in (
        "Study Series Acquisition Content InstanceCreation PatientBirth PerformedProcedureStepStart"
        " PerformedProcedureStepEnd".split()
    )
}
"""Date → time attributes that form one interval when both are ranges (PS3.18 §8.3.4.1.1)."""

_STUDY_LEVEL = {path.tag for path in (*RETURN_KEYS[Level.STUDY], *OPTIONAL_KEYS[Level.STUDY])} - {
    _INSTANCE_AVAILABILITY,
    TIMEZONE,
}
_STUDY_LEVEL |= {
    _tag(name)
    for name in (
        "PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence ReferringPhysicianIdentificationSequence"
        " PhysiciansReadingStudyIdentificationSequence ConsultingPhysicianName AccessionNumber"
        " IssuerOfAccessionNumberSequence RequestingService RequestingServiceCodeSequence AdmissionID"
        " IssuerOfAdmissionIDSequence ServiceEpisodeID ServiceEpisodeDescription ReasonForVisit"
        " ReasonForPerformedProcedureCodeSequence AdmittingDiagnosesCodeSequence OtherStudyNumbers"
        " ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName ClinicalTrialSiteID"
        " ClinicalTrialSiteName ClinicalTrialSubjectID ClinicalTrialSubjectReadingID ClinicalTrialTimePointID"
        " ClinicalTrialTimePointDescription PatientIdentityRemoved DeidentificationMethod"
        " StudyStatusID StudyPriorityID RequestingPhysician"
    ).split()
}
_SERIES_LEVEL = {path.tag for path in (*RETURN_KEYS[Level.SERIES], *OPTIONAL_KEYS[Level.SERIES])} - {TIMEZONE}
_SERIES_LEVEL |= {
    _tag(name)
    for name in (
        "SeriesDescriptionCodeSequence PerformingPhysicianIdentificationSequence"
        " OperatorIdentificationSequence ReferencedPerformedProcedureStepSequence"
        " RelatedSeriesSequence PerformedProcedureStepEndDate PerformedProcedureStepEndTime"
        " PerformedProtocolCodeSequence CommentsOnThePerformedProcedureStep AnatomicalOrientationType"
        " SmallestPixelValueInSeries LargestPixelValueInSeries PositionReferenceIndicator"
        " InstitutionAddress InstitutionalDepartmentName DeviceSerialNumber SoftwareVersions"
        " ClinicalTrialCoordinatingCenterName ClinicalTrialSeriesID ClinicalTrialSeriesDescription"
        " TreatmentSessionUID PresentationIntentType"
    ).split()
}


def level_of(path: AttributePath) -> Level | None:
    """The level `path` belongs to; None for what belongs to whatever level is searched (private, time zone,
    availability).

    Group 0010 describes the patient, whose attributes Study Root keeps with the study. What no table names is
    an attribute of instances.
    """
    tag = path.tag
    if tag in (TIMEZONE, _INSTANCE_AVAILABILITY) or int(tag[:4], 16) % 2:
        return None
    if tag in _STUDY_LEVEL or tag.startswith("0010"):
        return Level.STUDY
    return Level.SERIES if tag in _SERIES_LEVEL else Level.IMAGE
