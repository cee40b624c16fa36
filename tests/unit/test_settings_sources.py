"""File, environment and flags: merging, origins, and one clear line for everything wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import GatewaySettings, RetrieveMethod
from gateway.errors import ConfigurationError
from gateway.settings_sources import Layer, load_configuration

FILE = """\
ae_title = "WEB"

[http]
listen = "0.0.0.0:9090"
cors_origins = ["https://viewer.example.org"]

[backends.north-pacs]
ae_title = "NORTH"  # a comment
host = "north.example.org"
port = 11112

[backends.south]
ae_title = "SOUTH"
host = "south.example.org"
"""
MAIN = {"GATEWAY__BACKENDS__MAIN__AE_TITLE": "MAIN", "GATEWAY__BACKENDS__MAIN__HOST": "main.example.org"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(FILE)
    return path


def failure(*arguments: Any) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return path


# --- merging ---


def test_nothing_given_means_the_defaults() -> None:
    configuration = load_configuration(None, {})
    assert configuration.settings == GatewaySettings()
    assert configuration.origin(("http", "listen")) == "default"


def test_later_sources_win_key_by_key(file: Path) -> None:
    flags = Layer({"backends": {"south": {"host": "10.0.0.3"}}}, {("backends", "south", "host"): "flag --backend"})
    environment = {
        "GATEWAY__BACKENDS__SOUTH__HOST": "10.0.0.2",
        "GATEWAY__BACKENDS__SOUTH__RETRIEVE": "c-move",
        "GATEWAY__BACKENDS__SOUTH__PORT": "4242",
    }
    configuration = load_configuration(file, environment, flags)
    south = configuration.settings.backends["south"]
    assert (south.ae_title, south.host, south.port) == ("SOUTH", "10.0.0.3", 4242)
    assert south.retrieve is RetrieveMethod.C_MOVE
    origins = {key: configuration.origin(("backends", "south", key)) for key in ("ae_title", "host", "port")}
    assert origins == {
        "ae_title": f"{file}:13",
        "host": "flag --backend",
        "port": "environment GATEWAY__BACKENDS__SOUTH__PORT",
    }
    assert configuration.origin(("http", "listen")) == f"{file}:4"
    assert configuration.origin(("log", "level")) == "default"


def test_backends_keep_the_order_of_the_file_then_of_the_rest(file: Path) -> None:
    environment = {"GATEWAY__BACKENDS__SOUTH__PORT": "4242", **MAIN}
    backends = load_configuration(file, environment).settings.backends
    assert list(backends) == ["north-pacs", "south", "main"]


def test_backends_of_the_environment_have_the_order_of_their_names() -> None:
    names = ("ZEBRA", "MAIN", "ARCHIVE")
    environment = {f"GATEWAY__BACKENDS__{name}__{key}": name for name in names for key in ("HOST", "AE_TITLE")}
    assert list(load_configuration(None, environment).settings.backends) == ["archive", "main", "zebra"]


def test_a_start_from_the_environment_alone() -> None:
    settings = load_configuration(None, {**MAIN, "PATH": "/usr/bin", "GATEWAY_SERVICE_HOST": "10.0.0.1"}).settings
    assert list(settings.backends) == ["main"]
    assert settings.backends["main"].host == "main.example.org"


def test_names_in_the_environment_find_the_backend_of_the_file(file: Path) -> None:
    configuration = load_configuration(file, {"Gateway__Backends__NORTH_PACS__Host": "10.0.0.9"})
    assert configuration.settings.backends["north-pacs"].host == "10.0.0.9"
    origin = configuration.origin(("backends", "north-pacs", "host"))
    assert origin == "environment Gateway__Backends__NORTH_PACS__Host"


@pytest.mark.parametrize("text", ["https://a.example,https://b.example", '["https://a.example", "https://b.example"]'])
def test_lists_in_the_environment(text: str) -> None:
    http = load_configuration(None, {"GATEWAY__HTTP__CORS_ORIGINS": text}).settings.http
    assert http.cors_origins == ("https://a.example", "https://b.example")


def test_a_whole_section_as_json_replaces_the_file_s_origin(file: Path) -> None:
    configuration = load_configuration(file, {"GATEWAY__HTTP": '{"listen": "127.0.0.1:1"}'})
    assert configuration.settings.http.listen == "127.0.0.1:1"
    assert configuration.settings.http.cors_origins == ("https://viewer.example.org",)
    assert configuration.origin(("http", "listen")) == "environment GATEWAY__HTTP"


def test_dotted_keys_and_inline_tables_have_an_origin_too(tmp_path: Path) -> None:
    path = write(tmp_path, 'http.listen = "127.0.0.1:1"\nlog = { level = "debug" }\n')
    configuration = load_configuration(path, {})
    assert configuration.origin(("http", "listen")) == f"{path}:1"
    assert configuration.origin(("log", "level")) == str(path)


def test_flags_find_the_backend_of_the_environment() -> None:
    flags = Layer({"backends": {"Main": {"host": "10.0.0.3"}}}, {("backends", "Main"): "flag --backend"})
    configuration = load_configuration(None, MAIN, flags)
    assert {name: it.host for name, it in configuration.settings.backends.items()} == {"main": "10.0.0.3"}
    assert configuration.origin(("backends", "main", "host")) == "flag --backend"


# --- secrets ---


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame \n")
    configuration = load_configuration(None, {**MAIN, "GATEWAY__BACKENDS__MAIN__PASSWORD_FILE": str(secret)})
    assert configuration.settings.backends["main"].password == "open sesame "
    assert configuration.origin(("backends", "main", "password")) == f"file {secret}"


def test_password_and_password_file_exclude_each_other(tmp_path: Path) -> None:
    both = {"GATEWAY__BACKENDS__MAIN__PASSWORD": "x", "GATEWAY__BACKENDS__MAIN__PASSWORD_FILE": "y"}
    assert failure(None, {**MAIN, **both}).key == "backends.main.password_file"


def test_a_password_file_that_is_not_there(tmp_path: Path) -> None:
    error = failure(None, {**MAIN, "GATEWAY__BACKENDS__MAIN__PASSWORD_FILE": str(tmp_path / "none")})
    assert "cannot be read: No such file or directory" in error.reason


def test_a_wrong_value_is_not_repeated() -> None:
    error = failure(None, {**MAIN, "GATEWAY__BACKENDS__MAIN__PORT": "opensesame"})
    assert "opensesame" not in str(error)


# --- what is wrong is told in one line ---


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ('[http]\nlisen = "x"', "http.lisen", "{file}:2); did you mean http.listen?"),
        ('[htp]\nlisten = "x"', "htp", "did you mean http?"),
        ("connect_timeout_s = 3", "connect_timeout_s", "did you mean backends.NAME.connect_timeout_s?"),
        ("qqq = 3", "qqq", "unknown key ({file}:1); known here: ae_title, http"),
        ('[backends.a]\nae_title="A"\nhots="h"', "backends.a.hots", "did you mean backends.a.host?"),
        ('[backends.a]\nae_title = "A"', "backends.a.host", "is required ({file}:2)"),
        ('[backends.a]\nae_title = "A"\nhost = "h"\nport = 0', "backends.a.port", "must be at least 1 ({file}:4)"),
        ('[backends.a]\nae_title = "A"\nhost = "h"\nport = "x"', "backends.a.port", "must be a whole number"),
        ('[backends.a]\nae_title = "A"\nhost = ""', "backends.a.host", "must not be empty"),
        ('[backends.a]\nae_title = "TOO LONG AN AE TITLE"\nhost = "h"', "backends.a.ae_title", "1 to 16"),
        ('[backends."a b"]\nae_title = "A"\nhost = "h"', "backends.a b", "a backend name has letters"),
        ('[backends.a]\nretrieve = "get"', "backends.a.ae_title", "is required"),
        ('[[backends]]\nhost = "h"', "backends", "must be a table"),
        ('http = "0.0.0.0:80"', "http", "must be a table"),
        ('[http]\nlisten = "80"', "http.listen", "must be HOST:PORT ({file}:2)"),
        ('[http]\ncors_origins = "*"', "http.cors_origins", "must be a list"),
        ("[http]\nrequire_accept = 3", "http.require_accept", "must be true or false"),
        ('[log]\nlevel = "loud"', "log.level", "must be 'debug', 'info', 'warning' or 'error'"),
        ("[search]\nempty = 404", "search.empty", "must be '200' or '204'"),
        ("[search\n", "configuration file", "is not TOML"),
    ],
)
def test_faults_of_a_file(tmp_path: Path, text: str, key: str, reason: str) -> None:
    path = write(tmp_path, text)
    error = failure(path, {})
    assert error.key == key
    assert reason.format(file=path) in error.reason


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "does not exist" in failure(tmp_path / "none.toml", {}).reason
    assert "is no file" in failure(tmp_path, {}).reason


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_bytes(b"\xff\xfe\x00")
    assert failure(path, {}).key == "configuration file"


@pytest.mark.parametrize(
    ("name", "value", "key", "reason"),
    [
        ("GATEWAY__HTP__LISTEN", "x", "htp", "did you mean http?"),
        ("GATEWAY__BACKENDS__A__HOTS", "x", "backends.a.hots", "did you mean backends.a.host?"),
        ("GATEWAY__BACKENDS__A__HOST", "x", "backends.a.ae_title", "is required"),
        ("GATEWAY__HTTP__LISTEN", "x", "http.listen", "must be HOST:PORT"),
        ("GATEWAY__HTTP__BODY_TIMEOUT_S", "soon", "http.body_timeout_s", "must be a number"),
        ("GATEWAY__BACKENDS", "{", "environment GATEWAY__*", "not JSON"),
        ("GATEWAY__", "x", "", "unknown key"),
    ],
)
def test_faults_of_the_environment(name: str, value: str, key: str, reason: str) -> None:
    error = failure(None, {name: value})
    assert error.key == key
    assert reason in error.reason
    assert "GATEWAY__" in str(error)


def test_a_fault_of_two_keys_together() -> None:
    error = failure(None, {**MAIN, "GATEWAY__DIMSE__LISTEN": "", "GATEWAY__BACKENDS__MAIN__RETRIEVE": "c-move"})
    assert error.key == "backends.main.retrieve"


@given(
    st.dictionaries(
        st.text("ABH_- T", max_size=12).map("GATEWAY__BACKENDS__".__add__)
        | st.sampled_from(["GATEWAY__HTTP", "GATEWAY__BACKENDS", "GATEWAY__LOG__LEVEL", "GATEWAY__AE_TITLE"]),
        st.text(max_size=12) | st.sampled_from(["{}", "[]", '{"A": {}}', '{"A": 1}', "null"]),
        max_size=4,
    )
)
def test_garbage_in_the_environment_gives_settings_or_one_kind_of_error(environment: dict[str, str]) -> None:
    try:
        load_configuration(None, environment)
    except ConfigurationError as error:
        assert error.reason


@given(
    st.text(max_size=60)
    | st.recursive(
        st.sampled_from(["[http]", "a=1", "[backends]", "[backends.a]", "x = {", "'"]),
        lambda s: st.tuples(s, s).map("\n".join),
    )
)
def test_garbage_in_the_file_gives_settings_or_one_kind_of_error(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.mktemp("garbage") / "gateway.toml"
    path.write_text(text)
    try:
        load_configuration(path, {})
    except ConfigurationError as error:
        assert error.reason
