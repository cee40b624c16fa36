"""Data sets through the encoder, and what the plain way makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.codecs import Buffer
from gateway.codecs.data_set_encoder import BulkdataUri, DataSetEncoder
from gateway.codecs.dicom_json import JSON
from gateway.codecs.fragment_memo import Form, FragmentMemo
from gateway.errors import DecodeError
from tests.support.reference_model import build_xml, read_reference

__all__ = ["Encoded", "JsonModelBuilder", "encode", "encode_plainly", "make_uri"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A document, whole or what stands before the damage, and the damage."""

    document: bytes
    error: tuple[str, int | None, str | None] | None


def make_uri(path: str) -> str:
    """A Bulkdata URI."""
    return f"http://h/bulkdata/{path}"


def encode(
    pieces: Iterable[Buffer],
    transfer_syntax_uid: str,
    memo: FragmentMemo | None = None,
    *,
    inline_limit: int = 1024,
    has_bulk: bool = True,
    default_character_set: str = "ISO_IR 6",
) -> Encoded:
    """Feed `pieces` to an encoder."""
    encoder = DataSetEncoder(
        transfer_syntax_uid,
        FragmentMemo(JSON) if memo is None else memo,
        bulkdata_uri=make_uri if has_bulk else None,
        inline_limit=inline_limit,
        default_character_set=default_character_set,
    )
    try:
        for piece in pieces:
            encoder.feed(piece)
        return Encoded(encoder.finish(), None)
    except DecodeError as error:
        return Encoded(encoder.salvage(), (error.reason, error.offset, error.path))


def encode_plainly(
    data: bytes,
    transfer_syntax_uid: str,
    form: Form = JSON,
    *,
    inline_limit: int = 1024,
    has_bulk: bool = True,
    default_character_set: str = "ISO_IR 6",
) -> Encoded:
    """The same by way of a model."""
    model, error = read_reference(
        data,
        transfer_syntax_uid,
        bulkdata_uri=make_uri if has_bulk else None,
        inline_limit=inline_limit,
        default_character_set=default_character_set,
    )
    document = orjson.dumps(model) if form is JSON else build_xml(model)
    return Encoded(document, error and (error.reason, error.offset, error.path))


class JsonModelBuilder:
    """Builds the model of one data set in flight: a ``DataSetEncoder`` whose documents are read again."""

    def __init__(
        self,
        transfer_syntax_uid: str,
        *,
        bulkdata_uri: BulkdataUri | None,
        inline_limit: int = 1024,
        default_character_set: str = "ISO_IR 6",
    ) -> None:
        self._encoder = DataSetEncoder(
            transfer_syntax_uid,
            FragmentMemo(JSON),
            bulkdata_uri=bulkdata_uri,
            inline_limit=inline_limit,
            default_character_set=default_character_set,
        )

    def feed(self, data: Buffer) -> None:
        """As ``DataSetEncoder.feed``."""
        self._encoder.feed(data)

    def finish(self) -> dict[str, Any]:
        """As ``DataSetEncoder.finish``."""
        model: dict[str, Any] = orjson.loads(self._encoder.finish())
        return model

    def salvage(self) -> dict[str, Any]:
        """As ``DataSetEncoder.salvage``."""
        model: dict[str, Any] = orjson.loads(self._encoder.salvage())
        return model
