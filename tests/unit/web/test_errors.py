"""Every kind of error has a verdict, and the verdicts are those of the mapping between DICOMweb and DIMSE."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from gateway import errors
from gateway.errors import DimseStatusError, GatewayError
from gateway.web.errors import StatusReport, encode_report, report_error, report_status
from gateway.web.retry_after import RetryAfter

AE = "PACS"
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
SECRET = "pacs.hospital.example DOE^JANE"


def report(error: GatewayError, *, strict: bool = False) -> StatusReport:
    return report_error(error, retry_after=RetryAfter(), strict_dicom_codes=strict)


def reject(result: int, source: int, reason: int) -> errors.AssociationRejected:
    return errors.AssociationRejected(AE, result, source, reason, SECRET)


SAMPLES: list[tuple[GatewayError, int]] = [
    (errors.ConfigurationError("backends", SECRET), 500),
    (errors.BadParameter("limit", "not a number"), 400),
    (errors.UnknownResource("study"), 404),
    (errors.NotAcceptable(["application/dicom+json"]), 406),
    (errors.RangeNotSatisfiable(10), 416),
    (errors.UnsupportedMediaType(SECRET, ["application/dicom"]), 415),
    (errors.UnsupportedCoding(["gzip"]), 415),
    (errors.TooLarge("the request body", 10), 413),
    (errors.SearchTooBroad(), 413),
    (errors.MalformedBody("the multipart body ends without its closing boundary"), 400),
    (errors.ConflictingRequest("two instances with one UID"), 409),
    (errors.UploadTimeout(), 408),
    (errors.ResultGone("dropped"), 410),
    (errors.DecodeError(SECRET), 502),
    (errors.ImagingFailed("a frame is over the limit"), 502),
    (errors.TooBusy(), 503),
    (errors.NotProvided("no"), 501),
    (errors.LocalProtocolError(SECRET), 500),
    (errors.RemoteProtocolError(SECRET), 502),
    (errors.ConnectFailed(AE, SECRET), 503),
    (errors.ConnectTimeout(AE, SECRET), 503),
    (errors.AssociationTimeout(AE, SECRET), 504),
    (errors.AssociationAborted(AE, 0, 0), 502),
    (errors.ConnectionLost(AE, SECRET), 502),
    (errors.PoolTimeout(AE, SECRET), 503),
    (errors.DimseTimeout(AE, SECRET), 504),
    (errors.UndecodableResponse(AE, SECRET), 502),
    (errors.IncompleteRetrieval(AE, 3, 5, ["1.2.3"]), 502),
    (errors.MoveDestinationUnavailable(AE, SECRET), 502),
    (errors.ShuttingDown(), 503),
    (errors.SpoolFailed(), 503),
    # A-ASSOCIATE-RJ, PS3.8 Table 9-21
    (reject(1, 1, 1), 502),
    (reject(1, 1, 2), 502),
    (reject(1, 1, 3), 502),
    (reject(1, 1, 7), 502),
    (reject(1, 2, 1), 502),
    (reject(1, 2, 2), 502),
    (reject(1, 3, 0), 502),
    (reject(1, 3, 1), 503),
    (reject(1, 3, 2), 503),
    (reject(2, 1, 1), 503),
    (reject(2, 3, 2), 503),
    # presentation contexts, PS3.8 §9.3.3.2
    (errors.NoAcceptedContext(AE, CT, 0), 501),
    (errors.NoAcceptedContext(AE, CT, 1), 502),
    (errors.NoAcceptedContext(AE, CT, 2), 502),
    (errors.NoAcceptedContext(AE, CT, 3), 501),
    (errors.NoAcceptedContext(AE, CT, 4), 406),
    (errors.NoAcceptedContext(AE, CT, 9), 502),
    (errors.NoAcceptedContext(AE, STUDY_ROOT_FIND, 3), 501),
    (errors.NoAcceptedContext(AE, STUDY_ROOT_FIND, 4), 502),
    (errors.NoAcceptedContext(AE, "1.2.840.10008.1.1", 4), 502),
    # C-FIND
    (DimseStatusError(AE, "C-FIND", 0xA700), 503),
    (DimseStatusError(AE, "C-FIND", 0xA700, comment="Too many matches"), 413),
    (DimseStatusError(AE, "C-FIND", 0xA700, comment="result set limit"), 413),
    (DimseStatusError(AE, "C-FIND", 0xA700, comment="no database"), 503),
    (DimseStatusError(AE, "C-FIND", 0xA900), 502),
    (DimseStatusError(AE, "C-FIND", 0xA900, offending_elements=[0x00080052]), 502),
    (DimseStatusError(AE, "C-FIND", 0xA900, offending_elements=[0x00100010]), 400),
    (DimseStatusError(AE, "C-FIND", 0xC001), 502),
    (DimseStatusError(AE, "C-FIND", 0xFE00), 502),
    (DimseStatusError(AE, "N-ACTION", 0x0112), 501),
    (DimseStatusError(AE, "N-ACTION", 0x0115), 400),
    (DimseStatusError(AE, "N-ACTION", 0x0131), 409),
    (DimseStatusError(AE, "N-ACTION", 0x0213), 503),
    (DimseStatusError(AE, "N-ACTION", 0x0110), 502),
    (DimseStatusError(AE, "C-FIND-RQ", 0x0122), 501),
    (DimseStatusError(AE, "C-FIND", 0x0124), 403),
    (DimseStatusError(AE, "C-FIND", 0x0110), 502),
    (DimseStatusError(AE, "C-FIND", 0x0213), 503),
    (DimseStatusError(AE, "C-FIND", 0x0211), 501),
    # C-GET and C-MOVE
    *(
        (DimseStatusError(AE, operation, status, offending_elements=elements), expected)
        for operation in ("C-GET", "C-MOVE")
        for status, elements, expected in [
            (0xA700, (), 503),
            (0xA701, (), 503),
            (0xA702, (), 503),
            (0xA801, (), 502),
            (0xA900, (), 502),
            (0xA900, (0x00080052,), 502),
            (0xA900, (0x0020000D,), 400),
            (0xC000, (), 502),
            (0x0112, (), 404),
            (0x0122, (), 501),
            (0x0124, (), 403),
            (0xFE00, (), 502),
            (0xAA00, (), 404),
            (0xAA01, (), 502),
            (0xAA02, (), 502),
            (0xAA03, (), 502),
            (0xAA04, (), 400),
        ]
    ),
    # C-ECHO
    (DimseStatusError(AE, "C-ECHO", 0x0122), 501),
    (DimseStatusError(AE, "C-ECHO", 0x0210), 502),
    (DimseStatusError(AE, "C-ECHO", 0x0211), 501),
]


def iter_leaves(kind: type[GatewayError]) -> Iterator[type[GatewayError]]:
    below = kind.__subclasses__()
    if not below:
        yield kind
    for subclass in below:
        yield from iter_leaves(subclass)


@pytest.mark.parametrize("leaf", [kind for kind in iter_leaves(GatewayError) if kind.__module__ == "gateway.errors"])
def test_every_leaf_has_a_sample_and_so_a_verdict(leaf: type[GatewayError]) -> None:
    assert any(type(error) is leaf for error, _ in SAMPLES)


@pytest.mark.parametrize(("error", "status"), SAMPLES, ids=lambda value: str(value)[:60])
def test_the_status(error: GatewayError, status: int) -> None:
    found = report(error)
    assert found.status == status
    assert found.title
    assert ("Retry-After" in found.headers) is (status == 503)
    strict = report(error, strict=True)
    assert strict.status == (503 if status in (502, 504) else status)
    assert ("Retry-After" in strict.headers) is (strict.status == 503)


@pytest.mark.parametrize(("error", "status"), SAMPLES, ids=lambda value: str(value)[:60])
def test_nothing_of_hosts_or_patients_is_told(error: GatewayError, status: int) -> None:
    for accept in ("application/json", "text/plain", "text/html"):
        _, body = encode_report(report(error), accept)
        assert b"hospital" not in body
        assert b"DOE" not in body
    assert "hospital" not in str(report(error).headers)


def test_a_subclass_counts_as_its_parent() -> None:
    class FrameNotFound(errors.UnknownResource):
        pass

    assert report(FrameNotFound("frame 7")) == StatusReport(404, "frame 7 not found")


def test_a_dimse_failure_is_told_in_full() -> None:
    error = DimseStatusError(
        AE,
        "C-FIND",
        0xA900,
        "Identifier does not match SOP Class",
        comment="bad\r\n\x1bkey " + "x" * 80,
        offending_elements=[0x00100010],
    )
    assert report(error) == StatusReport(
        400,
        "archive PACS answered C-FIND with status A900 (Identifier does not match SOP Class)",
        {},
        {
            "operation": "C-FIND-RQ",
            "status": "A900",
            "errorComment": "badkey " + "x" * 57,
            "offendingElement": ["00100010"],
            "peer": "PACS",
        },
    )


def test_what_is_possible_is_listed() -> None:
    assert "application/dicom+json" in report(errors.NotAcceptable(["application/dicom+json"])).detail
    assert report(errors.RangeNotSatisfiable(10)).headers["Content-Range"] == "bytes */10"
    found = report(errors.UnsupportedMediaType("a/b", ["application/dicom"]))
    assert found.headers["Accept-Post"] == "application/dicom"
    assert "application/dicom" in found.detail


def test_missing_instances_are_a_warning() -> None:
    found = report(errors.IncompleteRetrieval(AE, 3, 5, ["1.2.3"]))
    assert found.headers["Warning"] == '299 dicomweb-gateway "2 of 5 instances could not be retrieved"'
    assert found.dimse is not None
    assert found.dimse["missing"] == ["1.2.3"]


def test_a_request_whose_body_is_not_read_to_its_end_closes_the_connection() -> None:
    for error in (errors.TooLarge("the request body", 1), errors.UploadTimeout(), errors.MalformedBody("cut")):
        assert report(error).headers["Connection"] == "close"


def test_the_delay_grows_for_the_archive_that_refuses() -> None:
    now = 0.0
    retry_after = RetryAfter(lambda: now)
    delays = []
    for _ in range(3):
        found = report_error(errors.PoolTimeout(AE, ""), retry_after=retry_after, strict_dicom_codes=False)
        delays.append(found.headers["Retry-After"])
        now += int(delays[-1])
    assert delays == ["5", "10", "20"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/dicom+json", "application/json"),
        ('multipart/related; type="application/dicom"', "application/json"),
        ("text/*", "text/plain; charset=utf-8"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("text/html;q=0.1, text/plain", "text/plain; charset=utf-8"),
        ("application/json;q=0.1, text/*;q=0.5", "text/plain; charset=utf-8"),
    ],
)
def test_the_form_of_a_report(accept: str | None, content_type: str) -> None:
    found = StatusReport(502, "archive <PACS> & co", dimse={"peer": "<PACS>"})
    form, body = encode_report(found, accept)
    assert form == content_type
    if form == "application/json":
        assert json.loads(body) == {
            "status": 502,
            "title": "Bad Gateway",
            "detail": "archive <PACS> & co",
            "dimse": {"peer": "<PACS>"},
        }
    elif "html" in form:
        assert b"archive &lt;PACS&gt; &amp; co" in body
        assert b"<PACS>" not in body
    else:
        assert body == b"502 Bad Gateway\narchive <PACS> & co\npeer: <PACS>\n"


def test_a_status_without_exception_of_ours() -> None:
    found = report_status(405, {"Allow": "GET"})
    assert (found.status, found.headers, found.dimse) == (405, {"Allow": "GET"}, None)
    assert json.loads(encode_report(report_status(404), None)[1])["title"] == "Not Found"
