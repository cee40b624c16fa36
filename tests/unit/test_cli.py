"""The command line: what it prints, how it ends, what it imports. It runs as users run it, in a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.testing import CliRunner

import gateway
import gateway.log
from gateway import cli
from gateway.errors import ConfigurationError

MAIN = "main=ARCHIVE@pacs.example.org:104"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "gateway", *arguments],
        capture_output=True,
        text=True,
        env={**clean, "NO_COLOR": "1", "COLUMNS": "120", **environment},
        timeout=60,
        check=False,
    )


def test_version() -> None:
    assert run("--version").stdout == f"dicomweb-gateway {gateway.__version__}\n"


def test_help_names_every_command() -> None:
    text = run("--help").stdout
    assert all(command in text for command in ("serve", "demo", "check", "store", "config"))


def test_help_does_not_wait_for_heavy_imports() -> None:
    code = (
        "import sys, gateway.cli; heavy = {'aiohttp', 'pydicom', 'pynetdicom', 'lxml', 'numpy', 'pydantic'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize(
    ("text", "name", "keys"),
    [
        (MAIN, "main", {"ae_title": "ARCHIVE", "host": "pacs.example.org", "port": "104"}),
        ("a=A@h", "a", {"ae_title": "A", "host": "h"}),
        ("a=A@[::1]:4242", "a", {"ae_title": "A", "host": "::1", "port": "4242"}),
        ("a=A@[::1]", "a", {"ae_title": "A", "host": "::1"}),
        ("a=A@B@h:104", "a", {"ae_title": "A@B", "host": "h", "port": "104"}),
    ],
)
def test_backends_on_the_command_line(text: str, name: str, keys: dict[str, str]) -> None:
    assert cli.parse_backend(text) == (name, keys)


@pytest.mark.parametrize("text", ["", "main", "main=", "main=ARCHIVE", "=A@h:104", "main=@h:104", "main=A@:104"])
def test_wrong_backends_on_the_command_line(text: str) -> None:
    with pytest.raises(ConfigurationError, match="must be NAME=AET@HOST:PORT"):
        cli.parse_backend(text)


def test_config_merges_flags_environment_and_file(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text('[http]\nlisten = "0.0.0.0:9090"\n')
    result = run(
        "config", "--backend", MAIN, "--config", str(file), "--ae-title", "WEB", "--json",
        GATEWAY__BACKENDS__MAIN__RETRIEVE="c-move",
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, "")
    values = json.loads(result.stdout)
    expected = {
        "ae_title": ("WEB", "flag --ae-title"),
        "http.listen": ("0.0.0.0:9090", f"{file}:2"),
        "backends.main.host": ("pacs.example.org", "flag --backend"),
        "backends.main.port": (104, "flag --backend"),
        "backends.main.retrieve": ("c-move", "environment GATEWAY__BACKENDS__MAIN__RETRIEVE"),
        "backends.main.max_associations": (8, "default"),
    }
    assert {key: (values[key]["value"], values[key]["origin"]) for key in expected} == expected


def test_config_as_a_table() -> None:
    result = run("config", "--listen", "127.0.0.1:9", "--dimse-listen", "", "--backend", MAIN)
    rows = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in result.stdout.splitlines()}
    assert rows["http.listen"] == "127.0.0.1:9" + rows["http.listen"].removeprefix("127.0.0.1:9")
    assert rows["http.listen"].endswith("flag --listen")
    assert rows["dimse.listen"] == "flag --dimse-listen"
    assert rows["dimse.max_pdu_bytes"].split() == ["131072", "default"]
    assert rows["backends.main.connect_timeout_s"].split() == ["5", "default"]


def test_config_keeps_secrets() -> None:
    for arguments in (["config"], ["config", "--json"]):
        result = run(*arguments, "--backend", MAIN, GATEWAY__BACKENDS__MAIN__PASSWORD="opensesame")
        assert result.returncode == 0
        assert "opensesame" not in result.stdout + result.stderr
        assert "(set)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["serve"], "backends: no archive is configured; give --backend NAME=AET@HOST:PORT, "),
        (["check"], "backends: no archive is configured; "),
        (["serve", "--backend", "main"], "flag --backend: must be NAME=AET@HOST:PORT"),
        (["serve", "--backend", MAIN, "--listen", "80"], "http.listen: must be HOST:PORT (flag --listen)"),
        (["serve", "--backend", "main=A@h:0"], "backends.main.port: must be at least 1 (flag --backend)"),
        (["config", "--config", "/no/such/file"], "configuration file: /no/such/file does not exist"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_exit_code_2(arguments: list[str], line: str) -> None:
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"dicomweb-gateway: {line}")
    assert result.stderr.count("\n") == 1


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text("nix = 1\n")
    result = run("config", GATEWAY_CONFIG=str(file))
    assert result.returncode == 2
    assert f"nix: unknown key ({file}:1)" in result.stderr


def test_other_failures_are_one_line_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise OSError(98, "Address already in use")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "dicomweb-gateway: [Errno 98] Address already in use\n"


class Recorder:
    """Stands for the part that a command calls; remembers the arguments and returns `result`."""

    def __init__(self, result: Any = None) -> None:
        self.result = result
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    async def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.calls.append((arguments, options))
        return self.result


def put_in_place(monkeypatch: pytest.MonkeyPatch, module: str, function: str, recorder: Recorder) -> None:
    stand_in = ModuleType(f"gateway.{module}")
    setattr(stand_in, function, recorder)
    monkeypatch.setitem(sys.modules, f"gateway.{module}", stand_in)
    monkeypatch.setattr(gateway, module, stand_in, raising=False)
    monkeypatch.setattr(gateway.log, "configure_logging", lambda settings: None)


def test_serve_runs_the_gateway_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, "app", "serve", recorder := Recorder())
    outcome = CliRunner().invoke(cli.app, ["serve", "--backend", MAIN, "--backend", "b=B@h", "--listen", ":80"])
    assert outcome.exit_code == 0, outcome.output
    (((settings,), _),) = recorder.calls
    assert [it.ae_title for it in settings.backends.values()] == ["ARCHIVE", "B"]
    assert settings.http.listen == ":80"


@pytest.mark.parametrize(("usable", "exit_code"), [(True, 0), (False, 1)])
def test_check_ends_by_what_it_found(monkeypatch: pytest.MonkeyPatch, usable: bool, exit_code: int) -> None:
    put_in_place(monkeypatch, "check", "run", recorder := Recorder(usable))
    outcome = CliRunner().invoke(cli.app, ["check", "--backend", MAIN, "--json"])
    assert outcome.exit_code == exit_code
    (((settings,), options),) = recorder.calls
    assert list(settings.backends) == ["main"]
    assert options == {"as_json": True}


def test_demo_listens_where_told(monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_place(monkeypatch, "demo", "run", recorder := Recorder())
    assert CliRunner().invoke(cli.app, ["demo", "--listen", "127.0.0.1:0"]).exit_code == 0
    assert recorder.calls == [((), {"listen": "127.0.0.1:0"})]
