"""The DICOM JSON Model (PS3.18 Annex F): how a data set is written as JSON, and what is JSON already.

`JSON` is the form that ``data_set_encoder`` writes in; `encode_data_set` and `read_data_set` are for whole small data
sets, C-FIND identifiers say, of which nothing becomes bulk. Values themselves are ``json_values``'. A model is a plain
dict; `dump_json` writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.codecs import Buffer
from gateway.codecs.data_set_encoder import DataSetEncoder
from gateway.codecs.fragment_memo import Form, FragmentMemo

__all__ = ["JSON", "dump_json", "encode_data_set", "read_data_set"]

Model = dict[str, Any]


class _Json:
    """DICOM JSON as the form of a data set (PS3.18 §F.2)."""

    separator = b","

    def encode(self, tag: int, attribute: Mapping[str, Any], creators: Mapping[int, str]) -> bytes:
        return b'"%08X":%b' % (tag, orjson.dumps(attribute))

    def encode_sequence(self, tag: int, items: Sequence[bytes], creators: Mapping[int, str]) -> bytes:
        if not items:
            return b'"%08X":{"vr":"SQ"}' % tag
        return b'"%08X":{"vr":"SQ","Value":[{%b}]}' % (tag, b"},{".join(items))

    def enclose(self, content: bytes) -> bytes:
        return b"{%b}" % content

    def name_creator(self, attribute: Mapping[str, Any]) -> str:
        return ""

    def restate(self, tag: int, text: bytes, creators: Mapping[int, str]) -> bytes:
        return text


JSON: Form = _Json()
"""DICOM JSON for a ``FragmentMemo``; a document is one object."""


def encode_data_set(
    data: Buffer,
    transfer_syntax_uid: str,
    default_character_set: str = "ISO_IR 6",
    memo: FragmentMemo | None = None,
) -> bytes:
    """Return the DICOM JSON object of a whole data set, every value inline.

    Parameters
    ----------
    data : bytes or memoryview
        The data set without File Meta Information, e.g. the identifier of a C-FIND-RSP.
    transfer_syntax_uid : str
        Of `data`.
    default_character_set : str
        Defined term of data sets that name none.
    memo : FragmentMemo, optional
        Of `JSON`, shared by data sets that resemble each other.

    Raises
    ------
    DecodeError
        `data` is no whole data set, or a value is longer than 4 MiB.

    Source: PS3.18 §F.2
    """
    encoder = DataSetEncoder(
        transfer_syntax_uid,
        memo or FragmentMemo(JSON),
        bulkdata_uri=None,
        default_character_set=default_character_set,
    )
    encoder.feed(data)
    return encoder.finish()


def read_data_set(data: Buffer, transfer_syntax_uid: str, default_character_set: str = "ISO_IR 6") -> Model:
    """Return the DICOM JSON Model object of a whole data set, every value inline; as `encode_data_set`."""
    model: Model = orjson.loads(encode_data_set(data, transfer_syntax_uid, default_character_set))
    return model


def dump_json(model: Model | list[Model]) -> bytes:
    """Write a model, or an array of several, as UTF-8."""
    return orjson.dumps(model)
