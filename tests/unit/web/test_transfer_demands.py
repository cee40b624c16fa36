"""What Accept headers ask of an archive, remembered."""

from __future__ import annotations

import pytest

from gateway.codecs.transfer_syntax import EXPLICIT_VR_LE
from gateway.errors import NotAcceptable
from gateway.resources import Level
from gateway.services.retrieve.transfer_demand import AS_STORED
from gateway.web.negotiation import InstanceFrame
from gateway.web.transfer_demands import (
    demand_bulkdata,
    demand_frames,
    demand_instances,
    demand_zip,
    find_instance_frame,
)

RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"


def test_frames_in_any_form() -> None:
    accepted, demand = demand_frames("*/*", None, frame_count=1, require_accept=False)
    assert demand == AS_STORED
    assert "dicom-rle" in accepted.choose(RLE, 1).content_type


def test_frames_in_one_form() -> None:
    header = f'multipart/related; type="image/dicom-rle"; transfer-syntax={RLE}'
    accepted, demand = demand_frames(header, None, frame_count=2, require_accept=False)
    assert (demand.choices, demand.is_for_pixels) == (((RLE,),), True)
    with pytest.raises(NotAcceptable):
        accepted.choose(JPEG, 2)


def test_instances_by_preference() -> None:
    header = f'multipart/related; type="application/dicom"; transfer-syntax={RLE}, application/dicom;q=0.5'
    accepted, demand = demand_instances(header, None, level=Level.IMAGE, require_accept=False)
    assert demand.choices[0] == (RLE,) and EXPLICIT_VR_LE in demand.syntaxes
    assert accepted.choose(EXPLICIT_VR_LE).single_part


@pytest.mark.parametrize("demand", [demand_frames, demand_instances])
def test_what_is_not_acceptable_is_so_each_time(demand: object) -> None:
    which = {"frame_count": 1} if demand is demand_frames else {"level": Level.SERIES}
    for _ in range(2):
        with pytest.raises(NotAcceptable):
            demand("text/html", None, require_accept=False, **which)  # type: ignore[operator]
        with pytest.raises(NotAcceptable):
            demand(None, None, require_accept=True, **which)  # type: ignore[operator]


def test_equal_headers_are_worked_out_once() -> None:
    asked = {"header": "*/*;q=0.75", "parameter": None, "frame_count": 3, "require_accept": False}
    assert demand_frames(**asked) is demand_frames(**asked)  # type: ignore[arg-type]


def test_bulk_data_needs_octets_and_pixel_data_does_not() -> None:
    header = f'multipart/related; type="image/dicom-rle"; transfer-syntax={RLE}'
    with pytest.raises(NotAcceptable):
        demand_bulkdata(header, None, pixels_only=False, require_accept=False)
    _, demand = demand_bulkdata(header, None, pixels_only=True, require_accept=False)
    assert demand.choices == ((RLE,), (EXPLICIT_VR_LE,), ("*",))  # the second for what has no pixel data
    for pixels_only in (True, False):
        assert demand_bulkdata("*/*", None, pixels_only=pixels_only, require_accept=False)[1] == AS_STORED


def test_what_instances_are_sent_in() -> None:
    assert find_instance_frame("*/*", None, level=Level.STUDY, require_accept=False) is InstanceFrame.FILES


def test_the_files_of_a_zip_archive_are_as_stored() -> None:
    assert demand_zip("application/zip", None, require_accept=False)[1] == AS_STORED
    header = f"application/zip; transfer-syntax={RLE}"
    assert demand_zip(header, None, require_accept=False)[1].choices == ((RLE,),)


def test_whatever_is_held_will_do_where_it_can_be_converted() -> None:
    header = f'multipart/related; type="image/dicom-rle"; transfer-syntax={RLE}'
    for targets, choices in (((RLE,), ((RLE,), ("*",))), ((JPEG,), ((RLE,),)), ((), ((RLE,),))):
        _, demand = demand_frames(header, None, frame_count=1, require_accept=False, targets=targets)
        assert demand.choices == choices
    header = f'multipart/related; type="application/dicom"; transfer-syntax={RLE}'
    _, demand = demand_instances(header, None, level=Level.SERIES, require_accept=False, targets=(RLE,))
    assert demand.choices == ((RLE,), ("*",)) and demand.admits(JPEG)
