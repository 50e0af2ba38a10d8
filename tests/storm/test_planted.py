"""Faults that are planted in the client: what is said of a world finds each."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import trio

import bintrio
from bintrio._client import observation
from bintrio._client.carrier import Carrier
from bintrio._client.connection import Connection
from bintrio._client.outcomes import Outcomes
from bintrio._client.subscriptions import Feed
from bintrio._net.wire import Wire
from bintrio._net.writer import Writer
from bintrio._protocol.budget import Charge, Cost
from bintrio._protocol.clock import Clock
from bintrio._protocol.holds import Holds
from bintrio._protocol.rate_limits import LocalLedger
from bintrio._protocol.succession import Calendar, Gap, Succession, _Carrier, _complete_until, _Loss
from bintrio.api.events import UnknownEvent
from bintrio.sandbox import DropReply, ErrorReply, Farewell, Link, OddEvents, Pings, ServerError, TooManyRequests, Way
from bintrio.sandbox.weather import Cut, Deposit, Fail, Relink
from bintrio.storm import Plan, Step, Terms, run
from bintrio.storm.drawing import draw_move
from bintrio.storm.plan import Ask, Place, Rotate


def found(*acts: Any, pause: float = 1.0, **terms: Any) -> str:
    """What is said of a world in which that happens, one thing after the other."""
    return "\n".join(run(Plan(terms=Terms(**terms), steps=tuple(Step(pause, act) for act in acts))).untruths)


def nothing(*_args: Any, **_options: Any) -> None:
    """Does nothing."""


FAR = Link(up=Way(latency=0.2), down=Way(latency=0.1))

REFUSED = Fail(fault=TooManyRequests(method="ping", retry_after=30.0))


def test_g8_a_client_that_does_not_wait_for_a_hold_to_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = REFUSED, Ask(), Ask(), Rotate()
    assert found(*acts) == ""
    monkeypatch.setattr(Holds, "of", nothing)
    said = found(*acts)
    assert "ping came to the exchange at" in said
    assert "a handshake came to the exchange at" in said


def test_g3_a_late_pong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = [Ask()] * 30
    assert found(*acts) == ""
    pong_written = Connection._pong_written

    def later(connection: Connection, waited: float) -> None:
        pong_written(connection, waited + 1)

    monkeypatch.setattr(Connection, "_pong_written", later)
    assert "was answered after" in found(*acts)


def shortly_before(seconds: int) -> Callable[[_Carrier, Calendar], int]:
    """Has a carrier be complete only up to so long before it was asked to carry."""

    def complete_until(carrier: _Carrier, _calendar: Calendar) -> int:
        return carrier.asked.at - 1000 * seconds

    return complete_until


def test_g5_a_gap_where_all_was_brought_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(Rotate()) == ""
    monkeypatch.setattr(_Carrier, "complete_until", shortly_before(0))
    monkeypatch.setattr(Succession, "unsubscribing", nothing)
    assert "all of that was brought (G5)" in found(Rotate())


def test_g5_a_gap_that_begins_too_early_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found(Cut()) == ""
    monkeypatch.setattr(_Carrier, "complete_until", shortly_before(60))
    assert "may be missing (G5)" in found(Cut())


def test_g5_an_account_that_is_current_while_nothing_brings_its_events_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whoever asks for events has no answer, and nothing happens of which they would tell.
    acts = Fail(fault=DropReply(method="userDataStream.subscribe", times=5)), Cut(), *[Ask()] * 5
    assert found(*acts, pause=10.0, has_account=True) == ""
    monkeypatch.setattr(Feed, "tell_outage", nothing)
    assert "and nothing has brought its events since 20 (G5)" in found(*acts, pause=10.0, has_account=True)


def test_g5_a_subscription_that_is_forgotten_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    not_done = Fail(fault=ServerError(method="userDataStream.unsubscribe", executed=False))
    acts = not_done, *[Ask()] * 5
    assert found(*acts, pause=6.0, attention=20.0) == ""
    subscribe = Carrier._subscribe

    async def forget_first(carrier: Carrier, feed: Feed) -> None:
        carrier._unsure.clear()
        await subscribe(carrier, feed)

    monkeypatch.setattr(Carrier, "_subscribe", forget_first)
    assert "-2035 User Data Stream subscription already active.') (G5)" in found(*acts, pause=6.0, attention=20.0)


def test_g1_a_call_that_leaves_too_late_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    # The next connection is there when one of them has but a moment left.
    acts = Cut(), *[Place(within=tenths / 10) for tenths in range(6, 16)]
    assert found(*acts, pause=0.12, link=FAR) == ""

    def now(*_args: object) -> float:
        return trio.current_time()

    monkeypatch.setattr(bintrio.Session, "_check_time_left", now)
    assert "s before its deadline (G1)" in found(*acts, pause=0.12, link=FAR)


def test_a_clock_that_is_trusted_although_a_timestamp_was_refused_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = Relink(link=FAR), Fail(fault=ErrorReply(method="ping", code=-1021)), Ask(), Ask(), Place()
    assert found(*acts) == ""
    monkeypatch.setattr(Clock, "forget", nothing)
    assert "from the one measurement since one was refused" in found(*acts)


def test_g5_a_gap_that_ends_before_it_begins_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> str:
        moves = [Plan(seed=seed, steps=tuple(draw_move(random.Random(seed)))) for seed in range(16)]
        return "\n".join(untruth for move in moves for untruth in run(move).untruths)

    assert said() == ""
    monkeypatch.setattr(Succession, "_judge", tell_in_any_case)
    assert "it ends before it begins (G5)" in said()


def tell_in_any_case(succession: Succession, loss: _Loss) -> None:
    """Tells a gap for a loss by which nothing is missing, too."""
    start, end = succession._calendar.dates(_complete_until(loss.carriers, succession._calendar), loss.end)
    loss.told = Gap(start=start, end=end, reason=loss.reason)
    succession._tell_gap(loss.told, loss.number)


def test_g7_what_leaves_behind_the_exchanges_close_frame_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = [Fail(fault=Farewell(method="time", pings=2)), Rotate()] * 8
    assert found(*acts) == ""
    monkeypatch.setattr(Writer, "withdraw_all", Writer.release)
    assert "left after the exchange's close frame had come (G7)" in found(*acts)


def test_g3_what_leaves_before_its_pong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = Fail(fault=Pings(method="time", count=5)), Rotate()
    assert found(*acts) == ""

    async def go_on(_wire: Wire) -> None:
        """Waits for no pong."""

    monkeypatch.setattr(Wire, "_answer_pings", go_on)
    assert "a message left before the pong to a ping that had come with what it follows (G3)" in found(*acts)


def test_g10_an_event_that_is_dropped_since_it_cannot_be_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = (
        Fail(fault=OddEvents(event="balanceUpdate", field="d", value="[[7]]")),
        Deposit(asset="BTC", amount=Decimal(1)),
    )
    assert found(*acts) == ""
    publish = Feed.publish

    def publish_what_is_known(feed: Feed, event: Any, number: int, now: int) -> None:
        if not isinstance(event, UnknownEvent):
            publish(feed, event, number, now)

    monkeypatch.setattr(Feed, "publish", publish_what_is_known)
    assert "an event is missing, and in no gap of" in found(*acts)


def test_g9_a_signature_in_a_fact_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observation, "redacted_message", bytes.decode)
    said = run(Plan(terms=Terms(key="hmac"), steps=(Step(1.0, Place()),))).untruths
    assert any("the signature of order.place" in each for each in said)
    assert any("the API key that begins with" in each for each in said)


def test_g1_a_call_that_is_kept_for_ever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    acts = Fail(fault=DropReply(method="order.place")), Place(patience=0.5)
    assert found(*acts) == ""
    monkeypatch.setattr(Outcomes, "_settle", nothing)
    assert "was kept although it is known what became of it (G1)" in found(*acts)


def test_g8_a_charge_that_is_never_settled_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    charge = LocalLedger.charge

    def twice(ledger: LocalLedger, cost: Cost, now: int) -> Charge:
        charge(ledger, cost, now)
        return charge(ledger, cost, now)

    monkeypatch.setattr(LocalLedger, "charge", twice)
    assert "of REQUEST_WEIGHT of 1 MINUTE were used up by the client's count" in found(Ask())


def test_g6_a_task_that_goes_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def linger(*_args: Any) -> None:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)

    monkeypatch.setattr(bintrio.Session, "rotate", linger)
    assert found(Rotate()) == "1 tasks were left over (G6)"
