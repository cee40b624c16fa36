"""A gateway of canned answers for tests of the console: two backends, studies in memory, switches for failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web

from gateway.console.routes import add_console_routes
from tests.support.canned_pictures import CannedPictures

__all__ = ["FRAMES", "HOSTILE", "INSTANCE_FILE", "FakeGateway", "attribute", "make_study"]

Model = dict[str, Any]

HOSTILE = '<img src="x" onerror="window.stolen = true">'
"""A value that would run if it were taken for markup."""

INSTANCE_FILE = bytes(128) + b"DICM" + b"canned instance"

_KEYWORDS = {
    "PatientID": "00100020",
    "AccessionNumber": "00080050",
    "StudyDescription": "00081030",
    "ModalitiesInStudy": "00080061",
}
_CT, _SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.33"
_US_LOOP, _PDF, _WAVEFORM = (
    "1.2.840.10008.5.1.4.1.1.3.1",
    "1.2.840.10008.5.1.4.1.1.104.1",
    "1.2.840.10008.5.1.4.1.1.9.1.1",
)

_SERIES = [
    (2, "CT", "Axial 0.5 mm, soft tissue", _CT, 120),
    (1, "SR", "Dose report", _SR, 3),
]
_SERIES_OF = {
    "1.2.3.3": [
        (1, "US", "Apical loop", _US_LOOP, 1),
        (2, "DOC", "Letter", _PDF, 1),
        (3, "ECG", "Rhythm", _WAVEFORM, 1),
    ],
    "1.2.3.4": [(1, "US", "Loops of a terse archive", _US_LOOP, 2)],
}
_TERSE = "1.2.3.4"
"""A study whose searches tell neither class nor number of frames nor their size; metadata do. So is dcmqrscp."""

FRAMES = 12


def attribute(vr: str, *values: Any) -> Model:
    """An attribute of the DICOM JSON Model."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def make_study(number: int, name: Model, **values: str) -> Model:
    """A study; `values` are its description, modality and so on."""
    return {
        "00080020": attribute("DA", values.get("date", "20240131")),
        "00080030": attribute("TM", values.get("time", "101500.5")),
        "00080050": attribute("SH", f"ACC{number:04}"),
        "00080061": attribute("CS", *values.get("modalities", "CT").split("\\")),
        "00081030": attribute("LO", values.get("description", f"Study {number}")),
        "00100010": attribute("PN", name),
        "00100020": attribute("LO", f"ID-{number:04}"),
        "00100030": attribute("DA", "19700523"),
        "0020000D": attribute("UI", f"1.2.3.{number}"),
        "00201206": attribute("IS", 3 if number == 3 else 2),
        "00201208": attribute("IS", 123),
    }


def _make_studies() -> list[Model]:
    named = [
        make_study(1, {"Alphabetic": "Yamada^Tarou", "Ideographic": "山田^太郎", "Phonetic": "やまだ^たろう"}),
        make_study(2, {"Alphabetic": "Doe^Jane^M^Dr"}, description=HOSTILE, modalities="MR\\SR", date="not a date"),
        make_study(3, {"Alphabetic": "Åström^Östen"}, description="US Abdomen", modalities="US"),
    ]
    return named + [make_study(number, {"Alphabetic": f"Sample^Number {number}"}) for number in range(4, 61)]


def _make_series(study: str) -> list[Model]:
    return [
        {
            "00080060": attribute("CS", modality),
            "0008103E": attribute("LO", description),
            "0020000D": attribute("UI", study),
            "0020000E": attribute("UI", f"{study}.{number}"),
            "00200011": attribute("IS", number),
            "00201209": attribute("IS", instances),
        }
        for number, modality, description, _, instances in _SERIES_OF.get(study, _SERIES)
    ]


def _make_instances(study: str, series: str) -> list[Model]:
    found = next(it for it in _SERIES_OF.get(study, _SERIES) if series == f"{study}.{it[0]}")
    sop_class, count = found[3:]
    tells_size = sop_class in (_CT, _US_LOOP) and study != _TERSE
    size = ([512], [384]) if tells_size else ([], [])
    frames = [FRAMES] if sop_class == _US_LOOP and tells_size else []
    return [
        {
            "00080016": attribute("UI", *([] if study == _TERSE else [sop_class])),
            "00080018": attribute("UI", f"{series}.{number}"),
            "00200013": attribute("IS", number),
            "00280008": attribute("IS", *frames),
            "00280010": attribute("US", *size[0]),
            "00280011": attribute("US", *size[1]),
        }
        for number in range(count, 0, -1)
    ]


