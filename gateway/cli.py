"""The command line: reads flags, loads the configuration and calls the part that does the work.

It holds no logic of the gateway. Everything heavy is imported inside the command that needs it, so that
``--help`` and ``--version`` answer at once. What a user did wrong ends in one line on standard error: exit code 2
for a wrong configuration, 1 for everything else.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway import __version__
from gateway.errors import ConfigurationError, GatewayError

if TYPE_CHECKING:
    from rich.table import Table

    from gateway.settings_sources import Configuration, KeyPath, Layer

__all__ = ["app", "main", "parse_backend"]

PROGRAM = "dicomweb-gateway"
BACKEND_FORM = "NAME=AET@HOST:PORT"

app = typer.Typer(
    name=PROGRAM,
    help="DICOMweb in front of DIMSE archives.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they print local variables, which may be patient data
)

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", envvar="GATEWAY_CONFIG", help="Configuration file, TOML.")
]
BackendOption = Annotated[
    list[str] | None,
    typer.Option(metavar=BACKEND_FORM, help="An archive; may be repeated, the first is the default one."),
]
ListenOption = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Where DICOMweb is offered.")]
AETitleOption = Annotated[str | None, typer.Option("--ae-title", metavar="AET", help="The gateway's AE title.")]
DimseListenOption = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where archives connect to for C-MOVE; empty for none.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@app.callback()
def _start(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=lambda given: _print_version(given))
    ] = False,
) -> None:
    """DICOMweb in front of DIMSE archives."""


def _print_version(given: bool) -> None:
    if given:
        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.command()
def serve(
    config: ConfigOption = None,
    backend: BackendOption = None,
    listen: ListenOption = None,
    ae_title: AETitleOption = None,
    dimse_listen: DimseListenOption = None,
) -> None:
    """Run the gateway until a stop signal comes."""
    settings = _load(config, _flags(backend, listen, ae_title, dimse_listen)).settings
    _require_backend(settings.backends)
    from gateway import app as gateway_app
    from gateway.log import configure_logging

    configure_logging(settings.log)
    asyncio.run(gateway_app.serve(settings))


@app.command()
def demo(
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where DICOMweb is offered.")] = "127.0.0.1:8080",
) -> None:
    """Run the gateway in front of a sandbox archive filled with synthetic studies."""
    from gateway import demo as gateway_demo

    asyncio.run(gateway_demo.run(listen=listen))


@app.command()
def check(
    config: ConfigOption = None,
    backend: BackendOption = None,
    ae_title: AETitleOption = None,
    dimse_listen: DimseListenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Probe every archive and say what it can do; exit code 0 only if all are usable."""
    settings = _load(config, _flags(backend, None, ae_title, dimse_listen)).settings
    _require_backend(settings.backends)
    from gateway import check as gateway_check
    from gateway.log import configure_logging

    configure_logging(settings.log.model_copy(update={"level": "error"}))
    if not asyncio.run(gateway_check.run(settings, as_json=as_json)):
        raise typer.Exit(1)


@app.command()
def store(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, and folders with all below them.")],
    url: Annotated[str, typer.Option(metavar="URL", help="Service root, for instance https://host/dicomweb.")],
    commit: Annotated[bool, typer.Option("--commit", help="Ask the archive to commit to what was stored.")] = False,
    commit_timeout_s: Annotated[float, typer.Option(min=1, help="Longest wait for its word.")] = 300,
    header: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME: VALUE", help="Sent along; may be repeated."),
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(metavar="TOKEN", envvar="GATEWAY_STORE_TOKEN", help="Bearer token, better from the environment."),
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, max=32, help="Requests side by side.")] = 1,
    journal: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where it is kept what was stored at URL, to go on from there.")
    ] = None,
) -> None:
    """Send files or folders by STOW-RS; exit code 0 only if all are stored, and committed with --commit.

    Files that are no DICOM, and DICOMDIRs, are left out; a DICOM file that cannot be read counts as not stored.
    """
    from rich.console import Console

    from gateway.sender.command import Order, store_files
    from gateway.sender.journal import locate_journal

    order = Order(
        paths,
        _check_url(url),
        journal or locate_journal(url, paths),
        dict(map(_split_header, header or ())) | ({"Authorization": f"Bearer {token}"} if token else {}),
        at_once,
        commit_s=commit_timeout_s if commit else 0,
    )
    if not asyncio.run(store_files(order, Console(stderr=True))).is_success:
        raise typer.Exit(1)


