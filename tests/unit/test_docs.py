"""The documentation agrees with the tree: links lead somewhere, every module has its line, every setting exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from gateway import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, __version__
from gateway.config import (
    BackendSettings,
    CacheSettings,
    DimseSettings,
    GatewaySettings,
    HttpSettings,
    LogSettings,
    SearchSettings,
    StoreSettings,
)
from gateway.services.search import plan as search_plan
from gateway.services.search import service as search

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
SECTIONS = {
    "http": HttpSettings,
    "dimse": DimseSettings,
    "search": SearchSettings,
    "store": StoreSettings,
    "cache": CacheSettings,
    "log": LogSettings,
}


def read(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """What a heading is called in a link, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


def test_every_page_is_in_the_table_of_contents() -> None:
    listed = set(LINK.findall(read("index.md")))
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"} <= listed


def test_every_module_has_its_line_in_the_architecture() -> None:
    rows = [line.split("|")[1] for line in read("architecture.md").splitlines() if line.startswith("| `")]
    patterns = {pattern for row in rows for pattern in re.findall(r"`([^`]+)`", row)}
    modules = {str(path.relative_to(ROOT / "gateway")) for path in (ROOT / "gateway").rglob("*.py")}
    modules = {module for module in modules if not module.endswith("__init__.py")}
    assert {module for module in modules if not any(_is_named(module, pattern) for pattern in patterns)} == set()
    named = {pattern for pattern in patterns if pattern.endswith(".py")}
    assert {pattern for pattern in named if not any(fnmatch(module, pattern) for module in modules)} == set()


def _is_named(module: str, pattern: str) -> bool:
    return module.startswith(pattern) if pattern.endswith("/") else fnmatch(module, pattern)


def iter_settings(text: str) -> Iterator[tuple[str, str]]:
    """Section and key of each setting named in `text`; `log.py` and `dimse.ul` are none."""
    yield from re.findall(rf"`({'|'.join(SECTIONS)})\.(?!py|ul)([a-z_]+)", text)
    own = r"`([a-z]+(?:_[a-z]+)*_(?:s|bytes|associations|title|destination|set|correlation|name|file))(?: = [^`]*)?`"
    yield from (("backends", key) for key in re.findall(own, text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_exist(page: Path) -> None:
    for section, key in iter_settings(page.read_text("utf-8")):
        known = SECTIONS.get(section, BackendSettings).model_fields
        assert key in known or (section == "backends" and key in GatewaySettings.model_fields), f"{section}.{key}"


def read_default(name: str) -> object:
    """The default of ``section.key``, or of a key of a backend or of the top."""
    section, _, key = name.rpartition(".")
    model = SECTIONS[section] if section else GatewaySettings if name == "ae_title" else BackendSettings
    return model.model_fields[key].default


STATED = re.compile(r"`([a-z_.]+)`(?: \| | \()([\d,]+|off)(?: s)?(?:\)| \|)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_defaults_are_those_of_the_configuration(page: Path) -> None:
    stated = STATED.findall(page.read_text("utf-8"))
    wrong = [(name, text) for name, text in stated if read_default(name) != _number(text)]
    assert wrong == []


def test_defaults_are_looked_for() -> None:
    found = {name for page in PAGES for name, _ in STATED.findall(page.read_text("utf-8"))}
    assert {"connect_timeout_s", "operation_timeout_s", "http.write_timeout_s", "search.max_walk"} <= found


def _number(text: str) -> int:
    return 0 if text == "off" else int(text.replace(",", ""))


def test_tests_that_are_named_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", read("performance/equality.md"))
    assert len(named) > 40
    for path, test in named:
        assert f"def {test}(" in (ROOT / path).read_text("utf-8") if test else (ROOT / path).is_file(), (path, test)


def test_names_of_this_implementation() -> None:
    page = read("conformance.md")
    assert f"dicomweb-gateway {__version__}," in page
    assert f"| {IMPLEMENTATION_CLASS_UID} |" in page
    assert f"| {IMPLEMENTATION_VERSION_NAME} |" in page


def test_warnings_are_quoted_as_they_are_sent() -> None:
    page = read("conformance.md")
    texts = (
        search.MORE_RESULTS,
        search.STOPPED_EARLY,
        search.ANSWER_LIMIT.format("N"),
        search.UNSUPPORTED,
        search_plan.FUZZY_UNSUPPORTED,
        search_plan.TIMEZONE_UNSUPPORTED,
        search_plan.IGNORED,
    )
    assert [text for text in texts if f"| {text}" not in page] == []
