"""Compressed request bodies: any cut gives the same bytes, in small steps, within the limit."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import MalformedBody, RequestError, TooLarge, UnsupportedCoding
from gateway.web.content_coding import BodyDecoder

BODY = bytes(range(256)) * 300


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


FORMS = {
    "gzip": gzip.compress(BODY),
    "X-GZIP": gzip.compress(BODY[:1000]) + gzip.compress(BODY[1000:]),
    "deflate": zlib.compress(BODY),
    " Deflate": raw_deflate(BODY),
    "identity": BODY,
    "": BODY,
}


def decode(content_encoding: str, pieces: list[bytes], limit: int = 0) -> list[bytes]:
    decoder = BodyDecoder(content_encoding, limit)
    out = [step for piece in pieces for step in decoder.decode(piece)]
    decoder.finish()
    return out


@pytest.mark.parametrize("coding", FORMS)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_every_coding_in_any_pieces(coding: str, size: int) -> None:
    body = FORMS[coding]
    out = decode(coding, [body[start : start + size] for start in range(0, len(body), size)])
    assert b"".join(out) == BODY and all(out)


def test_a_bomb_comes_in_small_steps_and_stops_at_the_limit() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    assert max(map(len, decode("gzip", [bomb]))) <= 262_144
    decoder, size = BodyDecoder("gzip", 1_000_000), 0
    with pytest.raises(TooLarge, match="decompressed"):
        for step in decoder.decode(bomb):
            size += len(step)
    assert size <= 1_000_000
    assert sum(map(len, decode("", [bytes(10_000)], limit=100))) == 10_000  # only what is compressed can be a bomb


@pytest.mark.parametrize("bits", [31, 15, -15])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_body_whose_end_fills_a_step(bits: int, steps: int) -> None:
    """The last bytes of it may stand for more than a step: the stream has taken all then, and not given all."""
    for length in range(steps * 262_144 - 300, steps * 262_144 + 300, 7):
        compressor = zlib.compressobj(9, zlib.DEFLATED, bits)
        body = compressor.compress(bytes(length)) + compressor.flush()
        out = decode("gzip" if bits == 31 else "deflate", [body])
        assert sum(map(len, out)) == length and max(map(len, out)) <= 262_144


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("missing", [1, 4, 20])
def test_a_body_that_ends_early(coding: str, missing: int) -> None:
    with pytest.raises(MalformedBody):
        decode(coding, [FORMS[coding][:-missing]])


@pytest.mark.parametrize("coding", ["br", "gzip, gzip", "zstd", "compress"])
def test_other_codings_are_named_as_unsupported(coding: str) -> None:
    with pytest.raises(UnsupportedCoding) as raised:
        BodyDecoder(coding, 0)
    assert raised.value.supported == ("gzip", "deflate")


@given(st.sampled_from(["gzip", "deflate"]), st.lists(st.binary(max_size=40), max_size=5))
def test_garbage_gives_request_errors_only(coding: str, pieces: list[bytes]) -> None:
    try:
        decode(coding, pieces)
    except RequestError:
        pass
