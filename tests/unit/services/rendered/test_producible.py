"""What can be made of an instance, against the encoders that make it."""

from __future__ import annotations

import pytest

from gateway.imaging.rendering import animation, encoders
from gateway.services.rendered.facts import InstanceFacts
from gateway.services.rendered.producible import ANIMATIONS, REPORTS, STILLS, VIDEOS, list_producible

CT, SR, GSPS = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.11.1"
PDF, STL = "1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.104.3"
PLAIN, MPEG4 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.102"


def test_the_names_are_those_of_the_encoders() -> None:
    assert sorted(STILLS) == sorted(encoders.MEDIA_TYPES)
    assert STILLS[0] == encoders.MEDIA_TYPES[0]
    assert sorted(ANIMATIONS) == sorted(animation.MEDIA_TYPES)
    assert set(VIDEOS) <= set(animation.MEDIA_TYPES)


@pytest.mark.parametrize(
    ("facts", "producible"),
    [
        (InstanceFacts(CT, PLAIN), STILLS),
        (InstanceFacts(CT, PLAIN, frame_count=2), (*STILLS, "video/mp4")),
        (InstanceFacts(CT, MPEG4, frame_count=2), ("video/mp4", *STILLS)),
        (InstanceFacts(GSPS, PLAIN, has_pixels=False), STILLS),
        (InstanceFacts(SR, PLAIN, has_pixels=False), REPORTS),
        (InstanceFacts("1.2.3", PLAIN, has_pixels=False, is_report=True), REPORTS),
        (InstanceFacts(PDF, PLAIN, has_pixels=False, is_encapsulated=True), ("application/pdf",)),
        (InstanceFacts(STL, PLAIN, has_pixels=False, is_encapsulated=True), ("model/stl",)),
        (
            InstanceFacts("1.2.3", PLAIN, has_pixels=False, is_encapsulated=True, document_type="text/xml"),
            ("text/xml",),
        ),
        (InstanceFacts(CT, PLAIN, has_pixels=False), ()),
    ],
)
def test_what_can_be_made(facts: InstanceFacts, producible: tuple[str, ...]) -> None:
    assert list_producible(facts) == producible
