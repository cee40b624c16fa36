"""The transition table against pynetdicom's independent one, pair by pair, and the effects against PS3.8 §9.2."""

from __future__ import annotations

import itertools

import pynetdicom.fsm
import pytest

from gateway.dimse.ul.fsm import EFFECTS, TRANSITIONS, Action, Artim, Event, Indication, Send, State

PAIRS = list(itertools.product(State, Event))


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=[f"{s.value}-{e.value}" for s, e in PAIRS])
def test_transition_is_that_of_table_9_10(state: State, event: Event) -> None:
    expected = pynetdicom.fsm.TRANSITION_TABLE.get((event.value, state.value))
    action = TRANSITIONS.get((state, event))
    assert (action.value if action else None) == expected


def test_numbers_are_complete() -> None:
    assert [state.value for state in State] == [f"Sta{number}" for number in range(1, 14)]
    assert [event.value for event in Event] == [f"Evt{number}" for number in range(1, 20)]


def test_every_action_is_used_and_has_effects() -> None:
    assert set(TRANSITIONS.values()) == set(Action) == set(EFFECTS)
    assert {action.value for action in Action} == set(pynetdicom.fsm.ACTIONS)


@pytest.mark.parametrize("action", Action)
def test_next_states_are_those_of_pynetdicom(action: Action) -> None:
    """pynetdicom describes each action as (description, function, next state or states)."""
    described = pynetdicom.fsm.ACTIONS[action.value][2]
    expected = {described} if isinstance(described, str) else set(described)
    effect = EFFECTS[action]
    ours = {effect.next_state.value} | ({effect.acceptor_state.value} if effect.acceptor_state else set())
    if action is Action.AE_6:
        ours.add(EFFECTS[Action.AE_8].next_state.value)  # a provider that refuses does as AE-8 does
    assert ours == expected


def actions_with(**wanted: object) -> set[str]:
    return {
        action.value
        for action, effect in EFFECTS.items()
        if all(getattr(effect, field) == value for field, value in wanted.items())
    }


def test_artim_effects() -> None:
    """PS3.8 Tables 9-6 to 9-9, the mentions of ARTIM."""
    assert actions_with(artim=Artim.START) == {"AE-5", "AE-8", "AR-4", "AA-1", "AA-8"}
    assert actions_with(artim=Artim.STOP) == {"AE-6", "AR-5", "AA-2", "AA-5"}


def test_closing_actions() -> None:
    assert actions_with(closes=True) == {"AE-4", "AR-3", "AA-2", "AA-3"}


def test_sending_actions() -> None:
    own = {"AE-2", "AE-7", "AE-8", "DT-1", "AR-1", "AR-4", "AR-7", "AR-9"}
    assert actions_with(send=Send.PRIMITIVE) == own
    assert actions_with(send=Send.USER_ABORT) == {"AA-1"}
    assert actions_with(send=Send.PROVIDER_ABORT) == {"AA-7", "AA-8"}


def test_indications() -> None:
    assert actions_with(tells=Indication.P_DATA) == {"DT-2", "AR-6"}
    assert actions_with(tells=Indication.FAULT) == {"AA-1", "AA-8"}
    assert actions_with(tells=Indication.TRANSPORT_CLOSED) == {"AA-4", "AA-5", "AR-5"}
    assert actions_with(tells=Indication.PEER_PDU) == {
        "AE-3",
        "AE-4",
        "AE-6",
        "AR-2",
        "AR-3",
        "AR-10",
        "AA-3",
    }


def test_payload_keeps_the_state() -> None:
    """`connection.py` lets payload through without applying the action; that is right only if nothing changes."""
    for (state, trigger), action in TRANSITIONS.items():
        effect = EFFECTS[action]
        if trigger is Event.EVT10 and effect.tells is Indication.P_DATA:
            assert (effect.next_state, effect.send, effect.artim, effect.closes) == (state, None, None, False)


def test_answers_given_for_the_user_are_release_responses() -> None:
    assert actions_with(then=Event.EVT14) == {"AR-8", "AR-10"}
    assert all(effect.then in (None, Event.EVT14) for effect in EFFECTS.values())
