#!/usr/bin/env python3
"""Write docs/upper-layer-states.md from the transition table of gateway/dimse/ul/fsm.py (PS3.8 §9.2).

    .venv/bin/python scripts/draw-state-machine.py

Run it after a change of the table; tests/unit/dimse/ul/test_diagram.py fails while the page differs from it.
"""

from __future__ import annotations

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path

from gateway.dimse.ul import fsm
from gateway.dimse.ul.fsm import EFFECTS, TRANSITIONS, Action, Artim, Effect, Event, State

PAGE = Path(__file__).resolve().parents[1] / "docs" / "upper-layer-states.md"

HEAD = """\
# States of the upper layer

The protocol machine of an association (PS3.8 §9.2), drawn from the table that runs: `gateway/dimse/ul/fsm.py`. This
page is made by `scripts/draw-state-machine.py`; a test compares it with the table, and another compares the table
with pynetdicom's, pair by pair."""

DIAGRAM_NOTE = """\
## Without faults

Event and action stand on each arrow. What a peer does wrong, aborts and lost connections are left out here; they are
in the table below."""

TABLE_NOTE = """\
## Every pair of state and event

The numbers are those of PS3.8 Tables 9-1 to 9-10. Where the field of a request of the local user is empty, the state
does not allow it: a defect of the caller (`LocalProtocolError`)."""

ACTION_NOTE = """\
## What the actions do

In AR-8 the acceptor goes to Sta10. A request that the provider cannot take is answered with the effects of AE-8 in
place of AE-6. "Then" is a response given on behalf of a user who has nothing left to decide."""


def draw_page() -> str:
    """The whole page, in Markdown."""
    sections = (
        HEAD,
        DIAGRAM_NOTE,
        "\n".join(_draw_diagram()),
        TABLE_NOTE,
        "\n".join(_tabulate_transitions()),
        ACTION_NOTE,
        "\n".join(_tabulate_actions()),
    )
    return "\n\n".join(sections) + "\n"


def _draw_diagram() -> Iterator[str]:
    arrows: dict[tuple[State, State], list[str]] = defaultdict(list)
    for (state, event), action in TRANSITIONS.items():
        if not action.value.startswith("AA"):
            for target in _targets(EFFECTS[action]):
                arrows[state, target].append(f"{event.value} {action.value}")
    described = _read_docstrings(State)
    yield from ("```mermaid", "stateDiagram-v2")
    yield from (f"    {state.value}: {state.value} {_label(described[state.name])}" for state in State)
    yield f"    [*] --> {State.STA1.value}"
    for (state, target), labels in arrows.items():
        yield f"    {state.value} --> {target.value}: {', '.join(labels)}"
    yield "```"


def _label(text: str) -> str:
    """A description without the characters that end a statement of the diagram's language."""
    return text.rstrip(".").replace(":", ",").replace(";", ",")


def _targets(effect: Effect) -> tuple[State, ...]:
    return (effect.next_state,) if effect.acceptor_state is None else (effect.next_state, effect.acceptor_state)


def _tabulate_transitions() -> Iterator[str]:
    described = _read_docstrings(Event)
    yield _row(["event", *(state.value for state in State)])
    yield _row(["---"] * (len(State) + 1))
    for event in Event:
        actions = (TRANSITIONS.get((state, event)) for state in State)
        yield _row([f"{event.value} {described[event.name]}", *(action.value if action else "" for action in actions)])


def _tabulate_actions() -> Iterator[str]:
    described = _read_docstrings(Action)
    yield _row(["action", "means", "next state", "sends", "ARTIM", "tells the user", "closes", "then"])
    yield _row(["---"] * 8)
    for action in Action:
        effect = EFFECTS[action]
        yield _row(
            [
                action.value,
                described[action.name],
                " or ".join(state.value for state in _targets(effect)),
                effect.send.value if effect.send else "",
                {None: "", Artim.START: "start", Artim.STOP: "stop"}[effect.artim],
                effect.tells.value if effect.tells else "",
                "yes" if effect.closes else "",
                effect.then.value if effect.then else "",
            ]
        )


def _row(fields: Iterable[str]) -> str:
    return "| " + " | ".join(fields) + " |"


def _read_docstrings(kind: type[Enum]) -> dict[str, str]:
    """The strings below the members of an enum of `fsm`, by member name; Python itself does not keep them."""
    source = ast.parse(inspect.getsource(fsm))
    body = next(node.body for node in source.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found: dict[str, str] = {}
    for member, text in zip(body, body[1:], strict=False):
        match member, text:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(words))):
                found[name] = words
    return found


if __name__ == "__main__":
    PAGE.write_text(draw_page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd())}" if PAGE.is_relative_to(Path.cwd()) else f"wrote {PAGE}")
