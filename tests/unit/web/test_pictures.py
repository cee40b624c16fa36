"""The form each instance is shown in, and the responses made of pictures."""

from __future__ import annotations

import pytest

from gateway.errors import BadParameter, NotAcceptable, UnknownResource
from gateway.imaging.rendering.parameters import RenderParameters, SourceRegion, Viewport, Window
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import InstanceFacts
from gateway.services.rendered.rendition import Rendition, Showing
from gateway.web.negotiation import negotiate_rendered
from gateway.web.pictures import FormChooser, ThumbnailChooser, locate_picture, warn_of_annotations

CT, SR, GSPS = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.11.1"
PLAIN, MPEG4 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.102"
IMAGE, LOOP = InstanceFacts(CT, PLAIN), InstanceFacts(CT, PLAIN, frame_count=9)
VIDEO = InstanceFacts(CT, MPEG4, frame_count=9)
REPORT, OTHER = InstanceFacts(SR, PLAIN, has_pixels=False), InstanceFacts("1.2", PLAIN, has_pixels=False)
STATE, WIDE_STATE = InstanceFacts(GSPS, PLAIN, False), InstanceFacts(GSPS, PLAIN, False, frame_count=3)
PARTS = 'multipart/related; type="{}"'


def make(accept: str, *, frames: int = 0, alone: bool = True, **parameters: object) -> FormChooser:
    accepted = negotiate_rendered(accept, None, require_accept=False)
    return FormChooser(accepted, RenderParameters(**parameters), frame_count=frames, alone=alone)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("accept", "facts", "form", "single"),
    [
        ("*/*", IMAGE, ("image/jpeg", Showing.EACH_FRAME), True),
        ("image/png;q=0.5, image/jpeg", IMAGE, ("image/jpeg", Showing.EACH_FRAME), True),
        ("image/png", IMAGE, ("image/png", Showing.EACH_FRAME), True),
        (PARTS.format("image/png"), IMAGE, ("image/png", Showing.EACH_FRAME), False),
        ("*/*", LOOP, ("image/jpeg", Showing.EACH_FRAME), False),
        ("image/jpeg", LOOP, ("image/jpeg", Showing.ONE_FRAME), True),
        ("image/gif", LOOP, ("image/gif", Showing.WHOLE), True),
        ("video/mp4", LOOP, ("video/mp4", Showing.WHOLE), True),
        (PARTS.format("image/jp2"), LOOP, ("image/jp2", Showing.EACH_FRAME), False),
        ("*/*", VIDEO, ("video/mp4", Showing.WHOLE), True),
        ("image/jpeg", VIDEO, ("image/jpeg", Showing.ONE_FRAME), True),
        ("*/*", REPORT, ("text/html", Showing.WHOLE), True),
        ("text/plain", REPORT, ("text/plain", Showing.WHOLE), True),
        ("*/*", STATE, ("image/jpeg", Showing.EACH_FRAME), True),
        ("*/*", WIDE_STATE, ("image/jpeg", Showing.EACH_FRAME), False),
        ("image/png", WIDE_STATE, ("image/png", Showing.ONE_FRAME), True),
    ],
)
def test_the_form_of_an_instance(accept: str, facts: InstanceFacts, form: tuple[str, Showing], single: bool) -> None:
    chooser = make(accept)
    assert chooser.decide(facts) == Rendition(*form)
    assert chooser.is_single_part is single


@pytest.mark.parametrize("facts", [IMAGE, LOOP, VIDEO])
def test_frames_that_are_named_are_still_pictures(facts: InstanceFacts) -> None:
    for count, single in ((1, True), (2, False)):
        chooser = make("*/*", frames=count)
        assert chooser.decide(facts) == Rendition("image/jpeg", Showing.EACH_FRAME)
        assert chooser.is_single_part is single
    with pytest.raises(NotAcceptable):
        make("image/png", frames=2).decide(facts)
    with pytest.raises(NotAcceptable):
        make("video/mp4", frames=1).decide(facts)


@pytest.mark.parametrize("facts", [IMAGE, LOOP, REPORT])
def test_a_series_is_a_multipart_whatever_is_in_it(facts: InstanceFacts) -> None:
    chooser = make("*/*", alone=False)
    chooser.decide(facts)
    assert not chooser.is_single_part
    with pytest.raises(NotAcceptable):
        make("image/jpeg, text/html", alone=False).decide(facts)


@pytest.mark.parametrize(
    ("accept", "facts"),
    [("*/*", OTHER), ("text/html", IMAGE), ("image/jpeg", REPORT), ("image/jph", IMAGE), ("text/rtf", REPORT)],
)
def test_what_cannot_be_made(accept: str, facts: InstanceFacts) -> None:
    with pytest.raises(NotAcceptable):
        make(accept).decide(facts)


@pytest.mark.parametrize(
    "parameters", [{"window": Window(40, 400)}, {"viewport": Viewport(10, 10, SourceRegion(1, 1, 2, 2))}]
)
def test_what_is_not_for_presentation_states(parameters: dict[str, object]) -> None:
    make("*/*", **parameters).decide(IMAGE)
    with pytest.raises(BadParameter):
        make("*/*", **parameters).decide(STATE)


def test_a_thumbnail_is_one_still_picture() -> None:
    chooser = ThumbnailChooser(negotiate_rendered("*/*", None, require_accept=False), RenderParameters())
    for facts in (IMAGE, LOOP, VIDEO, STATE, WIDE_STATE):
        assert chooser.decide(facts) == Rendition("image/jpeg", Showing.ONE_FRAME)
        assert chooser.is_single_part
    for facts in (REPORT, OTHER):
        with pytest.raises(UnknownResource, match="thumbnail"):
            chooser.decide(facts)


def test_where_a_picture_comes_from() -> None:
    path = ResourcePath("1", "2", "3")
    assert locate_picture(path, None) == "/studies/1/series/2/instances/3"
    assert locate_picture(path, 4) == "/studies/1/series/2/instances/3/frames/4"


def test_the_warning_names_what_is_not_supported() -> None:
    assert warn_of_annotations((), "http://h/dicomweb") == {}
    text = '299 http://h/dicomweb "The following annotation values are not supported: a, b"'
    assert warn_of_annotations(("a", "b"), "http://h/dicomweb") == {"Warning": text}
