"""The log: its two formats, its level, and that libraries cannot write patient data into it."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
import structlog

from gateway.config import LogSettings
from gateway.log import configure_logging

SECRET = "Yamada^Tarou"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    with warnings.catch_warnings():
        yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers, root.level = handlers, level
    for name in ("pydicom", "pynetdicom", "aiohttp.access"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def configured(stream: io.StringIO | None = None, **settings: str) -> io.StringIO:
    stream = stream or io.StringIO()
    configure_logging(LogSettings.model_validate(settings), stream)
    return stream


def test_a_file_gets_one_line_of_json_an_event() -> None:
    stream = configured()
    structlog.get_logger("gateway.test").info("association_opened", ae_title="ARCHIVE")
    logging.getLogger("elsewhere").warning("odd %s", "thing")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["ae_title"], first["level"]) == ("association_opened", "ARCHIVE", "info")
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["logger"], second["level"]) == ("odd thing", "elsewhere", "warning")


def test_a_terminal_gets_text() -> None:
    stream = configured(Terminal())
    structlog.get_logger("gateway.test").info("association_opened", ae_title="ARCHIVE")
    assert "association_opened" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


@pytest.mark.parametrize(("settings", "is_json"), [({"format": "json"}, True), ({"format": "console"}, False)])
def test_the_format_can_be_chosen(settings: dict[str, str], is_json: bool) -> None:
    stream = configured(Terminal() if is_json else io.StringIO(), **settings)
    structlog.get_logger("gateway.test").info("event")
    assert stream.getvalue().startswith("{") is is_json


def test_events_below_the_level_are_dropped() -> None:
    stream = configured(level="warning")
    log = structlog.get_logger("gateway.test")
    log.info("quiet")
    log.warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_tracebacks_have_no_local_variables(log_format: str) -> None:
    stream = configured(format=log_format)
    patient_name = "^".join(("Yamada", "Tarou"))
    try:
        raise ValueError("no match for " + str(len(patient_name)))
    except ValueError as error:
        structlog.get_logger("gateway.test").error("task_failed", exc_info=error)
    assert "ValueError: no match for 12" in stream.getvalue()
    assert SECRET not in stream.getvalue()


@pytest.mark.parametrize("name", ["pydicom", "pynetdicom.acse", "aiohttp.access", "aiohttp.server"])
def test_libraries_that_quote_values_are_silent(name: str) -> None:
    stream = configured(level="debug")
    logging.getLogger(name).error("bad value %s", SECRET)
    assert stream.getvalue() == ""


def test_pydicom_s_warnings_are_silent_and_others_are_logged() -> None:
    code = (
        "import warnings; from gateway.config import LogSettings; from gateway.log import configure_logging;"
        "configure_logging(LogSettings());"
        "from pydicom.valuerep import validate_value;"
        f"validate_value('UI', {SECRET!r}, 1);"
        "warnings.warn('other')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert SECRET not in result.stderr
    assert "other" in json.loads(result.stderr)["event"]
