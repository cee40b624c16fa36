"""Every module can be imported first, without a warning: no circular imports, no side effects at import.

One process imports the third-party packages and then forks a child for each module, which is much faster than
a new interpreter each and just as fresh as far as our own modules go.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMPORT_EACH = """
import importlib, json, os, sys, traceback
import aiohttp.web, lxml.etree, numpy, orjson, pydantic_settings, pydicom, pynetdicom, structlog, typer
import imagecodecs, PIL.Image, PIL.ImageCms, pydicom.sr.codedict, rich.progress
failed = {}
for name in sys.argv[1:]:
    assert not any(loaded.split(".")[0] == "gateway" for loaded in sys.modules)
    reader, writer = os.pipe()
    if os.fork() == 0:
        try:
            importlib.import_module(name)
        except BaseException as error:
            os.write(writer, "".join(traceback.format_exception_only(error)).encode()[:2000])
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        if text := answer.read().decode():
            failed[name] = text
    os.wait()
print(json.dumps(failed))
"""


def test_every_module_imports_alone_without_a_warning() -> None:
    paths = [path.relative_to(ROOT).with_suffix("") for path in (ROOT / "gateway").rglob("*.py")]
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths]
    assert "gateway.config" in names
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_EACH, *sorted(names)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert result.stderr == ""
    assert json.loads(result.stdout) == {}


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        ("gateway.cli", "aiohttp pydantic structlog lxml rich numpy pydicom pynetdicom gateway.app gateway.config"),
        (
            "gateway.cli, gateway.app, gateway.settings_sources, gateway.log",
            "numpy PIL requests pydicom pynetdicom gateway.sandbox gateway.demo gateway.check",
        ),
    ],
)
def test_a_start_does_not_import_what_it_has_no_use_for(modules: str, heavy: str) -> None:
    code = f"import sys, {modules}; print(*[name for name in {heavy.split()!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert result.stdout.split() == []
