"""What sessions tell their observer, held against what is promised: each breach is found, and no other."""

from __future__ import annotations

from typing import Any

from bintrio._protocol.facts import (
    ConnectionReady,
    Fact,
    Subscribed,
    Swapped,
)
from bintrio._protocol.facts_of_calls import CallEnded
from bintrio.sandbox import Link, Way
from bintrio.sandbox.weather import Relink
from bintrio.storm import Plan, Step, Terms, truth
from bintrio.storm.conduct import untruths
from bintrio.storm.plan import Ask, Place
from tests.storm.given import deed, evidence

FAR = Terms(link=Link(up=Way(latency=0.2), down=Way(latency=0.2)))


def told(*facts: Fact, plan: Plan | None = None, deeds: Any = ()) -> list[str]:
    return [*untruths(facts, plan or Plan(), deeds)]


# Connections that take the place of others


def ready(at: float) -> Fact:
    return ConnectionReady(at=at, connection=2, seconds=0.1, is_logged_on=True)


def swapped(at: float, replaced: int | None = 1) -> Fact:
    return Swapped(at=at, connection=2, replaced=replaced, cause="request", seconds=0.0)


def subscribed(at: float) -> Fact:
    return Subscribed(at=at, connection=2, account="a", subscription=0)


def call(method: str, **values: Any) -> CallEnded:
    options: dict[str, Any] = {name: None for name in CallEnded.__struct_fields__}
    options |= {"method": method, "at": 0.0, "started_at": 0.0, "limits": (), **values}
    return CallEnded(**options)


def test_g5_a_connection_is_put_to_use_once_it_brings_the_events() -> None:
    assert told(ready(10), subscribed(10.1), swapped(10.1)) == []
    assert "came before" in told(ready(10), swapped(10), subscribed(10.1))[0]
    assert told(ready(10), swapped(11), subscribed(11.1)) == []  # it has waited
    assert told(ready(10), swapped(10, replaced=None), subscribed(10.1)) == []
    assert told(ready(10), swapped(10), subscribed(12)) == []  # by who began to listen then
    assert told(ready(10), swapped(10), ready(10), subscribed(10.1)) == []  # of another session
    failed = call("userDataStream.subscribe", at=9.0, error="Unauthorized")
    assert told(failed, ready(10), swapped(10), subscribed(10.1)) == []
    # However long ago it failed, until it is carried again.
    old = call("userDataStream.subscribe", at=0.0, error="Unauthorized")
    assert told(old, ready(10), swapped(10), subscribed(10.1)) == []
    assert len(told(old, ready(8), subscribed(8), ready(10), swapped(10), subscribed(10.1))) == 1
    assert len(told(call("order.place", at=9.0, error="Rejected"), ready(10), swapped(10), subscribed(10.1))) == 1
    assert told(ready(10), swapped(10), call("userDataStream.subscribe", at=10.0, error="Lost"), subscribed(10.1)) == []


# Calls that waited


def left(queued_at: float | None, act: Any = None, terms: Terms = FAR, *blows: Any) -> list[str]:
    made = deed(act or Place(), ended=15.0)
    plan = Plan(terms=terms, steps=tuple(Step(0.0, blow) for blow in blows))
    return told(call(made.request.api.name, queued_at=queued_at), plan=plan, deeds=[made])


def test_g1_no_call_leaves_that_cannot_be_answered_in_time() -> None:
    assert left(14.5) == []
    assert "left 0.25 s before its deadline (G1)" in left(14.75)[0]
    assert left(None) == left(0.0) == []
    assert left(14.75, Ask()) == []
    assert left(14.75, None, FAR, Relink(link=Link())) == []
    assert left(14.75, None, Terms()) == []


def test_g8_no_charge_is_left_over() -> None:
    known = evidence()
    known.open_charges = 2
    assert [*truth.of_conduct(known)] == ["2 charges were left over in the ledger (G8)"]
