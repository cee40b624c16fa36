"""Pictures of instances, series and studies: what is fetched, in which order, and what is left out."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections.abc import Callable
from contextlib import aclosing, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate

from gateway.errors import (
    BadParameter,
    ConnectFailed,
    DecodeError,
    GatewayError,
    ImagingFailed,
    NotAcceptable,
    TooLarge,
    UnknownResource,
)
from gateway.imaging.rendering.parameters import RenderParameters
from gateway.resources import ResourcePath
from gateway.services.rendered.facts import Category, InstanceFacts
from gateway.services.rendered.instance_reader import ReaderLimits
from gateway.services.rendered.rendition import RenderRequest, Rendition, Showing
from tests.support.cancellation import iter_cancelled_runs
from tests.support.rendered_site import (
    SR,
    FakeWorkers,
    RenderedSite,
    collect,
    decide_as,
    make_groups,
    open_rendered_site,
    refer,
    tell,
)
from tests.support.retrieve_site import INSTANCE, METHODS, SERIES, STUDY

EACH, ONE, WHOLE = decide_as(Showing.EACH_FRAME), decide_as(Showing.ONE_FRAME), decide_as(Showing.WHOLE)
LOOP = ResourcePath("1.2.5", "1.2.5.1", "1.2.5.1.1")
STATE = ResourcePath("1.2.5", "1.2.5.2", "1.2.5.2.1")
SEG = "1.2.840.10008.5.1.4.1.1.66.4"
RLE, MPEG4 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.102"
FRAMES = [bytes([number]) * 128 for number in (1, 2, 3, 4, 5)]


def add_loop(site: RenderedSite, syntax: str = "1.2.840.10008.1.2.1", **attributes: object) -> None:
    native = syntax == "1.2.840.10008.1.2.1"
    data = b"".join(FRAMES) if native else encapsulate(FRAMES if syntax == RLE else [b"stream"])
    site.add("1.2.5.1.1", syntax, **{"NumberOfFrames": 5, "PixelData": data, **attributes})


@pytest.mark.parametrize("method", METHODS)
async def test_an_instance(tmp_path: Path, method: str) -> None:
    async with open_rendered_site(tmp_path, retrieve=method) as site:
        [picture] = await collect(site, RenderRequest(INSTANCE, EACH))
        assert (picture.path, picture.frame_number, picture.media_type) == (INSTANCE, 1, "image/png")
        assert tell([picture]) == [{"of": INSTANCE.instance, "frame": 1, "first": "00"}]
        await site.site.check_clean()


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", RLE])
@pytest.mark.parametrize(
    ("decide", "frames", "numbers"),
    [(EACH, (), [1, 2, 3, 4, 5]), (EACH, (2, 4), [2, 4]), (ONE, (), [3]), (ONE, (5,), [5])],
)
async def test_frames_of_an_instance(
    tmp_path: Path, syntax: str, decide: object, frames: tuple[int, ...], numbers: list[int]
) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_loop(site, syntax)
        pictures = await collect(site, RenderRequest(LOOP, decide, frames=frames))  # type: ignore[arg-type]
        assert [picture.frame_number for picture in pictures] == numbers
        assert [(shown["frame"], shown["first"]) for shown in tell(pictures)] == [(n, f"0{n}") for n in numbers]


async def test_an_animation_has_all_frames(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_loop(site, RLE)
        [picture] = await collect(site, RenderRequest(LOOP, WHOLE))
        assert picture.frame_number is None
        expected = {"of": LOOP.instance, "frames": ["01", "02", "03", "04", "05"], "syntax": RLE}
        assert tell([picture]) == [expected]


async def test_an_animation_of_too_many_frames(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path, ReaderLimits(header=10_000, frames=500)) as site:
        add_loop(site)
        with pytest.raises(TooLarge, match="of the frames"):
            await collect(site, RenderRequest(LOOP, WHOLE))
        await site.site.check_clean()


async def test_frames_of_a_video_come_out_of_its_stream(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_loop(site, MPEG4)
        assert [shown["frame"] for shown in tell(await collect(site, RenderRequest(LOOP, ONE)))] == [3]
        assert [shown["frame"] for shown in tell(await collect(site, RenderRequest(LOOP, EACH, frames=(2, 5))))] == [
            2,
            5,
        ]
        assert tell(await collect(site, RenderRequest(LOOP, WHOLE)))[0]["frames"] == [b"s".hex()]


async def test_a_report_is_a_document(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        site.add("1.2.6.1.1", SOPClassUID=SR, Modality="SR", PixelData=None)
        path = ResourcePath("1.2.6", "1.2.6.1", "1.2.6.1.1")
        [picture] = await collect(site, RenderRequest(path, decide_as(Showing.WHOLE, "text/html")))
        assert tell([picture]) == [["text/html", "1.2.6.1.1"]]
        assert (picture.frame_number, picture.media_type) == (None, "text/html")


@pytest.mark.parametrize("frames", [(6,), (1, 6)])
async def test_frames_that_are_not_there(tmp_path: Path, frames: tuple[int, ...]) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_loop(site)
        with pytest.raises(UnknownResource, match="frame 6"):
            await collect(site, RenderRequest(LOOP, EACH, frames=frames))
        site.add("1.2.6.1.1", SOPClassUID=SR, Modality="SR", PixelData=None)
        with pytest.raises(UnknownResource, match="frame 1"):
            await collect(site, RenderRequest(ResourcePath("1.2.6", "1.2.6.1", "1.2.6.1.1"), EACH, frames=(1,)))


@pytest.mark.parametrize("path", [ResourcePath("9"), ResourcePath("1.2.1", "1.2.1.1", "1.2.9")])
async def test_nothing_there(tmp_path: Path, path: ResourcePath) -> None:
    async with open_rendered_site(tmp_path) as site:
        with pytest.raises(UnknownResource):
            await collect(site, RenderRequest(path, EACH))


async def test_what_is_refused_was_not_rendered(tmp_path: Path) -> None:
    def refuse(_: InstanceFacts) -> Rendition:
        raise NotAcceptable(["text/html"])

    async with open_rendered_site(tmp_path) as site:
        for path in (INSTANCE, SERIES):
            with pytest.raises(NotAcceptable):
                await collect(site, RenderRequest(path, refuse))
        assert site.workers.calls == []
        await site.site.check_clean()


async def test_the_rest_of_a_long_instance_is_not_read(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path, ReaderLimits(frames=80_000_000), retrieve="c-get") as site:
        frame = 64 * 1024 * 1024 // 8
        site.add("1.2.5.1.1", NumberOfFrames=8, Rows=4096, Columns=1024, PixelData=bytes(8 * frame))
        [picture] = await collect(site, RenderRequest(LOOP, EACH, frames=(1,)))
        assert picture.frame_number == 1
        await site.site.check_clean()
        assert site.site.archive.pool.statistics.opened >= 1
        assert await collect(site, RenderRequest(INSTANCE, EACH))  # the archive serves on


# --- studies and series ---


async def test_a_series_and_a_study(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        series = await collect(site, RenderRequest(SERIES, EACH))
        assert sorted(picture.path.instance or "" for picture in series) == [f"1.2.1.1.{n}" for n in (1, 2, 3)]
        assert len(await collect(site, RenderRequest(STUDY, EACH))) == 4
        await site.site.check_clean()


async def test_what_cannot_be_shown_is_left_out(tmp_path: Path) -> None:
    """A report that is not wanted, a presentation state, damage before and in the pixels, a frame that is no image."""

    def decide(facts: InstanceFacts) -> Rendition:
        if facts.category is not Category.SINGLE_FRAME:
            raise NotAcceptable(["text/html"])
        return Rendition("image/jpeg", Showing.EACH_FRAME)

    workers = FakeWorkers(refuses=lambda header: b"1.2.1.1.3" in header)
    async with open_rendered_site(tmp_path, workers=workers) as site:
        site.add("1.2.1.1.4", SOPClassUID=SR, PixelData=None)
        site.add_state("1.2.1.1.5", refer("1.2.1.1", ("1.2.1.1.1", [])))
        site.add("1.2.1.1.6", PixelData=bytes(10))
        site.add("1.2.1.1.7", NumberOfFrames="1", Rows=0)
        pictures = await collect(site, RenderRequest(SERIES, decide))
        assert sorted(picture.path.instance or "" for picture in pictures) == ["1.2.1.1.1", "1.2.1.1.2"]
        await site.site.check_clean()


@pytest.mark.parametrize(
    ("attributes", "error"),
    [
        ({"PixelData": bytes(10)}, DecodeError),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.11.1", "PixelData": None}, NotAcceptable),
    ],
)
async def test_a_series_of_which_nothing_can_be_shown(
    tmp_path: Path, attributes: dict[str, object], error: type[GatewayError]
) -> None:
    async with open_rendered_site(tmp_path) as site:
        site.add("1.2.5.1.1", **attributes)
        with pytest.raises(error):
            await collect(site, RenderRequest(ResourcePath("1.2.5", "1.2.5.1"), EACH))


@pytest.mark.parametrize("outside", [b"1.2.1.1.1", b"1.2.1.1.3", b"1.2.1.1."])
async def test_a_region_that_lies_outside_some_images(tmp_path: Path, outside: bytes) -> None:
    def refuse(header: bytes) -> bool:
        if outside in header:
            raise BadParameter("viewport", "the source region lies outside the image")
        return False

    async with open_rendered_site(tmp_path, workers=FakeWorkers(refuses=refuse)) as site:
        if outside.endswith(b"."):
            with pytest.raises(BadParameter, match="viewport"):
                await collect(site, RenderRequest(SERIES, EACH))
        else:
            assert len(await collect(site, RenderRequest(SERIES, EACH))) == 2
        await site.site.check_clean()


async def test_a_failure_in_the_workers(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path, workers=FakeWorkers(refuses=lambda _: True)) as site:
        for path in (INSTANCE, SERIES):
            with pytest.raises(ImagingFailed):
                await collect(site, RenderRequest(path, EACH))
        await site.site.check_clean()


@pytest.mark.parametrize("path", [INSTANCE, SERIES])
async def test_a_failure_is_not_kept(tmp_path: Path, path: ResourcePath) -> None:
    """Not even until the next collection: its traceback holds what was to be shown."""
    errors: list[weakref.ref[ImagingFailed]] = []

    def refuse(_: bytes) -> bool:
        error = ImagingFailed("broken")
        errors.append(weakref.ref(error))
        try:
            raise error
        finally:
            del error

    async with open_rendered_site(tmp_path, workers=FakeWorkers(refuses=refuse)) as site:
        gc.disable()
        try:
            with suppress(ImagingFailed):
                await collect(site, RenderRequest(path, EACH))
            assert errors and [error() for error in errors] == [None] * len(errors)
        finally:
            gc.enable()


# --- presentation states ---


def add_states(site: RenderedSite) -> None:
    add_loop(site)
    site.add("1.2.5.1.2")
    shown = refer("1.2.5.1", ("1.2.5.1.2", []), ("1.2.5.1.1", [2, 4]), ("1.2.5.1.9", []))
    site.add_state("1.2.5.2.1", shown)


async def test_a_state_shows_what_it_refers_to(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_states(site)
        asked: list[InstanceFacts] = []

        def decide(facts: InstanceFacts) -> Rendition:
            asked.append(facts)
            return Rendition("image/png", Showing.EACH_FRAME)

        shown = tell(await collect(site, RenderRequest(STATE, decide)))
        assert [(fact.category, fact.frame_count) for fact in asked] == [(Category.PRESENTATION_STATE, 4)]
        assert [(one["of"], one["frame"]) for one in shown] == [("1.2.5.1.2", 1), ("1.2.5.1.1", 2), ("1.2.5.1.1", 4)]
        assert {one["state"] for one in shown} == {STATE.instance}
        await site.site.check_clean()


async def test_a_state_that_refers_to_frame_0(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_loop(site)
        site.add("1.2.5.1.2")
        site.add_state("1.2.5.2.1", refer("1.2.5.1", ("1.2.5.1.1", [0, 1]), ("1.2.5.1.2", [0])))
        shown = tell(await collect(site, RenderRequest(STATE, EACH)))
        assert [(one["of"], one["frame"]) for one in shown] == [("1.2.5.1.1", 1), ("1.2.5.1.2", 1)]


async def test_a_state_as_one_picture(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_states(site)
        assert [one["of"] for one in tell(await collect(site, RenderRequest(STATE, ONE)))] == ["1.2.5.1.2"]


@pytest.mark.parametrize(
    "items",
    [
        [refer("1.2.5.1", ("1.2.5.1.9", []))],  # not in the archive
        [refer("1.2.5.2", ("1.2.5.2.1", []))],  # itself
        [refer("", ("nonsense", []))],
        [],
    ],
)
async def test_a_state_that_shows_nothing(tmp_path: Path, items: list[Dataset]) -> None:
    async with open_rendered_site(tmp_path) as site:
        site.add_state("1.2.5.2.1", *items)
        with pytest.raises((ImagingFailed, UnknownResource)):
            await collect(site, RenderRequest(STATE, EACH))
        await site.site.check_clean()


def add_blending(site: RenderedSite) -> None:
    items = []
    for position, uid in (("UNDERLYING", "1.2.1.1.1"), ("SUPERIMPOSED", "1.2.5.1.1")):
        item = Dataset()
        item.BlendingPosition, item.StudyInstanceUID = position, uid.rsplit(".", 2)[0]
        item.ReferencedSeriesSequence = [refer(uid.rsplit(".", 1)[0], (uid, []))]
        items.append(item)
    blending = "1.2.840.10008.5.1.4.1.1.11.4"
    site.add("1.2.5.2.1", SOPClassUID=blending, PixelData=None, BlendingSequence=items)


async def test_a_blending_state_has_two_images(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_loop(site)
        add_blending(site)
        [shown] = tell(await collect(site, RenderRequest(STATE, EACH)))
        assert (shown["of"], shown["above"]) == ("1.2.1.1.1", "1.2.5.1.1")


async def test_a_state_that_is_applied_to_an_instance(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        add_states(site)
        request = RenderRequest(LOOP, ONE, RenderParameters(quality=5), state=STATE)
        assert [(one["of"], one["state"]) for one in tell(await collect(site, request))] == [("1.2.5.1.1", "1.2.5.2.1")]
        for wrong in (LOOP, replace(STATE, instance="1.2.5.2.9")):
            with pytest.raises(BadParameter, match="presentationUID"):
                await collect(site, replace(request, state=wrong))
        await site.site.check_clean()


async def test_a_segmentation_lies_over_the_images_it_was_drawn_on(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        groups = make_groups("1.2.1.1.2", "1.2.1.1.9", "1.2.1.1.2")
        frames = {"NumberOfFrames": 3, "BitsAllocated": 8, "PixelData": b"".join(bytes([n]) * 64 for n in (1, 2, 3))}
        site.add("1.2.1.3.1", SOPClassUID=SEG, Modality="SEG", PerFrameFunctionalGroupsSequence=groups, **frames)
        over = ResourcePath("1.2.1", "1.2.1.3", "1.2.1.3.1")
        [shown] = tell(await collect(site, RenderRequest(INSTANCE, EACH, segmentation=over)))
        assert shown["over"] == [["1.2.1.3.1", 1, "01" * 64], ["1.2.1.3.1", 3, "03" * 64]]
        beside = replace(INSTANCE, instance="1.2.1.1.1")
        [other] = tell(await collect(site, RenderRequest(beside, EACH, segmentation=over)))
        assert "over" not in other
        for wrong in (INSTANCE, replace(over, instance="1.2.1.3.9")):
            with pytest.raises(BadParameter, match="segmentationUID"):
                await collect(site, RenderRequest(INSTANCE, EACH, segmentation=wrong))
        await site.site.check_clean()


def add_drawing(site: RenderedSite, *drawn_on: list[int]) -> ResourcePath:
    """A segmentation with a frame for each of the lists of frames of the loop that it was drawn on; its path."""
    groups = make_groups(*[LOOP.instance or ""] * len(drawn_on))
    for group, numbers in zip(groups, drawn_on, strict=True):
        if numbers:
            group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedFrameNumber = numbers
    data = b"".join(bytes([number]) * 64 for number in range(1, len(groups) + 1))
    frames = {"NumberOfFrames": len(groups), "BitsAllocated": 8, "PixelData": data}
    site.add("1.2.5.3.1", SOPClassUID=SEG, Modality="SEG", PerFrameFunctionalGroupsSequence=groups, **frames)
    return ResourcePath("1.2.5", "1.2.5.3", "1.2.5.3.1")


@pytest.mark.parametrize("frames", [(), (1, 2, 3, 4, 5), (2, 4)])
async def test_a_segmentation_over_many_frames_takes_one_association(tmp_path: Path, frames: tuple[int, ...]) -> None:
    async with open_rendered_site(tmp_path, max_associations=1, pool_timeout_s=1) as site:
        add_loop(site)
        over = add_drawing(site, [2], [], [4, 5], [3])
        shown = tell(await collect(site, RenderRequest(LOOP, EACH, frames=frames, segmentation=over)))
        drawn = {one["frame"]: [number for _, number, _ in one["over"]] for one in shown}
        expected = {1: [2], 2: [1, 2], 3: [2, 4], 4: [2, 3], 5: [2, 3]}
        assert drawn == {number: expected[number] for number in frames or expected}
        await site.site.check_clean()


@pytest.mark.parametrize(("limit", "is_held"), [(255, False), (256, True)])
async def test_frames_of_a_segmentation_are_held_within_the_limit(tmp_path: Path, limit: int, is_held: bool) -> None:
    async with open_rendered_site(tmp_path, ReaderLimits(frames=limit)) as site:
        add_loop(site)
        over = add_drawing(site, [1], [1], [2], [2])
        with nullcontext() if is_held else pytest.raises(TooLarge, match="of the frames"):
            assert len(await collect(site, RenderRequest(LOOP, EACH, frames=(1, 2), segmentation=over))) == 2
        assert len(await collect(site, RenderRequest(LOOP, EACH, frames=(1,), segmentation=over))) == 1
        await site.site.check_clean()


async def test_frames_that_are_drawn_over_others_are_not_copied_by_the_event_loop(tmp_path: Path) -> None:
    """They may have some hundred megabytes: workers are told where they are."""

    class Measuring(FakeWorkers):
        async def run(self, function: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
            assert len(pickle.dumps(arguments)) < 20_000
            return await super().run(function, *arguments, **keywords)

    large = {"Rows": 512, "Columns": 512, "BitsAllocated": 8, "PixelData": bytes(512 * 512)}
    async with open_rendered_site(tmp_path, workers=Measuring()) as site:
        site.add("1.2.5.1.1", **large)
        add_blending(site)
        [shown] = tell(await collect(site, RenderRequest(STATE, EACH)))
        assert shown["above"] == "1.2.5.1.1"
        groups = make_groups(INSTANCE.instance or "")
        site.add("1.2.1.3.1", SOPClassUID=SEG, Modality="SEG", PerFrameFunctionalGroupsSequence=groups, **large)
        over = ResourcePath("1.2.1", "1.2.1.3", "1.2.1.3.1")
        [shown] = tell(await collect(site, RenderRequest(INSTANCE, EACH, segmentation=over)))
        assert shown["over"] == [["1.2.1.3.1", 1, "00" * 512 * 512]]


# --- leaving and failing ---


@pytest.mark.parametrize("method", METHODS)
async def test_leaving_after_the_first_picture(tmp_path: Path, method: str) -> None:
    async with open_rendered_site(tmp_path, retrieve=method) as site:
        async with aclosing(site.service.iter_pictures(RenderRequest(STUDY, EACH))) as pictures:
            await anext(pictures)
        await site.site.check_clean()


async def test_cancelled_anywhere(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path, retrieve="c-get") as site:
        add_states(site)
        async for _ in iter_cancelled_runs(lambda: collect(site, RenderRequest(STATE, EACH))):
            await site.site.check_clean()


async def test_an_archive_that_is_gone(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path, port=1) as site:
        with pytest.raises(ConnectFailed):
            await collect(site, RenderRequest(INSTANCE, EACH))


async def test_the_middle_of_a_series_stands_for_it(tmp_path: Path) -> None:
    async with open_rendered_site(tmp_path) as site:
        assert await site.service.choose_representative(SERIES) == INSTANCE
        assert await site.service.choose_representative(STUDY) == INSTANCE
