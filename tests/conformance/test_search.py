"""The Search transaction, one case per statement of PS3.18 §8.3.4 and §10.6; sections stand in the docstrings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest

from gateway.sandbox import SandboxArchive
from gateway.sandbox.behaviour import Behaviour
from tests.support.conformance_site import JSON, Site, open_site
from tests.support.small_archive import CT_COUNT, CT_SERIES, CT_STUDY, EMPTY_STUDY, ROOT, US_STUDY
from tests.support.web_client import WebResponse

STUDY_UID, SERIES_UID, INSTANCE_UID = "0020000D", "0020000E", "00080018"
STUDY_TAGS = (
    "00080020 00080030 00080050 00080061 00080090 00100010 00100020 00100030 00100040 0020000D 00200010 00201206"
    " 00201208 00081190"
).split()
SERIES_TAGS = "00080060 0020000E 00200011 00201209 00081190".split()
INSTANCE_TAGS = "00080016 00080018 00200013 00081190".split()
RESOURCES = {  # path → attributes that each result has (Tables 10.6.3-3 to -5)
    "/studies": STUDY_TAGS,
    f"/studies/{CT_STUDY}/series": SERIES_TAGS,
    f"/studies/{EMPTY_STUDY}/series": SERIES_TAGS,
    f"/studies/{CT_STUDY}/instances": INSTANCE_TAGS + SERIES_TAGS,
    f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances": INSTANCE_TAGS,
    "/series": SERIES_TAGS + STUDY_TAGS,
    "/instances": INSTANCE_TAGS + SERIES_TAGS + STUDY_TAGS,
}
SINGLE_RESULT = f"/studies?StudyInstanceUID={CT_STUDY}"


def values(response: WebResponse, tag: str) -> set[Any]:
    """The first values of an attribute in all results."""
    assert response.status == 200, (response.status, response.body)
    return {(result.get(tag, {}).get("Value") or [None])[0] for result in response.json}


def uids(response: WebResponse, tag: str = STUDY_UID) -> set[str]:
    """The UIDs of the results without the root of the test data."""
    found = [result[tag]["Value"][0].removeprefix(f"{ROOT}.") for result in response.json]
    assert response.status == 200 and len(found) == len(set(found))
    return set(found)


# --- resources and returned attributes ---


@pytest.mark.parametrize(("path", "tags"), RESOURCES.items())
@pytest.mark.parametrize("switches", [{}, {"omit_optional_keys": True}, {"refuse_relational": True}], ids=str)
def test_required_attributes_are_in_each_result(
    archive: SandboxArchive, path: str, tags: list[str], switches: dict[str, bool]
) -> None:
    """Tables 10.6.3-3 to 10.6.3-5: type U and R, empty if unknown, whatever the archive leaves out."""
    archive.behaviour = Behaviour(**switches)
    with open_site(archive) as site:
        results = site.get(path).json
    assert results
    for result in results:
        assert set(tags) <= set(result), set(tags) - set(result)


@pytest.mark.parametrize("switches", [{}, {"omit_optional_keys": True}, {"repeat_answers": True}], ids=str)
def test_counts_and_modalities_are_right(archive: SandboxArchive, switches: dict[str, bool]) -> None:
    """Table 10.6.3-3: (0008,0061), (0020,1206), (0020,1208); Table 10.6.3-4: (0020,1209)."""
    archive.behaviour = Behaviour(**switches)
    with open_site(archive) as site:
        (study,) = site.get(SINGLE_RESULT).json
        series = site.get(f"/studies/{CT_STUDY}/series").json
    assert sorted(study["00080061"]["Value"]) == ["CT", "MR", "US"]
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([3], [CT_COUNT + 2])
    counts = {one[SERIES_UID]["Value"][0]: one["00201209"]["Value"] for one in series}
    assert counts == {CT_SERIES: [CT_COUNT], f"{CT_STUDY}.2": [1], f"{CT_STUDY}.3": [1]}


def test_an_attribute_without_value_has_none(site: Site) -> None:
    """§10.6.3.3 and F.2.5: an empty attribute is an object with its VR alone."""
    (study,) = site.get(f"/studies?StudyInstanceUID={EMPTY_STUDY}").json
    assert study["00080020"] == {"vr": "DA"}
    assert study["00100010"] == {"vr": "PN"}


@pytest.mark.parametrize("path", RESOURCES)
def test_retrieve_url_is_the_resource(site: Site, path: str) -> None:
    """Tables 10.6.3-3 to -5: Retrieve URL (0008,1190), VR UR, absolute; what it names can be retrieved."""
    result = site.get(path).json[0]
    assert result["00081190"]["vr"] == "UR"
    (url,) = result["00081190"]["Value"]
    expected = f"{site.url}/studies/{result[STUDY_UID]['Value'][0]}"
    for segment, tag in (("series", SERIES_UID), ("instances", INSTANCE_UID)):
        if path.rpartition("/")[2] in ("series", "instances") and tag in result:
            expected += f"/{segment}/{result[tag]['Value'][0]}"
    assert url == expected
    assert site.get(url.removeprefix(site.url), "*/*").status == 200


def test_available_transfer_syntaxes_are_told(site: Site) -> None:
    """Table 10.6.3-5: Available Transfer Syntax UID (0008,3002) as the archive knows it."""
    (result,) = site.get(f"/studies/{US_STUDY}/series/{US_STUDY}.1/instances").json
    assert result["00083002"]["Value"] == ["1.2.840.10008.1.2.4.90"]


# --- matching ---


class Sites(dict[str, Site]):
    """A gateway for each kind of archive, opened when asked for: each learns what its archive negotiates."""

    def __init__(self, archive: SandboxArchive, closing: ExitStack) -> None:
        self._archive = archive
        self._closing = closing

    def __missing__(self, kind: str) -> Site:
        self[kind] = self._closing.enter_context(open_site(self._archive))
        return self[kind]


@pytest.fixture(scope="module")
def sites(small_archive: SandboxArchive) -> Iterator[Sites]:
    with ExitStack() as closing:
        yield Sites(small_archive, closing)


MATCHES = [  # query of /studies → the studies found
    ("keyword", "PatientID=P-1", "1"),
    ("tag", "00100020=P-1", "1"),
    ("lower-case-hexadecimal", f"0020000d={CT_STUDY}", "1"),
    ("path-of-the-series-level", "ModalitiesInStudy=MR", "1 3"),
    ("computed-modalities", "00080061=US", "1 2"),
    ("wild-card-asterisk", "PatientName=M*", "1"),
    ("wild-card-question-mark", "PatientID=P-%3F", "1 2"),
    ("wild-card-alone-is-universal", "PatientID=*", "1 2 3"),
    ("empty-value-is-universal", "PatientID=", "1 2 3"),
    ("attribute-without-value-is-universal", "PatientID", "1 2 3"),
    ("case-matters-but-for-names", "PatientID=p-1", ""),
    ("names-are-compared-without-case", "PatientName=doe%5EJOHN", "2"),
    ("utf-8-percent-encoded", "PatientName=M%C3%BCller%5EAnna", "1"),
    ("uid-list-by-comma", f"StudyInstanceUID={CT_STUDY},{US_STUDY}", "1 2"),
    ("uid-list-by-encoded-comma", f"StudyInstanceUID={CT_STUDY}%2C{US_STUDY}", "1 2"),
    ("uid-list-by-backslash", f"StudyInstanceUID={CT_STUDY}%5C{US_STUDY}", "1 2"),
    ("date", "StudyDate=20240105", "1"),
    ("date-range", "StudyDate=20240101-20240131", "1"),
    ("date-range-open-below", "StudyDate=-20240131", "1"),
    ("date-range-open-above", "StudyDate=20240201-", "2"),
    ("time-range", "StudyTime=2200-2359", "2"),
    ("combined-date-and-time", "StudyDate=20240105-20240210&StudyTime=1200-2230", ""),
    ("combined-date-and-time-spans-midnight", "StudyDate=20240105-20240210&StudyTime=1000-2330", "1 2"),
    ("all-keys-together", "PatientID=P-*&StudyDate=20240201-", "2"),
    ("plus-is-a-plus", "AccessionNumber=A+1", "1"),
    ("plus-percent-encoded", "AccessionNumber=A%2B1", "1"),
    ("decoded-once-only", "PatientID=P%252D1", ""),
    ("decoded-before-splitting", f"StudyInstanceUID=1.2.3%2C{US_STUDY}", "2"),
    ("unknown-parameter-is-ignored", "PatientID=P-1&_=1700000000&orderby=StudyDate", "1"),
    ("nothing-found", "PatientID=NOBODY", ""),
    ("fuzzy-off", "PatientName=Doe*&fuzzymatching=false", "2"),
]


@pytest.mark.parametrize(("query", "found"), [pytest.param(q, f, id=name) for name, q, f in MATCHES])
@pytest.mark.parametrize(
    "switches",
    [{}, {"refuse_extended_negotiation": True}, {"refuse_combined_datetime": True, "omit_optional_keys": True}],
    ids=["able", "basic", "poor"],
)
def test_matching(archive: SandboxArchive, sites: Sites, switches: dict[str, bool], query: str, found: str) -> None:
    """§8.3.4.1, §10.6.1.2 and PS3.4 §C.2.2.2, whatever the archive negotiates."""
    archive.behaviour = Behaviour(**switches)
    assert uids(sites[str(switches)].get(f"/studies?{query}")) == set(found.split())


@pytest.mark.parametrize(
    ("path", "tag", "found"),
    [
        (f"/studies/{CT_STUDY}/series?Modality=MR", SERIES_UID, "1.2"),
        (f"/studies/{CT_STUDY}/series?SeriesNumber=3", SERIES_UID, "1.3"),
        (f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances?InstanceNumber=2", INSTANCE_UID, "1.1.2"),
        (f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances?SOPClassUID=1.2.3", INSTANCE_UID, ""),
        (f"/studies/{CT_STUDY}/instances?Modality=US", INSTANCE_UID, "1.3.1"),
        ("/series?PatientID=P-2", SERIES_UID, "2.1 2.2"),
        ("/series?Modality=MR&PatientID=P-1", SERIES_UID, "1.2"),
        ("/instances?PatientID=P-2", INSTANCE_UID, "2.1.1 2.2.1"),
        ("/instances?Modality=MR", INSTANCE_UID, "1.2.1 3.2.1"),
        (f"/instances?SOPInstanceUID={CT_SERIES}.1,{US_STUDY}.1.1", INSTANCE_UID, "1.1.1 2.1.1"),
        ("/studies/1.2.3/series", SERIES_UID, ""),
    ],
)
@pytest.mark.parametrize("switches", [{}, {"refuse_relational": True}], ids=["relational", "hierarchical"])
def test_resources_below_and_across_studies(
    archive: SandboxArchive, sites: Sites, switches: dict[str, bool], path: str, tag: str, found: str
) -> None:
    """Tables 10.6.1-1, -2 and -5: the required keys of each resource, also without relational queries."""
    archive.behaviour = Behaviour(**switches)
    assert uids(sites[str(switches)].get(path), tag) == set(found.split())


BAD = [  # what is wrong, the parameter that must be named
    ("limit=many", "limit"),
    ("limit=-1", "limit"),
    ("limit=", "limit"),
    ("limit=1&limit=2", "limit"),
    ("offset=1.5", "offset"),
    ("fuzzymatching=yes", "fuzzymatching"),
    ("emptyvaluematching=TRUE", "emptyvaluematching"),
    ("multiplevaluematching=1", "multiplevaluematching"),
    ("PatientID=1&PatientID=2", "PatientID"),
    ("PatientID=1&00100020=1", "00100020"),
    ("StudyDate=yesterday", "StudyDate"),
    ("StudyDate=20241301", "StudyDate"),
    ("StudyTime=99", "StudyTime"),
    ("StudyInstanceUID=not-a-uid", "StudyInstanceUID"),
    ("includefield=all,PatientID", "includefield"),
    ("includefield=all&includefield=PatientID", "includefield"),
    ("includefield=NoSuchKeyword", "NoSuchKeyword"),
    ("NoSuchKeyword.PatientID=1", "NoSuchKeyword"),
    ("PatientID=%ZZ", "PatientID"),
    ("PatientID=%FF", "PatientID"),
    ("00231001=1", "00231001"),
]


@pytest.mark.parametrize(("query", "name"), BAD)
def test_a_bad_value_is_400_and_names_its_parameter(site: Site, query: str, name: str) -> None:
    """§8.3: a supported parameter with an invalid value; §8.3.4: no attribute twice, ``all`` alone."""
    response = site.get(f"/studies?{query}")
    assert response.status == 400
    assert name in response.json["detail"]


@pytest.mark.parametrize("path", ["/studies/x/series", "/studies/1.2/series/..1/instances", "/studies/1-2/instances"])
def test_a_path_that_is_no_uid_is_400(site: Site, path: str) -> None:
    """§8.2, PS3.5 §9.1."""
    assert site.get(path).status == 400


# --- includefield ---


def test_includefield_by_keyword_tag_list_and_repetition(site: Site) -> None:
    """§8.3.4.3: attributes in one list, repeated, encoded or not."""
    query = "includefield=StudyDescription%2C00104000&includefield=00100032,OtherPatientIDsSequence.PatientID"
    (result,) = site.get(f"{SINGLE_RESULT}&{query}").json
    assert result["00081030"]["Value"] == ["CT chest"]
    assert {"00104000", "00100032", "00101002"} <= set(result)


def test_includefield_all_adds_the_optional_keys(site: Site) -> None:
    """§10.6.3.3: Study Description at study level, Series Description below, Image Type of instances."""
    (study,) = site.get(f"{SINGLE_RESULT}&includefield=all").json
    assert study["00081030"]["Value"] == ["CT chest"]
    (instance,) = site.get(f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances?InstanceNumber=1&includefield=all").json
    assert instance["00080008"]["Value"] == ["ORIGINAL", "PRIMARY", "AXIAL"]


def test_attributes_of_lower_levels_are_not_returned(site: Site) -> None:
    """§10.6.3.3: series and instance attributes are not in study results, instance ones not in series results."""
    (study,) = site.get(f"{SINGLE_RESULT}&includefield=SeriesDescription,ImageType").json
    assert not {"0008103E", "00080008"} & set(study)
    series = site.get(f"/studies/{CT_STUDY}/series?includefield=ImageType").json
    assert not any("00080008" in one for one in series)


@pytest.mark.parametrize("switches", [{}, {"refuse_relational": True}], ids=["relational", "hierarchical"])
def test_attributes_of_upper_levels_are_returned(
    archive: SandboxArchive, sites: Sites, switches: dict[str, bool]
) -> None:
    """§10.6.3.3: study attributes asked for with series and instances, which hierarchical queries do not give."""
    archive.behaviour = Behaviour(**switches)
    site = sites[str(switches)]
    series = site.get(f"/studies/{CT_STUDY}/series?includefield=StudyDescription")
    assert values(series, "00081030") == {"CT chest"}
    instances = site.get(f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances?includefield=PatientName,SeriesDescription")
    assert values(instances, "0008103E") == {"axial"}
    assert {result["00100010"]["Value"][0]["Alphabetic"] for result in instances.json} == {"Müller^Anna"}


def test_attributes_matched_are_returned(site: Site) -> None:
    """§10.6.3.3: attributes of the query of the level searched."""
    assert values(site.get("/studies?StudyDescription=CT*"), "00081030") == {"CT chest"}


def test_a_private_attribute_comes_with_its_creator(site: Site) -> None:
    """§8.3.4.3: a private attribute is asked for with its Private Creator."""
    path = f"/studies/{CT_STUDY}/series/{CT_SERIES}/instances?InstanceNumber=1"
    response = site.get(f"{path}&00290010=CONFORMANCE&includefield=00290010,00291002")
    assert response.status == 200
    assert {"00290010", "00291002"} <= set(response.json[0])


# --- paging ---


def test_pages_are_stable_and_end(site: Site) -> None:
    """§8.3.4.4.1: the same order each time, no result twice, an empty page in the end."""
    pages = [site.get(f"/instances?limit=3&offset={offset}") for offset in range(0, 12, 3)]
    found = [result[INSTANCE_UID]["Value"][0] for page in pages for result in page.json]
    assert [len(page.json) for page in pages] == [3, 3, 3, 0]
    assert found == [result[INSTANCE_UID]["Value"][0] for result in site.get("/instances").json]


def test_more_results_are_told_by_a_warning(site: Site) -> None:
    """§8.3.4.4.1: ``299 <service>: There are <remaining> additional results that can be requested``."""
    (warning,) = site.get("/studies?limit=1").all_of("Warning")
    assert warning.startswith(f"299 {site.url}: There are ")
    assert warning.endswith(" additional results that can be requested")
    assert site.get("/studies?limit=3").all_of("Warning") == []


@pytest.mark.parametrize(("query", "count"), [("limit=0", 0), ("offset=99", 0), ("offset=2", 1), ("limit=999999", 3)])
def test_limit_and_offset(site: Site, query: str, count: int) -> None:
    """§8.3.4.4.1: results = min(max(0, matches - offset), limit)."""
    assert len(site.get(f"/studies?{query}").json) == count


def test_a_maximum_of_ours_is_told(archive: SandboxArchive) -> None:
    """§8.3.4.4.1: maxResults is applied with the same Warning."""
    with open_site(archive, search={"max_results": 2}) as site:
        response = site.get("/studies")
        assert len(response.json) == 2
        assert "additional results that can be requested" in response.header("Warning")


# --- warnings, exact texts ---


def test_fuzzy_matching_not_supported(archive: SandboxArchive) -> None:
    """§8.3.4.2."""
    archive.behaviour = Behaviour(refuse_fuzzy=True)
    with open_site(archive) as site:
        response = site.get("/studies?PatientName=Doe*&fuzzymatching=true")
        text = "The fuzzymatching parameter is not supported. Only literal matching has been performed."
        assert response.all_of("Warning") == [f"299 {site.url}: {text}"]
        assert uids(response) == {"2"}


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            "emptyvaluematching=true&PatientID=%22%22",
            "The emptyvaluematching parameter is not supported. Empty Value Matching has not been performed.",
        ),
        (
            "multiplevaluematching=true&PatientID=P-1",
            "The multiplevaluematching parameter is not supported. Multiple Value Matching has not been performed.",
        ),
    ],
)
def test_matching_options_not_supported(site: Site, query: str, text: str) -> None:
    """§8.3.4.2."""
    assert site.get(f"/studies?{query}").all_of("Warning") == [f"299 {site.url}: {text}"]


# --- representations ---


def test_nothing_found_is_an_empty_array(site: Site) -> None:
    """§10.6.3.1 with CP-2473: 200 and an empty payload."""
    response = site.get("/studies?PatientID=NOBODY")
    assert (response.status, response.json, response.essence) == (200, [], JSON)


def test_nothing_found_is_204_by_configuration(archive: SandboxArchive) -> None:
    """§10.6.3.1 before CP-2473: 204 has no body and no Content-Length above zero."""
    with open_site(archive, search={"empty": "204"}) as site:
        response = site.get("/studies?PatientID=NOBODY")
        assert (response.status, response.body) == (204, b"")
        assert site.get("/studies").status == 200


def test_nothing_found_in_xml(site: Site) -> None:
    """§8.6.1.2: a multipart has a part, so nothing found has no multipart."""
    response = site.get("/studies?PatientID=NOBODY", 'multipart/related; type="application/dicom+xml"')
    assert (response.status, response.body) == (204, b"")


def test_xml_has_one_part_for_each_result(site: Site) -> None:
    """§10.6.3.4: multipart of ``application/dicom+xml``."""
    response = site.get("/studies", 'multipart/related; type="application/dicom+xml"')
    assert len(response.parts) == 3
    assert {part.content_type for part in response.parts} == {"application/dicom+xml"}
    assert all(b"<NativeDicomModel" in part.body for part in response.parts)


@pytest.mark.parametrize("path", RESOURCES)
def test_json_attributes_ascend(site: Site, path: str) -> None:
    """F.2.2: in order of ascending tag, upper case; no group length; text in UTF-8."""
    for result in site.get(path).json:
        tags = list(result)
        assert tags == sorted(tags)
        assert all(tag == tag.upper() and len(tag) == 8 and not tag.endswith("0000") for tag in tags)
        assert result["00080005"]["Value"] == ["ISO_IR 192"]


@pytest.mark.parametrize("switches", [{}, {"omit_character_set": True}], ids=str)
def test_names_arrive_in_utf_8(archive: SandboxArchive, site: Site, switches: dict[str, bool]) -> None:
    """§8.7.3.5.3: UTF-8 in JSON, whatever the archive's character set."""
    archive.behaviour = Behaviour(**switches)
    assert "Müller^Anna".encode() in site.get(SINGLE_RESULT).body


