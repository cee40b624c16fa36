"""Where the configuration comes from: a TOML file, the environment, the command line; merged key by key.

It is not what a configuration is (`gateway.config`), and it starts nothing. The command line calls
`load_configuration`, which either returns settings together with the origin of every value, or raises one
`ConfigurationError` that names the key in dotted form and the place it came from.

Environment variables are ``GATEWAY__SECTION__KEY``, in any case: ``GATEWAY__BACKENDS__MAIN__HOST``. Two
underscores after ``GATEWAY`` keep clear of ``GATEWAY_SERVICE_HOST`` and the like, which Kubernetes sets in
every pod beside a service called gateway. A backend's name becomes lower case, or what the file writes where
the file has that backend (``NORTH_PACS`` finds ``[backends.north-pacs]``). Lists are JSON or separated by
commas.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource, SettingsError, TomlConfigSettingsSource

from gateway.config import BackendSettings, GatewaySettings
from gateway.errors import ConfigurationError

__all__ = ["ENVIRONMENT_PREFIX", "Configuration", "Layer", "load_configuration"]

ENVIRONMENT_PREFIX = "GATEWAY__"

KeyPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says: nested `values`, and by key path where each was read.

    An origin holds for its key path and everything below it.
    """

    values: Mapping[str, Any]
    origins: Mapping[KeyPath, str]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings that have been checked, and where each value comes from.

    Attributes
    ----------
    settings : GatewaySettings
        Ready to use; passwords have been read from their files.
    origins : mapping
        Key path → ``/etc/gateway.toml:12``, ``environment GATEWAY__...`` or ``flag --...``; what is not in it
        is a default.
    """

    settings: GatewaySettings
    origins: Mapping[KeyPath, str] = field(repr=False)

    def origin(self, path: KeyPath) -> str:
        """Where the value at `path` comes from; ``default`` when nobody gave it."""
        return _find_origin(self.origins, path) or "default"


def load_configuration(file: Path | None, environment: Mapping[str, str], flags: Layer | None = None) -> Configuration:
    """Read every source, merge key by key and check the outcome.

    Parameters
    ----------
    file : Path or None
        TOML; None for a start without a file.
    environment : mapping
        Usually ``os.environ``; names without the prefix are not looked at.
    flags : Layer or None
        What the command line says; it wins over the environment, which wins over the file.

    Returns
    -------
    Configuration
        Backends in the order of the file, then those of the environment by name, then those of flags in their
        order; the first is the default one.

    Raises
    ------
    ConfigurationError
        A file that cannot be read, an unknown key, or a value that is missing or wrong; the value itself is
        not repeated, it may be a secret.
    """
    values: dict[str, Any] = {}
    origins: dict[KeyPath, str] = {}
    nothing = Layer({}, {})
    from_file = _read_file(file) if file is not None else nothing
    for given in (from_file, _read_environment(environment), flags or nothing):
        layer = _respell_backends(given, values)
        _merge(values, layer.values)
        for path in _leaf_paths(layer.values):
            origins[path] = _find_origin(layer.origins, path) or "default"
            _check_known(path, origins)
    _read_password_files(values, origins)
    try:
        return Configuration(GatewaySettings.model_validate(values), origins)
    except ValidationError as error:
        raise _as_configuration_error(error, origins) from error


# --- the file ---


def _read_file(file: Path) -> Layer:
    if not file.is_file():
        raise ConfigurationError("configuration file", f"{file} does not exist or is no file")
    try:
        values = TomlConfigSettingsSource(GatewaySettings, toml_file=file)()
        lines = _find_lines(file.read_text("utf-8"))
    except TOMLDecodeError as error:
        raise ConfigurationError("configuration file", f"{file} is not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError("configuration file", f"{file} cannot be read: {error}") from error
    origins = {path: f"{file}:{lines[path]}" if path in lines else str(file) for path in _leaf_paths(values)}
    return Layer(values, origins)


_TABLE = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(r"""\s*([A-Za-z0-9_."'-]+?)\s*=""")


def _find_lines(text: str) -> dict[KeyPath, int]:
    """Line numbers of keys written in the usual way, one a line; tomllib does not tell them."""
    lines: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE.match(line):
            table = _split_toml_key(match[1])
        elif match := _KEY.match(line):
            lines[table + _split_toml_key(match[1])] = number
    return lines


def _split_toml_key(key: str) -> KeyPath:
    return tuple(part.strip().strip("\"'") for part in key.split("."))


# --- the environment ---


class _EnvironmentSource(EnvSettingsSource):
    """pydantic's source over a given environment, with lists as JSON or separated by commas."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(
            GatewaySettings,
            case_sensitive=False,
            env_prefix=ENVIRONMENT_PREFIX,
            env_nested_delimiter="__",
        )
        self.env_vars = {name.lower(): value for name, value in environment.items()}

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:
        text = str(value).strip()
        if text.startswith(("[", "{")):
            return json.loads(text)
        return [part.strip() for part in text.split(",") if part.strip()]


def _read_environment(environment: Mapping[str, str]) -> Layer:
    ours = {name: value for name, value in environment.items() if name.upper().startswith(ENVIRONMENT_PREFIX)}
    origins: dict[KeyPath, str] = {}
    for name in ours:
        path = tuple(name[len(ENVIRONMENT_PREFIX) :].lower().split("__"))
        origin = f"environment {name}"
        _check_known(path, {path: origin})  # pydantic's source passes over names that are no field
        origins[path] = origin
    try:
        values = _EnvironmentSource(ours)()
    except SettingsError as error:
        raise ConfigurationError(f"environment {ENVIRONMENT_PREFIX}*", f"{error}: not JSON") from error
    return Layer({**values, **_sort_backends(values)}, origins)


def _sort_backends(values: Mapping[str, Any]) -> dict[str, Any]:
    """Backends by name: the environment has no order, and which one is the default must not depend on the shell."""
    backends = values.get("backends")
    return {"backends": dict(sorted(backends.items()))} if isinstance(backends, Mapping) else {}


# --- merging ---


def _respell_backends(layer: Layer, earlier: Mapping[str, Any]) -> Layer:
    """The layer with its backends named as in `earlier` values where only case or dash differ."""
    known, given = earlier.get("backends"), layer.values.get("backends")
    if not isinstance(known, dict) or not isinstance(given, Mapping):
        return layer
    spelling = {_plain(name): name for name in known}
    backends = {spelling.get(_plain(name), name): backend for name, backend in given.items()}
    origins = {_respell(path, spelling): origin for path, origin in layer.origins.items()}
    return Layer({**layer.values, "backends": backends}, origins)


def _respell(path: KeyPath, spelling: Mapping[str, str]) -> KeyPath:
    if len(path) > 1 and path[0] == "backends":
        return ("backends", spelling.get(_plain(path[1]), path[1]), *path[2:])
    return path


def _plain(backend_name: str) -> str:
    return backend_name.lower().replace("-", "_")


def _merge(target: dict[str, Any], source: Mapping[str, Any]) -> None:
    for key, value in source.items():
        if isinstance(value, Mapping):
            inner = target.get(key)
            if not isinstance(inner, dict):
                inner = target[key] = {}
            _merge(inner, value)
        else:
            target[key] = value


def _leaf_paths(values: Mapping[str, Any], above: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaf_paths(value, (*above, key))
        else:
            yield (*above, key)


def _find_origin(origins: Mapping[KeyPath, str], path: KeyPath) -> str | None:
    """The origin of `path` or of the nearest key above it."""
    return next((origins[path[:end]] for end in range(len(path), 0, -1) if path[:end] in origins), None)


def _read_password_files(values: Mapping[str, Any], origins: dict[KeyPath, str]) -> None:
    backends = values.get("backends")
    for name, backend in backends.items() if isinstance(backends, dict) else ():
        if not isinstance(backend, dict) or not (file := backend.get("password_file")):
            continue
        path = ("backends", name, "password_file")
        if backend.get("password") is not None:
            raise ConfigurationError(".".join(path), "given beside password; please choose one")
        try:
            backend["password"] = Path(str(file)).read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(".".join(path), f"{file} cannot be read: {_reason_of(error)}") from error
        origins["backends", name, "password"] = f"file {file}"


def _reason_of(error: OSError | UnicodeDecodeError) -> str:
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else error.strerror or type(error).__name__


# --- unknown keys ---


def _check_known(path: KeyPath, origins: Mapping[KeyPath, str]) -> None:
    """Follow `path` through the models; the first part that is no field is an error with a proposal."""
    model: type[BaseModel] = GatewaySettings
    names = iter(enumerate(path))
    for depth, name in names:
        if name not in model.model_fields:
            raise _unknown_key(path[: depth + 1], list(model.model_fields), _find_origin(origins, path))
        if name == "backends":
            next(names, None)  # any name
            model = BackendSettings
        elif isinstance(section := model.model_fields[name].annotation, type) and issubclass(section, BaseModel):
            model = section
        else:
            return


def _unknown_key(path: KeyPath, known: list[str], origin: str | None) -> ConfigurationError:
    elsewhere = [other for other in _all_keys() if other.rpartition(".")[2] == path[-1]]
    near = difflib.get_close_matches(path[-1], known, n=1)
    if near:
        hint = f"did you mean {'.'.join((*path[:-1], near[0]))}?"
    elif elsewhere:
        hint = f"did you mean {elsewhere[0]}?"
    else:
        hint = "known here: " + ", ".join(known)
    return ConfigurationError(".".join(path), f"unknown key{_in_place(origin)}; {hint}")


def _all_keys() -> Iterator[str]:
    for name, info in GatewaySettings.model_fields.items():
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from (f"{name}.{inner}" for inner in info.annotation.model_fields)
    yield from (f"backends.NAME.{inner}" for inner in BackendSettings.model_fields)


# --- wrong values ---

_WORDING = {
    "missing": "is required",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "string_too_short": "must not be empty",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "value_error": "{error}",
}


def _as_configuration_error(error: ValidationError, origins: Mapping[KeyPath, str]) -> ConfigurationError:
    """The first fault in one line; the value itself is left out, it may be a secret."""
    first = error.errors(include_url=False, include_input=False)[0]
    path = tuple(str(part) for part in first["loc"] if part != "[key]")
    origin = _find_origin(origins, path)
    if origin is None:  # missing: name what began the section
        origin = next((there for key, there in origins.items() if key[: len(path) - 1] == path[:-1]), None)
    wording = _WORDING.get(first["type"])
    reason = wording.format(**first.get("ctx", {})) if wording else first["msg"]
    return ConfigurationError(".".join(path), reason + _in_place(origin))


def _in_place(origin: str | None) -> str:
    return f" ({origin})" if origin else ""
