"""The images that a presentation state refers to, as it shows them (PS3.18 §8.3.5.1.6, PS3.3 §C.11.11, §C.11.14).

They are fetched one by one, in the order of the references, from the study of the state unless a reference names
another. What the archive does not hold is left out. Called by ``service.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gateway.errors import ImagingFailed
from gateway.resources import ResourcePath, is_valid_uid
from gateway.services.rendered.facts import InstanceFacts
from gateway.services.rendered.references import References, ShownInstance
from gateway.services.rendered.rendition import RenderRequest, Rendition, Showing

__all__ = ["decide_presented", "list_presented", "locate"]


def decide_presented(request: RenderRequest, facts: InstanceFacts, references: References) -> Rendition:
    """The form of all pictures of the state that `facts` describe; raises what the request's `decide` raises."""
    return request.decide(replace(facts, frame_count=references.picture_count))


def list_presented(
    request: RenderRequest, rendition: Rendition, state: bytes, references: References
) -> Iterator[tuple[RenderRequest, ShownInstance | None]]:
    """The images to be rendered, each with the one that is blended over it.

    Raises
    ------
    ImagingFailed
        A reference names no instance.
    """
    shows_one = rendition.showing is Showing.ONE_FRAME

    def decide(facts: InstanceFacts) -> Rendition:
        if not facts.has_pixels:
            raise ImagingFailed("the presentation state refers to what is no image")
        return rendition

    parameters = replace(request.parameters, presentation_state=state)
    for place, image in enumerate(references.shown[:1] if shows_one else references.shown):
        frames = image.frames[:1] if shows_one else image.frames
        above = references.superimposed[place] if place < len(references.superimposed) else None
        yield RenderRequest(locate(request.path, image), decide, parameters, frames), above


def locate(path: ResourcePath, image: ShownInstance) -> ResourcePath:
    """Where `image` is, that an instance at `path` refers to.

    Raises
    ------
    ImagingFailed
        The reference names no instance.
    """
    study = image.study or path.study
    if not all(is_valid_uid(uid) for uid in (study, image.series, image.instance)):
        raise ImagingFailed("a reference names no instance")
    return ResourcePath(study, image.series, image.instance)