def test_a_default_character_set_for_archives_that_name_none(archive: SandboxArchive) -> None:
    """PS3.5 §6.1.2.3: Latin-1 answers without (0008,0005)."""
    archive.behaviour = Behaviour(latin1_answers=True)
    with open_site(archive, backend={"default_character_set": "ISO_IR 100"}) as site:
        assert "Müller^Anna".encode() in site.get(SINGLE_RESULT).body
        assert uids(site.get(f"/studies?PatientName={quote('Müller*')}")) == {"1"}


def test_the_search_is_idempotent(site: Site) -> None:
    """§8.3.4.4.1: the same request gives the same ordered answer."""
    assert site.get("/instances").body == site.get("/instances").body


def test_too_broad_a_search_is_413(archive: SandboxArchive) -> None:
    """Table 10.6.3-1: 413 with a Status Report where a walk would be longer than configured."""
    archive.behaviour = Behaviour(refuse_relational=True)
    with open_site(archive, search={"max_walk": 1}) as site:
        response = site.get("/instances")
        assert response.status == 413
        assert response.json["detail"]


def test_head_of_a_search(site: Site) -> None:
    """RFC 9110 §9.3.2: the head of what GET would send, without its body."""
    response = site.send("HEAD", "/studies", JSON)
    assert (response.status, response.essence, response.body) == (200, JSON, b"")
