"""What a presentation state shows, as requests for its images."""

from __future__ import annotations

import pytest

from gateway.errors import ImagingFailed
from gateway.imaging.rendering.parameters import RenderParameters
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import InstanceFacts
from gateway.services.rendered.presented import decide_presented, list_presented, locate
from gateway.services.rendered.references import References, ShownInstance
from gateway.services.rendered.rendition import RenderRequest, Rendition, Showing

STATE = ResourcePath("1", "1.9", "1.9.1")
FIRST, SECOND = ShownInstance("", "1.1", "1.1.1", (2, 3)), ShownInstance("2", "2.1", "2.1.1")
IMAGE = InstanceFacts("1.2", "1.2.840.10008.1.2.1")
EACH, ONE = Rendition("image/png", Showing.EACH_FRAME), Rendition("image/png", Showing.ONE_FRAME)


def request(rendition: Rendition) -> RenderRequest:
    return RenderRequest(STATE, lambda _: rendition, RenderParameters(quality=7))


def test_each_image_is_asked_for_with_the_state() -> None:
    listed = list(list_presented(request(EACH), EACH, b"state", References((FIRST, SECOND), (SECOND,))))
    assert [(wanted.path, wanted.frames, above) for wanted, above in listed] == [
        (ResourcePath("1", "1.1", "1.1.1"), (2, 3), SECOND),
        (ResourcePath("2", "2.1", "2.1.1"), (), None),
    ]
    for wanted, _ in listed:
        assert wanted.parameters == RenderParameters(quality=7, presentation_state=b"state")
        assert wanted.decide(IMAGE) == EACH


def test_one_picture_stands_for_all() -> None:
    [(wanted, _)] = list_presented(request(ONE), ONE, b"state", References((FIRST, SECOND)))
    assert (wanted.path.instance, wanted.frames) == ("1.1.1", (2,))


def test_what_is_no_image_cannot_be_shown() -> None:
    [(wanted, _)] = list_presented(request(EACH), EACH, b"state", References((SECOND,)))
    with pytest.raises(ImagingFailed, match="no image"):
        wanted.decide(InstanceFacts("1.2", "1.2", has_pixels=False))


def test_the_form_is_decided_once_for_all() -> None:
    asked: list[InstanceFacts] = []

    def decide(facts: InstanceFacts) -> Rendition:
        asked.append(facts)
        return EACH

    state = InstanceFacts("1.2", "1.2", has_pixels=False)
    assert decide_presented(RenderRequest(STATE, decide), state, References((FIRST, SECOND))) == EACH
    assert [facts.frame_count for facts in asked] == [3]


@pytest.mark.parametrize(
    "wrong", [ShownInstance("", "", "1.1"), ShownInstance("", "1.1", "x"), ShownInstance("../..", "1.1", "1.1.1")]
)
def test_a_reference_that_names_nothing(wrong: ShownInstance) -> None:
    with pytest.raises(ImagingFailed, match="no instance"):
        locate(STATE, wrong)
