"""Configuration examples and deployment files say what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from gateway.config import BackendSettings, GatewaySettings, RetrieveMethod, split_address
from gateway.settings_sources import load_configuration

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "config" / "gateway.toml"
EXAMPLE_BACKEND = {"ae_title": "ARCHIVE", "host": "pacs.example.org"}
SHOWN_ONLY = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)


def settings_of(text: str, folder: Path) -> GatewaySettings:
    path = folder / "gateway.toml"
    path.write_text(text)
    return load_configuration(path, {}).settings


def flatten(values: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield from flatten(value, f"{above}{key}.") if isinstance(value, dict) else [above + key]


def every_key() -> set[str]:
    sections = {
        f"{name}.": info.annotation
        for name, info in GatewaySettings.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    } | {"backends.main.": BackendSettings}
    return {"ae_title"} | {section + key for section, model in sections.items() for key in model.model_fields}


# --- config/ ---


def test_the_reference_file_has_the_defaults() -> None:
    settings = load_configuration(REFERENCE, {}).settings
    assert settings == GatewaySettings(backends={"main": EXAMPLE_BACKEND})


def test_the_reference_file_shows_every_setting() -> None:
    shown = tomllib.loads(SHOWN_ONLY.sub("", REFERENCE.read_text()))
    assert set(flatten(shown)) == every_key()


def test_what_the_reference_file_only_shows_is_valid_too(tmp_path: Path) -> None:
    text = SHOWN_ONLY.sub("", REFERENCE.read_text())
    settings = settings_of(re.sub(r"^password_file = .*\n", "", text, flags=re.MULTILINE), tmp_path)
    assert settings.http.public_url == "https://images.example.org/dicomweb"
    assert settings.backends["main"].relational is False
    assert settings.backends["main"].password == "secret"


def test_every_setting_of_the_reference_file_has_a_comment_above() -> None:
    lines = REFERENCE.read_text().splitlines()
    bare = [
        line
        for above, line in zip(lines, lines[1:], strict=False)
        if re.match(r"(# )?[a-z_]+ = ", line) and not above.startswith("# ")
    ]
    assert bare == ['host = "pacs.example.org"']  # shares its comment with the line above


def test_the_minimal_file() -> None:
    backends = load_configuration(ROOT / "config" / "minimal.toml", {}).settings.backends
    assert [(it.ae_title, it.host, it.port) for it in backends.values()] == [("ORTHANC", "127.0.0.1", 4242)]


def test_the_environment_example() -> None:
    lines = (ROOT / "config" / "environment.example").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings = load_configuration(None, pairs).settings
    assert list(settings.backends) == ["main"]
    assert settings.dimse.listen is None
    assert settings.http.cors_origins == ("https://viewer.example.org", "https://second.example.org")


# --- deploy/ ---


def test_compose_connects_orthanc_and_the_gateway() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    orthanc = json.loads((ROOT / "deploy" / "orthanc.json").read_text())
    settings = load_configuration(None, services["gateway"]["environment"]).settings
    (backend,) = settings.backends.values()
    assert backend.host in services
    assert (backend.ae_title, backend.port) == (orthanc["DicomAet"], orthanc["DicomPort"])
    assert settings.dimse.listen is not None
    move_destination = [settings.ae_title, "gateway", split_address(settings.dimse.listen)[1]]
    assert move_destination in orthanc["DicomModalities"].values()
    assert services["gateway"]["ports"] == [f"127.0.0.1:8080:{split_address(settings.http.listen)[1]}"]
    volumes = services["orthanc"]["volumes"]
    assert (ROOT / "deploy" / volumes[0].split(":")[0]).is_file()
    assert (ROOT / "deploy" / services["gateway"]["build"] / "Dockerfile").is_file()


def test_the_viewer_reaches_the_gateway_through_its_own_origin() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    added = yaml.safe_load((ROOT / "deploy" / "ohif" / "compose.yaml").read_text())["services"]
    (viewer,) = added.values()
    assert set(viewer["depends_on"]) <= set(services)
    server = (ROOT / "deploy" / "ohif" / "nginx.conf").read_text()
    host, port = re.findall(r"proxy_pass http://(\w+):(\d+);", server)[0]
    listen = services[host]["environment"]["GATEWAY__HTTP__LISTEN"]
    assert split_address(listen)[1] == int(port)
    (listening,) = re.findall(r"listen (\d+);", server)
    assert viewer["ports"] == [f"127.0.0.1:3000:{listening}"]
    folder = ROOT / "deploy" / viewer["build"]  # paths are read as seen from the first file's folder
    copied = re.findall(r"^COPY (?!--)(\S+) (\S+)$", (folder / "Dockerfile").read_text(), re.MULTILINE)
    assert all((folder / name).is_file() for name, _ in copied)
    assert dict(copied)["app-config.js"] == "/etc/ohif/app-config.js"
    assert re.findall(r"= /app-config.js \{\s+root (\S+);", server) == ["/etc/ohif"]


def test_the_sidecar_starts_from_its_environment_alone(tmp_path: Path) -> None:
    documents = list(yaml.safe_load_all((ROOT / "deploy" / "kubernetes-sidecar.yaml").read_text()))
    secret, deployment = documents
    pod = deployment["spec"]["template"]["spec"]
    gateway = next(it for it in pod["containers"] if it["name"] == "gateway")
    environment = {it["name"]: it["value"] for it in gateway["env"]}

    mounted = Path(gateway["volumeMounts"][0]["mountPath"])
    name = Path(environment["GATEWAY__BACKENDS__MAIN__PASSWORD_FILE"]).relative_to(mounted)
    (tmp_path / name).write_text(secret["stringData"][str(name)])
    environment["GATEWAY__BACKENDS__MAIN__PASSWORD_FILE"] = str(tmp_path / name)
    settings = load_configuration(None, environment).settings

    assert settings.backends["main"].password == "change-me"
    assert settings.backends["main"].retrieve is RetrieveMethod.C_GET
    assert gateway["ports"][0]["containerPort"] == split_address(settings.http.listen)[1]
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert gateway["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert pod["terminationGracePeriodSeconds"] > settings.http.shutdown_grace_s


def test_the_image_is_built_from_files_that_exist_and_are_sent() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name
        for arguments in re.findall(r"^COPY (?!--)(.*)$", dockerfile, re.MULTILINE)
        for name in arguments.split()[:-1]
    }
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)
    given = dict(re.findall(r"^\s+(GATEWAY__\w+)=(\S+)$", dockerfile, re.MULTILINE))
    assert load_configuration(None, given).settings.http.listen == "0.0.0.0:8080"


# --- checks before a commit ---


def test_pre_commit_runs_what_make_runs() -> None:
    (local,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook["entry"].removeprefix(".venv/bin/") for hook in local["hooks"]]
    recipes = re.findall(r"^(?:lint|types|imports):.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    made = [line.strip().removeprefix("$(BIN)/") for recipe in recipes for line in recipe.splitlines()]
    assert sorted(hooks) == sorted(made)


@pytest.mark.parametrize("group", ["dependencies", "test", "bench", "lint"])
def test_every_dependency_is_pinned_and_explained(group: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = {"dependencies": project["project"]["dependencies"], **project["dependency-groups"]}
    wanted = {re.split(r"[><=~]", it)[0] for it in groups[group]}
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in _lines("constraints.txt")}
    explained = {line.split("|")[1].strip() for line in _lines("docs/dependencies.md") if line.startswith("| ")}
    assert wanted <= pinned
    assert wanted <= explained


def _lines(name: str) -> list[str]:
    return (ROOT / name).read_text().splitlines()
