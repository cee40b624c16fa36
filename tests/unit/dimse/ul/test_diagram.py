"""docs/upper-layer-states.md is what scripts/draw-state-machine.py makes of the transition table today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from gateway.dimse.ul.fsm import TRANSITIONS, Action, Event, State

ROOT = Path(__file__).resolve().parents[4]
AGAIN = "run scripts/draw-state-machine.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_state_machine", ROOT / "scripts" / "draw-state-machine.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_up_to_date(script: ModuleType) -> None:
    assert script.PAGE == ROOT / "docs" / "upper-layer-states.md"
    assert script.PAGE.read_text(encoding="utf-8") == script.draw_page(), AGAIN


def test_table_shows_each_pair(script: ModuleType) -> None:
    rows = [line.strip("|").split("|") for line in script.draw_page().splitlines() if line.startswith("| Evt")]
    assert len(rows) == len(Event)
    shown = {
        (state, event): row[column].strip()
        for event, row in zip(Event, rows, strict=True)
        for column, state in enumerate(State, start=1)
        if row[column].strip()
    }
    assert shown == {pair: action.value for pair, action in TRANSITIONS.items()}


def test_diagram_has_every_state_and_the_actions_of_an_ordinary_life(script: ModuleType) -> None:
    arrows = re.findall(r"^ +(\S+) --> (\S+): (.+)$", script.draw_page(), re.MULTILINE)
    assert {state for arrow in arrows for state in arrow[:2]} == {state.value for state in State}
    drawn = {action for _, _, labels in arrows for action in re.findall(r"A[ER]-\d+|DT-\d", labels)}
    assert drawn == {action.value for action in Action if not action.value.startswith("AA")}


def test_members_are_described(script: ModuleType) -> None:
    for kind in (State, Event, Action):
        assert set(script._read_docstrings(kind)) == set(kind.__members__)


def test_a_change_of_the_table_shows(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    before = script.draw_page()
    monkeypatch.setitem(script.TRANSITIONS, (State.STA6, Event.EVT10), Action.AA_8)
    assert script.draw_page() != before
