"""What is drawn: everything that there is. A new fault, blow or act that nobody draws fails here."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, get_args

from bintrio.sandbox.server.faults import AnyFault, ErrorReply, OfRequest, Together
from bintrio.sandbox.weather import METHODS, AnyBlow, Fail, Noise, Revoke, draw_blow, draw_fault, draw_revoke
from bintrio.storm import draw_plan
from bintrio.storm.drawing import _NOT_STOPPED, CALM_EVERY, TICKS
from bintrio.storm.plan import Act, AnyAct, ByAccount, PlacePair, Reopen

WORLDS = range(300)


def drawn() -> Iterator[Any]:
    for seed in WORLDS:
        for step in draw_plan(seed).steps:
            yield step.act
            # What is done through an account is an act in an act.
            if isinstance(step.act, ByAccount):
                yield step.act.placing


def test_every_act_blow_and_fault_is_drawn() -> None:
    everything = list(drawn())
    faults = [act.fault for act in everything if isinstance(act, Fail)]
    assert {type(act) for act in everything} == {*get_args(AnyAct), *get_args(AnyBlow)}
    assert {type(fault) for fault in faults} == {*get_args(AnyFault)}
    together = [part for fault in faults if isinstance(fault, Together) for part in fault.faults]
    assert {type(part) for part in together} == {*get_args(OfRequest)}


def test_everybody_is_cancelled_at_any_checkpoint_but_who_does_all_in_one() -> None:
    ticks = {type(act): set[int]() for act in drawn() if isinstance(act, Act)}
    for act in drawn():
        if isinstance(act, Act) and act.patience is not None:
            ticks[type(act)].add(act.ticks)
    # A pair is placed through an account, whose act is cancelled.
    assert {act for act, found in ticks.items() if found != {*TICKS}} == {Reopen, PlacePair}


def test_faults_wait_for_every_method() -> None:
    assert {draw_fault(random.Random(seed)).method for seed in range(2_000)} == {*METHODS}


def test_users_storms_take_no_key_away() -> None:
    drawn = [draw_blow(random.Random(seed)) for seed in range(2_000)]
    blows = {type(blow) for blow in drawn}
    assert {blow.__name__ for blow in {*get_args(AnyBlow)} - blows} == {"Revoke"}
    assert Noise in blows
    refused = [blow.fault for blow in drawn if isinstance(blow, Fail) and isinstance(blow.fault, ErrorReply)]
    assert refused
    assert not [fault for fault in refused if fault.code in {-2015, -1022}]


def test_in_worlds_keys_are_taken_away_and_logons_refused() -> None:
    taken = [draw_revoke(random.Random(seed)) for seed in range(100)]
    assert {type(blow) for blow in taken} == {Revoke, Fail}
    assert {blow.fault.method for blow in taken if isinstance(blow, Fail)} == {"session.logon"}


def test_some_worlds_have_a_move_in_a_hold_and_no_calm_one_has() -> None:
    moves = [seed for seed in range(100) if "Cut" in {type(step.act).__name__ for step in draw_plan(seed).steps}]
    assert len(moves) > 25
    assert not any(seed % CALM_EVERY == 0 for seed in moves)


def test_where_somebody_listens_now_and_then_the_events_go_on_once_although_they_were_to_stop() -> None:
    for seed in range(100):
        plan = draw_plan(seed)
        struck = [step.act for step in plan.steps if isinstance(step.act, Fail)]
        stays = [act for act in struck if act.fault in _NOT_STOPPED]
        assert plan.is_calm or plan.terms.attention is None or stays


def test_what_is_calm_draws_nothing_that_may_cost_an_event() -> None:
    calm = {type(step.act).__name__ for step in draw_plan(0).steps if isinstance(step.act, get_args(AnyBlow))}
    assert calm <= {"Fill", "Deposit", "ExternalLock", "ShutDown", "Lag", "Relink"}
