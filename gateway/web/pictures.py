"""Pictures as responses: the form each instance is shown in, and the parts they are sent as.

Shared by ``rendered.py`` and ``uri.py``. What a client takes is ``negotiation.rendered``; what can be made,
``services/rendered/producible.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing

from aiohttp import web
from multidict import CIMultiDict

from gateway.errors import BadParameter, NotAcceptable, UnknownResource
from gateway.imaging.rendering.parameters import RenderParameters
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import Category, InstanceFacts
from gateway.services.rendered.producible import STILLS, list_producible
from gateway.services.rendered.rendition import Picture, Rendition, Showing
from gateway.web.negotiation import AcceptableRendered, RenderedCategory, RenderedRepresentation, RenderedScope
from gateway.web.retrieve_answers import RetrieveAnswers
from gateway.web.streaming import Part, ResponseHead, first_of, stream_single

__all__ = ["FormChooser", "ThumbnailChooser", "send_pictures", "warn_of_annotations"]

_CATEGORIES = {
    Category.SINGLE_FRAME: RenderedCategory.SINGLE_FRAME,
    Category.MULTI_FRAME: RenderedCategory.MULTI_FRAME,
    Category.VIDEO: RenderedCategory.VIDEO,
    Category.TEXT: RenderedCategory.TEXT,
}
_SHOWINGS = {
    RenderedScope.EACH_FRAME: Showing.EACH_FRAME,
    RenderedScope.ONE_FRAME: Showing.ONE_FRAME,
    RenderedScope.WHOLE: Showing.WHOLE,
}
_STILLS_OF_MANY = tuple(name for name in STILLS if name != "image/gif")  # which would be taken for an animation
_NO_RENDERING = "nothing in this instance can be rendered"


class FormChooser:
    """Decides the form of each instance of one request, by what the client takes.

    Parameters
    ----------
    accepted
        What the client takes.
    parameters
        Some of them are not for presentation states.
    frame_count
        Frames that the request names; 0 for whole instances.
    alone
        Whether the target is one instance.

    Attributes
    ----------
    is_single_part : bool
        Whether the response is one representation; known when the first instance has been decided on.
    """

    def __init__(
        self, accepted: AcceptableRendered, parameters: RenderParameters, *, frame_count: int = 0, alone: bool = True
    ) -> None:
        self._accepted = accepted
        self._parameters = parameters
        self._frame_count = frame_count
        self._alone = alone
        self.is_single_part = False

    def decide(self, facts: InstanceFacts) -> Rendition:
        """The form of one instance.

        Raises
        ------
        NotAcceptable
            Nothing that can be made of it is acceptable.
        BadParameter
            It is a presentation state, and a parameter is not for one (PS3.18 §8.3.5.1.6).
        """
        if facts.category is Category.PRESENTATION_STATE:
            form = self._choose_presented(facts)
        elif self._frame_count:
            form = self._choose(RenderedCategory.SINGLE_FRAME, STILLS, alone=self._frame_count == 1)
        elif facts.category is Category.OTHER:
            raise NotAcceptable((), _NO_RENDERING)
        else:
            form = self._choose(_CATEGORIES[facts.category], list_producible(facts), alone=self._alone)
        return self._accept(form, _SHOWINGS[form.scope])

    def _choose_presented(self, facts: InstanceFacts) -> RenderedRepresentation:
        if self._parameters.window is not None:
            raise BadParameter("window", "is not for presentation states")
        if self._parameters.viewport is not None and self._parameters.viewport.region is not None:
            raise BadParameter("viewport", "takes only vw,vh for presentation states")
        if facts.frame_count == 1:
            return self._choose(RenderedCategory.SINGLE_FRAME, STILLS, alone=self._alone)
        return self._choose(RenderedCategory.MULTI_FRAME, _STILLS_OF_MANY, alone=self._alone)

    def _accept(self, form: RenderedRepresentation, showing: Showing) -> Rendition:
        self.is_single_part = form.single_part
        return Rendition(form.media_type, showing)

    def _choose(
        self, category: RenderedCategory, producible: tuple[str, ...], *, alone: bool
    ) -> RenderedRepresentation:
        return self._accepted.choose(category, alone=alone, producible=producible)


class ThumbnailChooser(FormChooser):
    """The same for thumbnails, which are one still picture always."""

    def decide(self, facts: InstanceFacts) -> Rendition:
        """The form of the instance.

        Raises
        ------
        UnknownResource
            There is nothing to see of it.
        NotAcceptable
            No still picture is acceptable.
        """
        if not facts.category.has_frames and facts.category is not Category.PRESENTATION_STATE:
            raise UnknownResource("thumbnail")
        return self._accept(self._choose(RenderedCategory.SINGLE_FRAME, STILLS, alone=True), Showing.ONE_FRAME)


async def send_pictures(
    request: web.Request,
    pictures: AsyncGenerator[Picture, None],
    chooser: FormChooser,
    answers: RetrieveAnswers,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Send what `pictures` give, which is closed here; `chooser` has decided on the first by then.

    Raises
    ------
    GatewayError
        What iterating raises before the first picture; later ones cut the connection.
    """
    async with aclosing(pictures):
        first, items = await first_of(pictures)
        if first is None:
            raise UnknownResource("picture")
        url, head = answers.find_url(request), ResponseHead(headers=CIMultiDict(headers))
        if not chooser.is_single_part:
            return await answers.send_parts(request, _iter_parts(items, url), head, single=False)
        part = _make_part(first, url)
        return await stream_single(request, part, head, stall_s=answers.stall_s, length=first.content.size)


async def _iter_parts(pictures: AsyncIterator[Picture], base_url: str) -> AsyncGenerator[Part, None]:
    async for picture in pictures:
        yield _make_part(picture, base_url)


def _make_part(picture: Picture, base_url: str) -> Part:
    """One picture; its location is the resource that it was rendered from (PS3.18 §8.6.1.2)."""
    content_type = picture.media_type
    if content_type.startswith("text/"):
        content_type += "; charset=utf-8"
    location = base_url + locate_picture(picture.path, picture.frame_number)
    return Part(content_type, location, _iter_pieces(picture))


def locate_picture(path: ResourcePath, frame_number: int | None) -> str:
    """The path of an instance, or of one of its frames."""
    return path.url_path if frame_number is None else f"{path.url_path}/frames/{frame_number}"


async def _iter_pieces(picture: Picture) -> AsyncGenerator[bytes, None]:
    try:
        for piece in picture.content.iter_pieces():
            yield piece
            await asyncio.sleep(0)  # a fast client would have the loop do nothing else until a large one is out
    finally:
        picture.content.close()


def warn_of_annotations(unsupported: tuple[str, ...], base_url: str) -> Mapping[str, str]:
    """The Warning for annotation keywords that are not known (PS3.18 §8.3.5.1.1)."""
    if not unsupported:
        return {}
    names = ", ".join(unsupported)
    return {"Warning": f'299 {base_url} "The following annotation values are not supported: {names}"'}
