"""The Retrieve handlers over HTTP, in front of a sandbox archive and its switches."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from gateway.app import Gateway, run_gateway
from gateway.config import GatewaySettings
from gateway.sandbox import Behaviour, Disturbance, Fault, Moment, SandboxArchive
from gateway.services.retrieve.inventories.inventory import HeldInstance
from gateway.tasks import running_tasks
from tests.support.cancellation import settle
from tests.support.retrieve_site import METHODS, SHORT, fill
from tests.support.wado import ANY_SYNTAX, Answer, fetch, split_file
from tests.unit.sandbox.conftest import make_instance, save

STUDY, SERIES = "/studies/1.2.1", "/studies/1.2.1/series/1.2.1.1"
INSTANCE = f"{SERIES}/instances/1.2.1.1.2"
LARGE = "/studies/1.2.7/series/1.2.7.1/instances/1.2.7.1.1"
JSON, XML = "application/dicom+json", 'multipart/related; type="application/dicom+xml"'
OCTETS = 'multipart/related; type="application/octet-stream"'


@dataclass(frozen=True)
class Site:
    """A gateway and its archive."""

    gateway: Gateway
    sandbox: SandboxArchive
    url: str

    async def get(self, path: str, accept: str | None = ANY_SYNTAX, *, known: str | None = None) -> Answer:
        return await fetch(self.url + path, accept, known=known)

    async def check_clean(self) -> None:
        pool = self.gateway.archives["main"].pool
        await settle(lambda: pool.busy_count == pool.waiting_count == pool.ending_count == 0)
        await settle(lambda: not [name for name in running_tasks() if name.startswith("C-MOVE")])


@asynccontextmanager
async def open_site(
    folder: Path, behaviour: Behaviour | None = None, cache: dict[str, Any] | None = None, **backend: Any
) -> AsyncIterator[Site]:
    with SandboxArchive(folder / "archive") as sandbox:
        fill(sandbox, folder / "files")
        main = {"ae_title": "SANDBOX", "host": "127.0.0.1", "port": sandbox.port, **SHORT, **backend}
        settings = GatewaySettings(
            http={"listen": "127.0.0.1:0", "shutdown_grace_s": 1},
            dimse={"listen": "127.0.0.1:0"},
            backends={"main": main},
            cache=cache or {},
        )
        async with run_gateway(settings) as gateway:
            sandbox.add_move_destination("GATEWAY", "127.0.0.1", gateway.dimse_port)
            sandbox.behaviour = behaviour or Behaviour()
            yield Site(gateway, sandbox, f"{gateway.url}/dicomweb")


def add_large(site: Site, folder: Path) -> None:
    """An instance that no buffer between archive and client holds."""
    large = make_instance("1.2.7.1.1", PixelData=bytes(64_000_000), Rows=8000, Columns=4000)
    site.sandbox.index.add_file(save(large, folder / "files"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("path", "count"), [(STUDY, 4), (SERIES, 3), (INSTANCE, 1)])
async def test_each_level_as_files_and_metadata(tmp_path: Path, method: str, path: str, count: int) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        files = await site.get(path)
        assert files.status == 200 and len(files.parts) == count
        for part in files.parts:
            assert part.location.startswith(f"{site.url}{path}")
            assert part.transfer_syntax == split_file(part.body)[0] == "1.2.840.10008.1.2.1"
        models = json.loads((await site.get(f"{path}/metadata", JSON)).body)
        assert len(models) == count
        documents = (await site.get(f"{path}/metadata", XML)).parts
        assert [part.content_type for part in documents] == ["application/dicom+xml"] * count
        bulk = await fetch(models[0]["7FE00010"]["BulkDataURI"], OCTETS)
        assert bulk.parts[0].body == bytes(range(128))
        await site.check_clean()


ANSWERS = [
    (INSTANCE, "application/dicom", 200, "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
    (INSTANCE, "*/*", 200, "multipart/related"),
    (INSTANCE, None, 200, "multipart/related"),
    (SERIES, "application/dicom", 406, "application/json"),
    (f"{INSTANCE}/metadata", "application/dicom+xml", 200, "application/dicom+xml"),
    (f"{INSTANCE}/metadata", None, 200, JSON),
    (f"{INSTANCE}/metadata", "image/png", 406, "application/json"),
    (f"{INSTANCE}/frames/1", None, 200, "multipart/related"),
    (f"{INSTANCE}/frames/1", "application/octet-stream", 200, "application/octet-stream"),
    (f"{INSTANCE}/frames/1", 'multipart/related; type="image/jp2"', 200, "multipart/related"),
    (f"{INSTANCE}/frames/1", 'multipart/related; type="image/jpx"', 406, "application/json"),
    (f"{INSTANCE}/frames/2", OCTETS, 404, "application/json"),
    (f"{INSTANCE}/frames/x", OCTETS, 400, "application/json"),
    (f"{INSTANCE}/bulkdata/7FE00010", OCTETS, 200, "multipart/related"),
    (f"{INSTANCE}/bulkdata/00091001", OCTETS, 404, "application/json"),
    (f"{SERIES}/instances/1.9", ANY_SYNTAX, 404, "application/json"),
    ("/studies/1.2.2/series/1.2.1.1", ANY_SYNTAX, 404, "application/json"),
    ("/studies/1.2.x", ANY_SYNTAX, 400, "application/json"),
]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (INSTANCE, "application/dicom"),
        (f"{INSTANCE}/frames/1", "application/octet-stream"),
        (f"{INSTANCE}/bulkdata/7FE00010", "application/octet-stream"),
        (INSTANCE, ANY_SYNTAX),
    ],
)
async def test_a_client_that_leaves_with_the_last_byte_has_taken_it(
    tmp_path: Path, method: str, path: str, accept: str
) -> None:
    """The archive was answered before the body ended: nothing is refused, cancelled or cut."""
    async with open_site(tmp_path, retrieve=method) as site:
        address = URL(site.url)
        for _ in range(3):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            head = f"GET {address.path}{path} HTTP/1.1\r\nHost: h\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode())
            assert (await reader.readline()).split()[1] == b"200"
            await reader.readuntil(b"\r\n0\r\n\r\n")
            writer.transport.abort()
        await site.check_clean()
        counters, statistics = site.sandbox.counters, site.gateway.archives["main"].pool.statistics
        assert (counters.cancels, counters.aborts, statistics.aborted) == (0, 0, 0)


async def test_what_is_answered_and_how(tmp_path: Path) -> None:
    async with open_site(tmp_path, retrieve="c-get") as site:
        for path, accept, status, content_type in ANSWERS:
            answer = await site.get(path, accept)
            assert (path, answer.status) == (path, status)
            assert answer.headers["Content-Type"].startswith(content_type), path
            head = await fetch(site.url + path, accept, method="HEAD")
            assert (head.status, head.body) == (status, b""), path
        await site.check_clean()


FAILURES = [
    (Behaviour(refuse_role=True), "c-get", 501),
    (Behaviour(retrieve_status=0xA701), "c-get", 503),
    (Behaviour(retrieve_status=0xA900), "c-get", 502),
    (Behaviour(retrieve_status=0xC001), "c-move", 502),
    (Behaviour(failing_suboperations=frozenset({1, 2, 3, 4})), "c-get", 503),
    (Behaviour(disturbance=Disturbance(Fault.DROP, Moment.BEFORE_FIRST_RESPONSE)), "c-get", 502),
    (Behaviour(disturbance=Disturbance(Fault.STALL, Moment.BEFORE_FIRST_RESPONSE)), "c-get", 504),
    (Behaviour(rejection=(1, 1, 3)), "c-get", 502),
    (Behaviour(rejection=(2, 3, 2)), "c-get", 503),
]


@pytest.mark.parametrize(("behaviour", "method", "status"), FAILURES)
async def test_a_failure_before_the_first_byte_has_its_status(
    tmp_path: Path, behaviour: Behaviour, method: str, status: int
) -> None:
    limits = {"response_timeout_s": 1.5, "retrieve_timeout_s": 1.5, "cancel_timeout_s": 0.1}
    async with open_site(tmp_path, behaviour, retrieve=method, **limits) as site:
        answer = await site.get(SERIES)
        assert (answer.status, json.loads(answer.body)["status"]) == (status, status)
        site.sandbox.behaviour = Behaviour()
        assert (await site.get(SERIES)).status == 200
        await site.check_clean()


@pytest.mark.parametrize("path", [SERIES, f"{SERIES}/metadata"])
@pytest.mark.parametrize("method", METHODS)
async def test_a_failure_after_the_first_byte_cuts_the_answer(tmp_path: Path, method: str, path: str) -> None:
    behaviour = Behaviour(failing_suboperations=frozenset({1}))
    async with open_site(tmp_path, behaviour, retrieve=method) as site:
        with pytest.raises(aiohttp.ClientError):
            await site.get(path, "*/*")
        site.sandbox.behaviour = Behaviour()
        assert (await site.get(path, "*/*")).status == 200
        await site.check_clean()


@pytest.mark.parametrize("method", METHODS)
async def test_a_client_that_leaves_is_heard_of_by_the_archive(tmp_path: Path, method: str) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        add_large(site, tmp_path)
        client = aiohttp.ClientSession()
        response = await client.get(site.url + LARGE, headers={"Accept": ANY_SYNTAX})
        await response.content.readany()
        if response.connection is not None and response.connection.transport is not None:
            response.connection.transport.abort()
        await client.close()
        await site.check_clean()
        # an A-ABORT may be lost: a connection closed with instance data unread is reset
        heard = await asyncio.to_thread(
            site.sandbox.wait_for, lambda now: now.cancels + now.aborts + now.connections_lost > 0, 2.0
        )
        assert heard
        assert (await site.get(SERIES)).status == 200


async def test_known_to_be_missing_is_told_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offline = property(lambda held: held.path.instance == "1.2.1.1.2")
    monkeypatch.setattr(HeldInstance, "is_unavailable", offline)
    async with open_site(tmp_path, retrieve="c-get") as site:
        for path, accept in ((SERIES, ANY_SYNTAX), (f"{SERIES}/metadata", JSON)):
            answer = await site.get(path, accept)
            assert answer.status == 206
            assert answer.headers["Warning"] == f'299 {site.url} "1 of 3 instances are not available"'
            assert len(answer.parts if accept is ANY_SYNTAX else json.loads(answer.body)) == 2


TAGGED = [
    (f"{SERIES}/metadata", JSON, XML),
    (f"{SERIES}/metadata", XML, JSON),
    (INSTANCE, ANY_SYNTAX, "application/dicom"),
    (SERIES, ANY_SYNTAX, "*/*"),
    (f"{INSTANCE}/frames/1", OCTETS, "application/octet-stream"),
    (f"{INSTANCE}/bulkdata/7FE00010", OCTETS, "application/octet-stream"),
]
"""What has an entity tag once the metadata of its series is kept; and another form of it, with another tag."""


@pytest.mark.parametrize(("path", "accept", "other"), TAGGED)
async def test_what_a_client_has_is_not_sent_again(tmp_path: Path, path: str, accept: str, other: str) -> None:
    async with open_site(tmp_path, cache={"fresh_s": 0}) as site:
        await site.get(f"{SERIES}/metadata", JSON)
        first = await site.get(path, accept)
        assert first.status == 200 and first.headers["Cache-Control"] == "private, no-cache"
        tag, before = first.headers["ETag"], site.sandbox.counters
        assert tag.startswith('W/"')
        again = await site.get(path, accept, known=f'"other", {tag}')
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
        assert again.headers["Cache-Control"] == "private, no-cache" and "Accept" in again.headers["Vary"]
        assert "Content-Type" not in again.headers
        after = site.sandbox.counters
        assert after.finds > before.finds and after.gets == before.gets  # asked, and not retrieved
        assert (await site.get(path, accept, known='"other"')).status == 200
        elsewhere = await site.get(path, other, known=tag)
        assert elsewhere.status == 200 and elsewhere.headers["ETag"] != tag
        await site.check_clean()


@pytest.mark.parametrize(("path", "accept", "other"), TAGGED)
async def test_what_has_changed_is_sent_again(tmp_path: Path, path: str, accept: str, other: str) -> None:
    async with open_site(tmp_path, cache={"fresh_s": 0}) as site:
        await site.get(f"{SERIES}/metadata", JSON)
        tag = (await site.get(path, accept)).headers["ETag"]
        for uid in ("1.2.1.1.1", "1.2.1.1.2", "1.2.1.1.3"):
            renamed = make_instance(uid, SeriesDescription="corrected")
            site.sandbox.index.add_file(save(renamed, tmp_path / "files"))
        again = await site.get(path, accept, known=tag)
        assert again.status == 200 and again.headers.get("ETag") != tag
        await site.check_clean()


async def test_any_tag_is_that_of_what_exists(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        assert (await site.get(f"{SERIES}/metadata", JSON, known="*")).status == 304
        assert (await site.get(f"{SERIES}9/metadata", JSON, known="*")).status == 404
        await site.get(f"{SERIES}/metadata", JSON)
        assert (await site.get(f"{INSTANCE}/frames/99", OCTETS, known="*")).status == 404
        await site.check_clean()


async def test_without_kept_metadata_there_are_no_tags(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        assert "ETag" not in (await site.get(INSTANCE)).headers
    async with open_site(tmp_path / "off", cache={"metadata_memory_mib": 0}) as site:
        for path, accept, _ in TAGGED:
            answer = await site.get(path, accept, known="*")
            assert answer.status == 200 and "ETag" not in answer.headers
            assert answer.headers["Cache-Control"] == "private, no-store"


async def test_how_long_pixels_may_be_kept_is_a_setting(tmp_path: Path) -> None:
    async with open_site(tmp_path, cache={"cache_control": "private, max-age=60"}) as site:
        assert (await site.get(f"{SERIES}/metadata", JSON)).headers["Cache-Control"] == "private, no-cache"
        assert (await site.get(INSTANCE)).headers["Cache-Control"] == "private, max-age=60"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("path", "count"), [(STUDY, 4), (SERIES, 3), (INSTANCE, 1)])
async def test_each_level_as_a_zip_archive(tmp_path: Path, method: str, path: str, count: int) -> None:
    async with open_site(tmp_path, retrieve=method) as site:
        answer = await site.get(path, "application/zip")
        assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
        uid = path.rpartition("/")[2]
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{uid}.zip"'
        parts = (await site.get(path)).parts
        with zipfile.ZipFile(BytesIO(answer.body)) as archive:
            assert archive.testzip() is None and len(archive.namelist()) == count
            contents = {name: archive.read(name) for name in archive.namelist()}
        prefix = site.url + "/studies/"
        assert contents == {
            part.location.removeprefix(prefix).replace("series/", "").replace("instances/", "") + ".dcm": part.body
            for part in parts
        }
        head = await fetch(site.url + path, "application/zip", method="HEAD")
        assert (head.status, head.body) == (200, b"")
        await site.check_clean()


async def test_a_zip_archive_of_what_fails_on_the_way_is_cut(tmp_path: Path) -> None:
    behaviour = Behaviour(failing_suboperations=frozenset({1}))
    async with open_site(tmp_path, behaviour, retrieve="c-get") as site:
        with pytest.raises(aiohttp.ClientError):
            await site.get(SERIES, "application/zip")
        site.sandbox.behaviour = Behaviour()
        video = "application/zip; transfer-syntax=1.2.840.10008.1.2.4.102"
        refused = await site.get(SERIES, video)
        assert refused.status == 406
        await site.check_clean()
