"""Damaged and made-up data sets through the codecs that read tokens: one kind of error, same result in any pieces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.codecs.bulkdata import BulkdataExtractor
from gateway.codecs.dicom_json import dump_json, read_data_set
from gateway.codecs.dicom_xml import encode_native_xml
from gateway.codecs.frames import FrameChunk, FrameEnd, FrameEvent, FrameExtractor, FrameNotFound, FrameStart
from gateway.codecs.transfer_syntax import TRANSFER_SYNTAXES
from gateway.errors import DecodeError, UnknownResource
from tests.support.data_sets import Sample, read_sample, sample_names
from tests.support.encoding import JsonModelBuilder

_SYNTAXES = sorted(TRANSFER_SYNTAXES)
# short ones, so that damage hits structure often
_SMALL = [name for name in sample_names() if len(read_sample(name).data_set) < 20_000]

Result = object


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _read_model(data: bytes, syntax: str, size: int) -> Result:
    builder = JsonModelBuilder(syntax, bulkdata_uri=lambda path: path, inline_limit=64)
    try:
        for piece in _pieces(data, size):
            builder.feed(piece)
        model = builder.finish()
    except DecodeError:
        return DecodeError
    encode_native_xml(model)
    return dump_json(model)


def _read_frames(data: bytes, syntax: str, size: int) -> Result:
    extractor = FrameExtractor(syntax)
    events: list[FrameEvent] = []
    try:
        for piece in _pieces(data, size):
            events += extractor.feed(piece)
        events += extractor.finish()
    except (DecodeError, FrameNotFound) as error:
        return type(error)
    assert extractor.is_complete
    return _join(events)


def _join(events: list[FrameEvent]) -> list[tuple[int, bytes]]:
    frames: list[tuple[int, bytes]] = []
    is_open = False
    for event in events:
        assert isinstance(event, FrameStart) is not is_open
        if isinstance(event, FrameStart):
            frames.append((event.number, b""))
        elif isinstance(event, FrameChunk):
            number, data = frames.pop()
            frames.append((number, data + event.data))
        is_open = not isinstance(event, FrameEnd)
    assert not is_open
    return frames


def _read_bulkdata(data: bytes, syntax: str, size: int) -> Result:
    extractor = BulkdataExtractor(syntax, "7FE00010")
    parts: list[Any] = []
    try:
        for piece in _pieces(data, size):
            parts += extractor.feed(piece)
        parts += extractor.finish()
    except (DecodeError, UnknownResource) as error:
        return type(error)
    return b"".join(parts)


_READERS = pytest.mark.parametrize("read", [_read_model, _read_frames, _read_bulkdata])
_Reader = Callable[[bytes, str, int], Result]


@_READERS
@given(data=st.binary(max_size=300), syntax=st.sampled_from(_SYNTAXES), size=st.integers(1, 300))
def test_random_bytes(read: _Reader, data: bytes, syntax: str, size: int) -> None:
    assert read(data, syntax, size) == read(data, syntax, len(data) or 1)


@_READERS
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_damaged_samples(read: _Reader, data: st.DataObject) -> None:
    sample = _draw_sample(data)
    damaged = bytearray(sample.data_set)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(damaged) - 1, 0)))
        match data.draw(st.sampled_from(["change", "cut", "insert", "repeat"])):
            case "change":
                damaged[place : place + 1] = data.draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del damaged[place : place + data.draw(st.integers(1, 200))]
            case "insert":
                damaged[place:place] = data.draw(st.binary(max_size=12))
            case _:
                damaged[place:place] = damaged[place : place + data.draw(st.integers(1, 200))]
    size = data.draw(st.integers(1, 5000))
    whole = bytes(damaged)
    assert read(whole, sample.transfer_syntax_uid, size) == read(whole, sample.transfer_syntax_uid, len(whole) or 1)


def _draw_sample(data: st.DataObject) -> Sample:
    return read_sample(data.draw(st.sampled_from(_SMALL)))


@_READERS
@pytest.mark.parametrize("name", _SMALL)
def test_samples_byte_by_byte(read: _Reader, name: str) -> None:
    sample = read_sample(name)
    data = sample.data_set[:4000]
    assert read(data, sample.transfer_syntax_uid, 1) == read(data, sample.transfer_syntax_uid, len(data) or 1)


@given(st.binary(max_size=200), st.sampled_from(_SYNTAXES), st.sampled_from(["ISO_IR 6", "ISO_IR 192", "GB18030"]))
def test_random_identifiers(data: bytes, syntax: str, character_set: str) -> None:
    try:
        model = read_data_set(data, syntax, character_set)
    except DecodeError:
        return
    dump_json(model)
