"""Set-up of the structured log: one line of JSON an event, or coloured text on a terminal, on standard error.

Called once by the command line. Everybody else calls ``structlog.get_logger(__name__)`` and gives an event name
with fields.

The rule: **no patient data in the log.** An event carries AE titles, addresses, UIDs of classes and transfer
syntaxes, status codes, counts, sizes and times. It never carries attribute values, search parameters, request
paths with their UIDs, or data set bytes. Three things are done here so that libraries keep to it:

- tracebacks are printed without local variables (structlog's console prints them by default when rich is there);
- loggers and warnings of pydicom and pynetdicom, which quote attribute values, are silenced;
- aiohttp's access log, which quotes request lines, is off; the web ring logs requests itself.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import TextIO

import structlog
from structlog.typing import Processor

from gateway.config import LogSettings

__all__ = ["configure_logging"]

_QUOTING_LIBRARIES = ("pydicom", "pynetdicom", "aiohttp.access", "aiohttp.server")  # what they quote may be of patients


def configure_logging(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Send structlog's events and the standard library's records to `stream` in one format.

    Parameters
    ----------
    settings : LogSettings
        Least level, and the format; ``auto`` is console text on a terminal and JSON elsewhere.
    stream : TextIO or None
        Standard error when None; not closed.
    """
    target = stream if stream is not None else sys.stderr
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    as_text = settings.format == "console" or (settings.format == "auto" and target.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    final = _text_processors(colors=target.isatty()) if as_text else _json_processors()
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,  # so that a second call, as tests make, takes effect everywhere
    )
    _route_standard_library(target, level, shared, final)
    _silence_quoting_libraries()


def _text_processors(*, colors: bool) -> list[Processor]:
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain)]


def _json_processors() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _route_standard_library(target: TextIO, level: int, shared: list[Processor], final: list[Processor]) -> None:
    handler = logging.StreamHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(level, logging.INFO))  # debug lines of libraries are theirs, not ours
    logging.captureWarnings(True)


def _silence_quoting_libraries() -> None:
    for name in _QUOTING_LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom)(\.|$)")
