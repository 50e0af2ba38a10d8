"""What sessions tell their observer, held against what is promised: each breach is found, and no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bintrio._protocol.facts import (
    ClockMeasured,
    ConnectionReady,
    Fact,
    MessageReceived,
    MessageSent,
    SessionStarted,
    Subscribed,
    Swapped,
)
from bintrio._protocol.facts_of_calls import CallSent, CallStarted
from bintrio.storm import Plan, Terms, truth
from bintrio.storm.conduct import untruths
from bintrio.storm.plan import Ask, AskOrder, Place
from tests.storm.given import call_ended, deed, evidence


def told(*facts: Fact, deeds: Any = (), attention: float | None = None) -> list[str]:
    return [*untruths(facts, Plan(terms=Terms(attention=attention)), deeds)]


# Connections that take the place of others


def ready(at: float) -> Fact:
    return ConnectionReady(at=at, connection=2, seconds=0.1, is_logged_on=True)


def swapped(at: float, replaced: int | None = 1) -> Fact:
    return Swapped(at=at, connection=2, replaced=replaced, cause="request", seconds=0.0)


def subscribed(at: float) -> Fact:
    return Subscribed(at=at, connection=2, account="a", subscription=0)


def test_g5_a_connection_is_put_to_use_once_it_brings_the_events() -> None:
    assert told(ready(10), subscribed(10.1), swapped(10.1)) == []
    assert "came before" in told(ready(10), swapped(10), subscribed(10.1))[0]
    assert told(ready(10), swapped(10), subscribed(10.1), attention=4.0) == []
    assert told(ready(10), swapped(11), subscribed(11.1)) == []  # it has waited
    assert told(ready(10), swapped(10, replaced=None), subscribed(10.1)) == []
    assert told(ready(10), swapped(10), subscribed(12)) == []  # by who began to listen then
    assert told(ready(10), swapped(10), ready(10), subscribed(10.1)) == []  # of another session
    failed = call_ended("userDataStream.subscribe", at=9.0, error="Unauthorized")
    assert told(failed, ready(10), swapped(10), subscribed(10.1)) == []
    # However long ago it failed, until it is carried again.
    old = call_ended("userDataStream.subscribe", at=0.0, error="Unauthorized")
    assert told(old, ready(10), swapped(10), subscribed(10.1)) == []
    # A key that may not log on may not subscribe either; what else becomes of a logon says nothing of the events.
    assert (
        told(call_ended("session.logon", at=9.0, error="Unauthorized"), ready(10), swapped(10), subscribed(10.1)) == []
    )
    assert (
        len(told(call_ended("session.logon", at=9.0, error="NotSent"), ready(10), swapped(10), subscribed(10.1))) == 1
    )
    assert len(told(old, ready(8), subscribed(8), ready(10), swapped(10), subscribed(10.1))) == 1
    assert len(told(call_ended("order.place", at=9.0, error="Rejected"), ready(10), swapped(10), subscribed(10.1))) == 1
    assert (
        told(ready(10), swapped(10), call_ended("userDataStream.subscribe", at=10.0, error="Lost"), subscribed(10.1))
        == []
    )


# Calls that waited


def measured(round_trip: float, at: float = 0.0) -> Fact:
    return ClockMeasured(at=at, connection=1, offset=0.0, round_trip=round_trip)


SLOW = (0.6, 0.4)


def left(*moments: float, act: Any = None, round_trips: Sequence[float] = SLOW, is_own: bool = False) -> list[str]:
    """It is made at 0, has 15 s, and leaves at these times."""
    made = deed(act or Place(), ended=15.0)
    about: dict[str, Any] = {"call": 7, "method": made.request.api.name, "is_own": is_own}
    started = CallStarted(**about, at=0.0, params=None)
    sent = [CallSent(**about, at=at, connection=1, id=1, size=10) for at in moments]
    return told(*map(measured, round_trips), started, *sent, deeds=[made])


def test_g1_no_call_leaves_that_cannot_be_answered_in_time() -> None:
    assert left(14.5) == []
    assert "left 0.25 s before its deadline (G1)" in left(14.75)[0]
    assert left() == left(0.0) == left(14.75, is_own=True) == []
    # One that comes again has waited, too, in its way.
    assert len(left(0.0, 14.75)) == len(left(14.75, act=Ask())) == 1
    # Others may ask for orders as well, in the same moment.
    assert left(14.75, act=AskOrder()) == []
    # The quickest of the latest answers counts, and nothing is known before the first.
    assert left(14.75, round_trips=()) == left(14.75, round_trips=(0.1, 0.6)) == []
    assert len(left(14.75, round_trips=(0.1, *[0.6] * 8))) == len(left(15.0, round_trips=())) == 1


def test_g1_an_account_may_call_in_the_same_moment_with_a_deadline_of_its_own() -> None:
    made = deed(Place(), ended=15.0)
    first, second = [
        CallStarted(call=number, method="order.place", is_own=False, at=0.0, params=None) for number in (7, 8)
    ]
    sent = CallSent(call=8, method="order.place", is_own=False, at=14.75, connection=1, id=1, size=10)
    assert told(measured(0.4), first, second, sent, deeds=[made]) == []
    assert len(told(measured(0.4), second, sent, deeds=[made])) == 1


def test_g1_another_session_has_calls_of_its_own() -> None:
    made = deed(Place(), ended=15.0)
    about: dict[str, Any] = {"call": 7, "method": "order.place"}
    sent = CallSent(**about, at=14.75, connection=1, id=1, size=10)
    began = measured(0.4), CallStarted(**about, at=0.0, params=None)
    assert told(*began, SessionStarted(endpoint="sandbox"), sent, deeds=[made]) == []


# The clock


def signed(at: float, timestamp: int, request_id: int | str = 8) -> tuple[Fact, Fact]:
    about: dict[str, Any] = {"call": 8, "method": "order.place"}
    quoted = f'"{request_id}"' if isinstance(request_id, str) else request_id
    text = f'{{"id":{quoted},"method":"order.place","params":{{"symbol":"BTCUSDT","timestamp":{timestamp}}}}}'
    sent = CallSent(**about, at=at, connection=1, id=request_id, size=10)
    return sent, MessageSent(at=at + 0.1, connection=1, text=text)


def refused(at: float = 10.0, error: str = "InvalidTimestamp", **of: Any) -> Fact:
    return call_ended(of.pop("method", "order.place"), at=at, error=error, is_own=of.get("is_own", False))


def asked_at_10(took: float = 2.0) -> tuple[Fact, ...]:
    """The exchange said that it was 1,000 s since its beginning, so half way it was 10 s + took / 2 here."""
    answer = MessageReceived(at=10.0 + took, connection=1, text='{"id":1,"status":200,"result":{"serverTime":1000000}}')
    return answer, measured(took, 10.0 + took)


def test_what_was_known_of_the_clock_counts_no_more_once_a_timestamp_was_refused() -> None:
    assert told(refused(), *asked_at_10(), *signed(13.0, 1_002_000)) == []
    assert told(refused(), *asked_at_10(), *signed(13.0, 1_002_000, "mine")) == []
    assert "is -500 ms from the one measurement" in told(refused(), *asked_at_10(), *signed(13.0, 1_001_500))[0]
    subscribing = refused(method="userDataStream.subscribe", is_own=True)
    assert len(told(subscribing, *asked_at_10(), *signed(13.0, 1_001_500))) == 1
    # Not until it is measured, not after another measurement or in another session, and not for another reason.
    wrong = signed(13.0, 1_001_500)
    assert told(refused(), *wrong) == told(*asked_at_10(), *wrong) == []
    assert told(refused(), *asked_at_10(), measured(2.0, 12.5), *wrong) == []
    assert told(refused(), *asked_at_10(), SessionStarted(endpoint="sandbox"), *wrong) == []
    assert told(refused(error="Rejected"), *asked_at_10(), *wrong) == []
    assert told(refused(method="session.logon", is_own=True), *asked_at_10(), *wrong) == []
    # It was under way when the timestamp was refused.
    assert told(refused(11.0), *asked_at_10(), *wrong) == []
    # It had been signed before, or is not signed at all.
    sent, written = wrong
    assert told(sent, refused(), *asked_at_10(), written) == []
    plain = MessageSent(at=13.0, connection=1, text='{"id":8,"method":"ping"}')
    assert told(refused(), *asked_at_10(), sent, plain) == []


def test_g8_no_charge_is_left_over() -> None:
    known = evidence()
    known.open_charges = 2
    assert [*truth.of_conduct(known)] == ["2 charges were left over in the ledger (G8)"]