def _make_metadata(instance: str) -> Model:
    return {
        "00080016": attribute("UI", _US_LOOP if instance.startswith(_TERSE) else _CT),
        "00080018": attribute("UI", instance),
        "00081140": attribute("SQ", {"00081155": attribute("UI", "1.2.3.4.5.6")}),
        "00090010": attribute("LO", "A COMPANY"),
        "00091001": {"vr": "UN", "InlineBinary": "AAECAw=="},
        "00100010": attribute("PN", {"Alphabetic": "Doe^Jane", "Ideographic": HOSTILE}),
        "00181063": attribute("DS", 40),
        "00200013": attribute("IS", 1),
        **({"00280008": attribute("IS", FRAMES)} if instance.startswith(_TERSE) else {}),
        "00281050": attribute("DS", 40, 300),
        "00281051": attribute("DS", 400, 1500),
        "7FE00010": {"vr": "OW", "BulkDataURI": f"bulkdata/{instance}"},
    }


@dataclass
class FakeGateway:
    """Answers as a gateway would; its fields may be changed while it runs.

    `failures` maps the name of a backend to the status report that its searches get. `queries` holds what was
    asked, as path and query pairs; `accepts` the Accept fields of retrieved instances; `pictures` renders.
    """

    studies: dict[str, list[Model]] = field(default_factory=lambda: {"main": _make_studies(), "second": []})
    failures: dict[str, Model] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    queries: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    accepts: list[str] = field(default_factory=list)
    pictures: CannedPictures = field(default_factory=CannedPictures)

    def make_application(self) -> web.Application:
        """The console and what it asks."""
        app = web.Application()
        add_console_routes(app)
        app.router.add_get("/backends", self._list_backends)
        for name in self.studies:
            self._add_service(app, name, self._root(name))
        return app

    def stop_backend(self, name: str) -> None:
        """Have a backend unreachable."""
        detail = f"{name.upper()}: the connection was refused"
        self.failures[name] = {"status": 503, "title": "Service Unavailable", "detail": detail}

    def start_backend(self, name: str) -> None:
        """Have it back."""
        del self.failures[name]

    @staticmethod
    def _root(name: str) -> str:
        return "/dicomweb" if name == "main" else f"/backends/{name}/dicomweb"

    def _add_service(self, app: web.Application, name: str, root: str) -> None:
        study, series, instance = "/studies/{study}", "/series/{series}", "/instances/{instance}"
        searches: list[tuple[str, Callable[[web.Request], Iterable[Model]]]] = [
            ("/studies", lambda request: self._match(name, request)),
            (study + "/series", lambda request: _make_series(request.match_info["study"])),
            (study + series + "/instances", lambda request: _make_instances(**request.match_info)),
            (study + series + instance + "/metadata", lambda request: [_make_metadata(request.match_info["instance"])]),
            (study + series + "/metadata", lambda _: [_make_metadata(f"1.2.3.{number}") for number in range(3)]),
        ]
        for path, find in searches:
            app.router.add_get(root + path, self._make_handler(name, find))
        app.router.add_get(root + study + series + instance, self._send_instance)
        self.pictures.add_routes(app, root)

    def _make_handler(self, name: str, find: Callable[[web.Request], Iterable[Model]]) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.Response:
            self.queries.append((request.path, list(request.query.items())))
            if name in self.failures:
                return web.json_response(self.failures[name], status=self.failures[name]["status"])
            headers = {"Warning": ", ".join(f"299 {self._root(name)}: {text}" for text in self.warnings)}
            return web.json_response(list(find(request)), headers=headers, content_type="application/dicom+json")

        return answer

    async def _send_instance(self, request: web.Request) -> web.Response:
        self.accepts.append(request.headers["Accept"])
        return web.Response(body=INSTANCE_FILE, content_type="application/dicom")

    async def _list_backends(self, _: web.Request) -> web.Response:
        return web.json_response({"version": "1.2.3", "backends": [self._describe(name) for name in self.studies]})

    def _describe(self, name: str) -> Model:
        load = {"busy": 1, "idle": 2, "waiting": 0, "opened": 3, "reused": 40, "limit": 8}
        state = {
            "name": name,
            "ae_title": name.upper(),
            "default": name == "main",
            "dicomweb": self._root(name),
            "reachable": name not in self.failures,
            "associations": load,
        }
        return state | ({"reason": "ConnectFailed"} if name in self.failures else {})

    def _match(self, name: str, request: web.Request) -> list[Model]:
        offset, limit = int(request.query.get("offset", 0)), int(request.query.get("limit", 1000))
        found = [study for study in self.studies[name] if _matches(study, request)]
        return found[offset : offset + limit]


def _matches(study: Model, request: web.Request) -> bool:
    wanted = [(tag, request.query[keyword]) for keyword, tag in _KEYWORDS.items() if keyword in request.query]
    names = study["00100010"]["Value"][0].values()
    pattern = request.query.get("PatientName", "*").lower()
    return any(fnmatchcase(name.lower(), pattern) for name in names) and all(
        any(fnmatchcase(value, text) for value in study[tag]["Value"]) for tag, text in wanted
    )
