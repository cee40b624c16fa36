"""Pictures, a report and a PDF as a gateway would render them, and a record of who asked for which and who left."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
from aiohttp import web
from PIL import Image, ImageDraw

from gateway.imaging.documents.html_page import STYLE
from gateway.sandbox.document import write_pdf

__all__ = ["CannedPictures", "Rendering"]

_REPORT = f"""<!DOCTYPE html><html lang="en"><head><title>Report</title><style>{STYLE}</style></head>
<body><h1>Dose report</h1>
<p>Nothing to worry about.</p><script>parent.stolen = true; document.title = "ran"</script>
<img src="x" onerror="parent.stolen = true"></body></html>"""
"""A report by somebody hostile."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """One request for a rendered resource."""

    path: str
    query: dict[str, str]
    accept: str


@dataclass
class CannedPictures:
    """Handlers of the rendered resources and thumbnails.

    `asked` holds every request; `left` the paths of those whose client went away before the answer. While `gate` is
    clear, answers wait. `failing` are endings of paths that get 404.
    """

    asked: list[Rendering] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def add_routes(self, app: web.Application, root: str) -> None:
        """Below the service root of a backend."""
        series = root + "/studies/{study}/series/{series}"
        instance = series + "/instances/{instance}"
        for path in (series, instance):
            app.router.add_get(path + "/thumbnail", self._make_handler(_draw_thumbnail))
        app.router.add_get(instance + "/frames/{frame}/rendered", self._make_handler(_draw_frame))
        app.router.add_get(instance + "/rendered", self._make_handler(_render_document))

    def frames(self) -> list[Rendering]:
        """The requests for frames."""
        return [it for it in self.asked if "/frames/" in it.path]

    def _make_handler(
        self, draw: Callable[[web.Request], web.Response]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(request: web.Request) -> web.Response:
            self.asked.append(Rendering(request.path, dict(request.query), request.headers["Accept"]))
            try:
                await self.gate.wait()
            except asyncio.CancelledError:
                self.left.append(request.path)
                raise
            if any(request.path.endswith(ending) for ending in self.failing):
                report = {"status": 404, "title": "Not Found", "detail": "no such frame"}
                return web.json_response(report, status=404)
            return draw(request)

        return answer


def _draw_thumbnail(request: web.Request) -> web.Response:
    side = int(request.query["viewport"].split(",")[0])
    return _encode(_draw(side, side, request.match_info["series"].rpartition(".")[2], 40, 400))


def _draw_frame(request: web.Request) -> web.Response:
    center, width, _ = request.query.get("window", "40,400,linear").split(",")
    label = f"{request.match_info['instance'].rpartition('.')[2]}/{request.match_info['frame']}"
    return _encode(_draw(512, 384, label, float(center), float(width)))


def _draw(rows: int, columns: int, label: str, center: float, width: float) -> Image.Image:
    """A disc that gets denser towards its middle, in air; a label in white."""
    y, x = np.mgrid[:rows, :columns]
    radius = np.hypot((y - rows / 2) / rows, (x - columns / 2) / columns)
    values = np.where(radius < 0.42, 120 - radius * 300, -1000)
    grey = np.clip((values - center) / width + 0.5, 0, 1) * 255
    image = Image.fromarray(grey.astype(np.uint8))
    ImageDraw.Draw(image).text((columns * 0.45, rows * 0.45), label, fill=255, font_size=rows // 10)
    return image


def _encode(image: Image.Image) -> web.Response:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=92)
    return web.Response(body=content.getvalue(), content_type="image/jpeg")


def _render_document(request: web.Request) -> web.Response:
    if request.headers["Accept"] == "application/pdf":
        return web.Response(body=write_pdf("Letter", ["Nothing to worry about."]), content_type="application/pdf")
    return web.Response(text=_REPORT, content_type="text/html")