def _check_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ConfigurationError("flag --url", "must start with http:// or https://")
    return url


def _split_header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise ConfigurationError("flag --header", "must be NAME: VALUE")
    return name.strip(), value.strip()


@app.command("config")
def print_config(
    config: ConfigOption = None,
    backend: BackendOption = None,
    listen: ListenOption = None,
    ae_title: AETitleOption = None,
    dimse_listen: DimseListenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the effective configuration without secrets, and where each value came from."""
    configuration = _load(config, _flags(backend, listen, ae_title, dimse_listen))
    rows = _effective_values(configuration)
    if as_json:
        typer.echo(json.dumps({".".join(path): {"value": v, "origin": o} for path, v, o in rows}, indent=2))
        return
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 1_000  # a pipe has no width of its own: nothing is cut or wrapped there
    console.print(_as_table(rows))


def parse_backend(text: str) -> tuple[str, dict[str, str]]:
    """Read ``NAME=AET@HOST:PORT``; the port may be left out (104), an IPv6 address stands in brackets.

    Returns
    -------
    tuple
        The name, and the keys ``ae_title``, ``host`` and, where given, ``port``, unchecked.

    Raises
    ------
    ConfigurationError
        Another form.
    """
    name, _, rest = text.partition("=")
    ae_title, _, address = rest.rpartition("@")
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, port = address, ""
    if not (name and ae_title and host):
        raise ConfigurationError(
            "flag --backend", f"must be {BACKEND_FORM}, for instance main=ARCHIVE@pacs.example.org:104"
        )
    keys = {"ae_title": ae_title, "host": host.strip("[]")}
    return name, {**keys, "port": port} if port else keys


def _flags(backends: list[str] | None, listen: str | None, ae_title: str | None, dimse_listen: str | None) -> Layer:
    from gateway.settings_sources import Layer

    values: dict[str, Any] = {"http": {}, "dimse": {}, "backends": {}}
    origins: dict[KeyPath, str] = {}
    for text in backends or ():
        name, keys = parse_backend(text)
        values["backends"][name] = keys
        origins["backends", name] = "flag --backend"
    if listen is not None:
        values["http"]["listen"] = listen
        origins["http", "listen"] = "flag --listen"
    if ae_title is not None:
        values["ae_title"] = ae_title
        origins["ae_title",] = "flag --ae-title"
    if dimse_listen is not None:
        values["dimse"]["listen"] = dimse_listen
        origins["dimse", "listen"] = "flag --dimse-listen"
    return Layer({key: value for key, value in values.items() if value != {}}, origins)


def _load(file: Path | None, flags: Layer) -> Configuration:
    from gateway.settings_sources import load_configuration

    return load_configuration(file, os.environ, flags)


def _require_backend(backends: Mapping[str, object]) -> None:
    if not backends:
        raise ConfigurationError(
            "backends",
            f"no archive is configured; give --backend {BACKEND_FORM}, --config FILE with [backends.NAME], "
            "or GATEWAY__BACKENDS__NAME__AE_TITLE and GATEWAY__BACKENDS__NAME__HOST",
        )


def _effective_values(configuration: Configuration) -> list[tuple[KeyPath, Any, str]]:
    """Key path, value as JSON has it with secrets masked, and origin, in the order of the models."""
    rows: list[tuple[KeyPath, Any, str]] = []

    def visit(values: Mapping[str, Any], above: KeyPath) -> None:
        for key, value in values.items():
            path = (*above, key)
            if isinstance(value, dict):
                visit(value, path)
            else:
                shown = "(set)" if key == "password" and value is not None else value
                rows.append((path, shown, configuration.origin(path)))

    visit(configuration.settings.model_dump(mode="json"), ())
    return rows


def _as_table(rows: list[tuple[KeyPath, Any, str]]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table("key", "value", "from", box=None, pad_edge=False)
    for path, value, origin in rows:
        text = "" if value is None else value if isinstance(value, str) else json.dumps(_shortest(value))
        style = "dim" if origin == "default" else None
        table.add_row(escape(".".join(path)), escape(text), escape(origin), style=style)
    return table


def _shortest(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def main() -> None:
    """Run the command line and exit; the entry point of ``dicomweb-gateway``."""
    try:
        app()
    except ConfigurationError as error:
        _fail(str(error), 2)
    except (GatewayError, OSError) as error:
        _fail(str(error), 1)


def _fail(text: str, code: int) -> None:
    typer.echo(f"{PROGRAM}: {text}", err=True)
    sys.exit(code)
