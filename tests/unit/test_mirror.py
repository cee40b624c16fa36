"""Every module has its test file in the same place below tests/unit."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_TEST = {"__init__.py", "__main__.py"}  # constants and names; the command line's tests run __main__


def test_every_module_has_its_test_file() -> None:
    modules = (path.relative_to(ROOT / "gateway") for path in (ROOT / "gateway").rglob("*.py"))
    wanted = {module.with_name(f"test_{module.name}") for module in modules if module.name not in WITHOUT_TEST}
    assert wanted, "no modules found"
    assert sorted(str(path) for path in wanted if not (ROOT / "tests" / "unit" / path).is_file()) == []
