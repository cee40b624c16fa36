"""Metadata read as a model and as a document to keep: the same, wherever the service is addressed."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import orjson
import pytest

from gateway.codecs.dicom_json import JSON
from gateway.codecs.dicom_xml import XML
from gateway.codecs.fragment_memo import Form
from gateway.dimse.archive import Archive
from gateway.errors import UndecodableResponse
from gateway.resources import ResourcePath
from gateway.services.retrieve.metadata.documents import (
    DocumentReader,
    MetadataDocument,
    TemplateReader,
    render_json,
)
from gateway.services.retrieve.received_instance import ReceivedInstance
from tests.support.fake_archive import EXPLICIT_VR_LE, FakeArchive, encode_model, instance
from tests.support.samples import sample_files
from tests.support.tokens import read_sample

PATH = ResourcePath("1", "1.2", "1.2.3")
URL = 'https://images.example.org/a "quoted" path/dicomweb'
ARCHIVE = cast(Archive, FakeArchive([]))


class _Whole(ReceivedInstance):
    """An instance whose data set is at hand."""

    def __init__(self, transfer_syntax_uid: str, data: bytes) -> None:
        self.path, self.transfer_syntax_uid, self.ae_title = PATH, transfer_syntax_uid, "FAKE"
        self.lacks_bulk_data = False
        self._pieces = [data]

    async def read_piece(self) -> bytes | None:
        return self._pieces.pop() if self._pieces else None


async def read(form: Form, sample: tuple[str, bytes]) -> tuple[bytes, bool]:
    return await DocumentReader(ARCHIVE, form, URL).read(_Whole(*sample))


@pytest.mark.parametrize("path", sample_files(), ids=lambda path: path.name)
async def test_kept_and_passing_metadata_are_identical(path: Path) -> None:
    sample = read_sample(path)
    if sample is None:
        return
    try:
        passing, was_whole = await read(JSON, sample)
    except UndecodableResponse:
        with pytest.raises(UndecodableResponse):
            await TemplateReader(ARCHIVE).read(_Whole(*sample))
        return
    document, is_whole = await TemplateReader(ARCHIVE).read(_Whole(*sample))
    assert is_whole is was_whole
    assert render_json([document], URL) == passing
    assert document.render_xml(URL) == (await read(XML, sample))[0]


async def test_a_reader_that_knows_instances_before_reads_the_next_as_it_is() -> None:
    reader = TemplateReader(ARCHIVE)
    for path in sample_files()[::7]:
        if (sample := read_sample(path)) is not None:
            try:
                passing, _ = await read(JSON, sample)
            except UndecodableResponse:
                continue
            assert render_json([(await reader.read(_Whole(*sample)))[0]], URL) == passing


async def test_values_that_look_like_what_is_put_in_stay_as_they_are() -> None:
    odd = instance(
        "1",
        "1.2",
        "1.2.3",
        ImageComments="\u00ff \ufffd address- \\xff",
        SpecificCharacterSet="ISO_IR 192",
        EncapsulatedDocument=bytes(2_000),
    )
    document, _ = await TemplateReader(ARCHIVE).read(_Whole(EXPLICIT_VR_LE, encode_model(odd)))
    for url in ("http://a/dicomweb", "http://b:1/x"):
        model = orjson.loads(render_json([document], url))
        assert model["00204000"]["Value"] == ["\u00ff \ufffd address- \\xff"]
        assert model["00420011"]["BulkDataURI"] == f"{url}{PATH.url_path}/bulkdata/00420011"


def test_several_with_commas_between_them() -> None:
    documents = [MetadataDocument(PATH, b'{"a":"\xff/x"}'), MetadataDocument(PATH, b"{}")]
    assert orjson.loads(b"[" + render_json(documents, URL) + b"]") == [{"a": URL + "/x"}, {}]
    assert documents[0].size > len(documents[0].template)
