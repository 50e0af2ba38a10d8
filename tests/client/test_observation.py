"""What a session tells its observer and its logs: each fact once, when it happens, with its cause and times."""

from __future__ import annotations

import gc
import json
import logging
import signal
import weakref
from typing import Any, Final, TypeVar

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio import observing as facts
from bintrio._client.logs import LINES, Line
from bintrio._client.throttle import ticks
from bintrio._protocol.holds import Refusal
from bintrio._protocol.rate_limits import LocalLedger
from bintrio.errors import ConnectionFailed, HandshakeRejected, InvalidRequest, NotSent, Rejected
from bintrio.observing import Fact
from bintrio.requests import Ping
from bintrio.sandbox import ErrorReply, open_sandbox
from tests.peer import ACK, LIMITS, START, URL, Exchange, ed25519_key, open_exchange, open_pair
from tests.sessions import BUY, HMAC, deltas, in_background, run_with_ctrl_c
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")

F = TypeVar("F", bound=Fact)


class Notebook:
    """An observer that keeps everything, and which task it was told by."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.tasks: list[trio.lowlevel.Task] = []

    def __call__(self, fact: Fact) -> None:
        self.facts.append(fact)
        self.tasks.append(trio.lowlevel.current_task())

    def of(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def calls(self, kind: type[F], method: str) -> list[F]:
        return [fact for fact in self.of(kind) if getattr(fact, "method", None) == method]

    def kinds(self, *but: type[Fact]) -> list[str]:
        return [type(fact).__name__ for fact in self.facts if not isinstance(fact, but)]


class Keeper:
    """An observer that keeps an error."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __call__(self, fact: Fact) -> None:
        """Nothing is done with it."""


async def test_what_observed_goes_when_nobody_knows_it_any_more(autojump_clock: MockClock) -> None:
    async def observe() -> weakref.ref[Keeper]:
        keeper = Keeper()
        async with open_sandbox(listen=False) as sandbox:
            sandbox.inject(ErrorReply("ping", code=-1000))
            async with bintrio.open_session(sandbox.endpoint, connect=sandbox.connect, observer=keeper) as session:
                try:
                    await session.ping()
                # Its traceback leads to the call, whose steps are told the observer, which keeps the error.
                except Rejected as error:
                    keeper.error = error
        assert keeper.error is not None
        return weakref.ref(keeper)

    gone = await observe()
    await wait_all_tasks_blocked()
    gc.collect()
    assert gone() is None


# Connections


async def test_g13_the_life_of_a_session_is_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(key=ed25519_key(), observer=seen, name="bot") as (session, _):
        assert session.name == "bot"
        await session.rotate()
        await trio.sleep(1)
    connections = (facts.AboutCall, facts.ClockMeasured)
    assert seen.kinds(*connections) == [
        "SessionStarted",
        "ConnectionOpening",
        "ConnectionReady",
        "Swapped",
        "ConnectionOpening",
        "ConnectionReady",
        "Swapped",
        "ConnectionRetired",
        "ConnectionRetired",
        "SessionEnded",
    ]
    assert {fact.session for fact in seen.facts} == {"bot"}
    assert seen.of(facts.SessionStarted)[0].endpoint == "exchange.test"
    first, second = seen.of(facts.Swapped)
    assert (first.connection, first.replaced, first.cause) == (1, None, "start")
    assert (second.connection, second.replaced, second.cause) == (2, 1, "request")
    assert second.address == "exchange.test:443"
    assert all(ready.is_logged_on for ready in seen.of(facts.ConnectionReady))
    assert [retired.cause for retired in seen.of(facts.ConnectionRetired)] == [
        "it was replaced",
        "the session was closed",
    ]
    assert [fact.at for fact in seen.facts] == sorted(fact.at for fact in seen.facts)


@pytest.mark.parametrize("how", ["lifetime", "notice", "lost"])
async def test_g13_a_swap_says_why_and_how_long_it_took(autojump_clock: MockClock, how: str) -> None:
    seen = Notebook()
    async with open_pair(observer=seen, lifetime=50) as (session, exchange), trio.open_nursery() as nursery:
        await trio.sleep(5)
        peer = exchange.peers[0]
        exchange.delay = 0.25
        if how == "notice":
            await peer.event(None, e="serverShutdown", E=START)
            await peer.event(None, e="serverShutdown", E=START)
        elif how == "lost":
            in_background(nursery, session.ping)
            await peer.next()
            await peer.cut()
        await trio.sleep(45 if how == "lifetime" else 2)
        nursery.cancel_scope.cancel()
    swap = seen.of(facts.Swapped)[1]
    assert (swap.connection, swap.replaced, swap.cause) == (2, 1, how)
    assert swap.seconds == pytest.approx(0.25)
    assert [due.cause for due in seen.of(facts.ConnectionDue)] == ["the exchange announced its shutdown"] * (
        how == "notice"
    )
    lost = [(fact.connection, fact.in_flight, fact.error, fact.cause) for fact in seen.of(facts.ConnectionLost)]
    assert lost == [(1, 1, "WireClosed", "the server ended the stream without a close frame")] * (how == "lost")
    assert session.counters.losses == len(lost)


async def test_g13_an_attempt_to_connect_that_fails_is_told_with_its_cause(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (_, exchange):
        exchange.refuse_with = [ConnectionRefusedError(111, "Connection refused")]
        await exchange.peers[0].cut()
        await trio.sleep(0.1)
        exchange.refuse_with = []
        await trio.sleep(10)
    (failure,) = seen.of(facts.ConnectionNotReady)
    assert (failure.connection, failure.cause, failure.error) == (2, "connection refused", "ConnectionRefusedError")
    (told,) = seen.of(facts.NoConnection)
    assert (told.error, told.failures) == ("ConnectionFailed", 2)
    assert "connection refused" in told.cause
    assert [fact.connection for fact in seen.of(facts.ConnectionOpening)] == [1, 2, 3]


async def test_g13_an_attempt_that_takes_too_long_or_is_cancelled_is_told(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["time"] = None
        seen = Notebook()
        with pytest.raises(ConnectionFailed):
            async with bintrio.open_session(URL, connect=exchange.connect, observer=seen, connect_timeout=3):
                raise AssertionError
        with trio.move_on_after(2):
            async with bintrio.open_session(URL, connect=exchange.connect, observer=seen):
                raise AssertionError
    overdue, cancelled = seen.of(facts.ConnectionNotReady)
    assert (overdue.seconds, overdue.error) == (3, "TooSlowError")
    assert (cancelled.seconds, cancelled.error, cancelled.cause) == (2, "Cancelled", "it was cancelled")
    assert seen.kinds(facts.AboutCall) == [
        *("SessionStarted", "ConnectionOpening", "ConnectionNotReady", "SessionEnded"),
        *("SessionStarted", "ConnectionOpening", "ConnectionNotReady", "SessionEnded"),
    ]
    # Its question for the time had been sent.
    assert [(call.error, call.tries) for call in seen.calls(facts.CallEnded, "time")] == [("Cancelled", 1)] * 2


async def test_g13_a_key_that_is_refused_is_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_exchange() as exchange:
        refusal = {"status": 401, "error": {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}}
        exchange.script["session.logon"] = lambda _peer: refusal
        with pytest.raises(Rejected):
            async with bintrio.open_session(URL, connect=exchange.connect, key=ed25519_key(), observer=seen):
                raise AssertionError
    (failure,) = seen.of(facts.ConnectionNotReady)
    assert failure.error == "Unauthorized"
    (call,) = seen.calls(facts.CallEnded, "session.logon")
    assert (call.is_own, call.status, call.code, call.error) == (True, 401, -2015, "Unauthorized")


async def test_g8_a_hold_that_begins_as_a_connection_does_keeps_it_from_leaving(autojump_clock: MockClock) -> None:
    """Here by the observer, which is called between the step that looks for holds and the one that connects."""
    ledger = LocalLedger()

    class Holds(Notebook):
        def __call__(self, fact: Fact) -> None:
            super().__call__(fact)
            if isinstance(fact, facts.ConnectionOpening) and fact.connection == 2:
                ledger.hold(Refusal(429, -1003, "slow down", 30_000), ticks())

    seen = Holds()
    async with open_pair(observer=seen, ledger=ledger) as (session, exchange):
        await exchange.peers[0].cut()
        await trio.sleep(5)
        assert len(exchange.addresses) == 1
        await trio.sleep(60)
        assert len(exchange.addresses) == 2
    (failure,) = seen.of(facts.ConnectionNotReady)
    assert (failure.connection, failure.error) == (2, "RateLimited")
    assert session.counters.connections == 2


async def test_g13_a_connection_that_was_ready_is_not_said_to_have_failed(autojump_clock: MockClock) -> None:
    """Its opening may be cancelled in the same turn: then its end is told, as that of any other."""
    seen = Notebook()
    async with open_pair(observer=seen) as (session, _):
        connection = session._supervisor.connection
        assert connection is not None
        with pytest.raises(trio.TooSlowError), session._supervisor._telling(connection):
            raise trio.TooSlowError
    assert seen.of(facts.ConnectionNotReady) == []
    assert len(seen.of(facts.ConnectionRetired)) == 1


async def test_g13_an_answered_ping_is_told_with_the_time_it_took(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (_, exchange):
        await exchange.peers[0].websocket.ping(b"are you there")
        await trio.sleep(1)
    (answered,) = seen.of(facts.PingAnswered)
    assert (answered.connection, answered.seconds) == (1, 0)


async def test_g13_pings_that_cannot_be_answered_for_some_time_are_told_with_that_of_the_first(
    autojump_clock: MockClock,
) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (session, exchange), trio.open_nursery() as nursery:
        await trio.sleep(7)
        until = trio.Event()
        stall(session, until)
        nursery.start_soon(exchange.peers[0].websocket.ping, b"1")
        await trio.sleep(2)
        nursery.start_soon(exchange.peers[0].websocket.ping, b"2")
        await trio.sleep(3)
        until.set()
        await trio.sleep(1)
    assert [fact.seconds for fact in seen.of(facts.PingAnswered)] == [5, 5]


# Calls


async def test_g13_every_step_of_a_call_is_told_in_its_callers_task(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (session, exchange), trio.open_nursery() as nursery:
        await trio.sleep(5)
        begin = len(seen.facts)
        tasks: list[trio.lowlevel.Task] = []

        async def call() -> None:
            tasks.append(trio.lowlevel.current_task())
            await session.depth(symbol="BTCUSDT", limit=5)

        nursery.start_soon(call)
        request = await exchange.peers[0].next()
        await trio.sleep(0.5)
        await exchange.peers[0].answer(request, {"lastUpdateId": 1, "bids": [], "asks": []}, rateLimits=[])
        await trio.sleep(1)
        told = seen.facts[begin:]
        started, sent, ended = told
        assert isinstance(started, facts.CallStarted)
        assert isinstance(sent, facts.CallSent)
        assert isinstance(ended, facts.CallEnded)
        assert seen.tasks[begin:] == tasks * 3
        assert {fact.call for fact in (started, sent, ended)} == {started.call}
        assert (started.method, started.is_own, started.params) == ("depth", False, None)
        assert (sent.connection, sent.id) == (1, request["id"])
        assert sent.size == ended.sent_size == len(json.dumps(request, separators=(",", ":")))
        assert (ended.started_at, ended.queued_at, ended.answered_at, ended.taken_at, ended.at) == (5, 5, 5.5, 5.5, 5.5)
        assert ended.written_at is not None
        assert (ended.status, ended.code, ended.error, ended.cause) == (200, None, None, None)
        assert (ended.tries, ended.connection, ended.address) == (1, 1, "exchange.test:443")
        assert ended.answer_size > 50


async def test_g13_the_parameters_of_a_call_are_told_on_request_only_and_without_secrets(
    autojump_clock: MockClock,
) -> None:
    seen = Notebook()
    async with open_pair(key=HMAC, observer=seen, observe_params=True) as (session, exchange):
        params = {"symbol": "BTCUSDT", "apiKey": "an-api-key", "signature": "a-signature", "listenKey": "a-listen-key"}
        with trio.move_on_after(1):
            await session.request("coffee.price", params)
        with trio.move_on_after(1):
            await session.send(BUY)
        assert exchange.sent("order.place")[0]["params"]["signature"]
    (by_hand,) = seen.calls(facts.CallStarted, "coffee.price")
    assert by_hand.params == {"symbol": "BTCUSDT", "apiKey": "…", "signature": "…", "listenKey": "…"}
    (order,) = seen.calls(facts.CallStarted, "order.place")
    assert order.params is not None
    assert {"symbol", "quantity", "newClientOrderId"} <= set(order.params)
    assert not {"signature", "apiKey"} & set(order.params)


async def test_g13_a_refusal_is_told_with_its_status_and_code_and_the_limits(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen, key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        request = await exchange.peers[0].next()
        counted = [{**LIMITS[0], "count": 7}]
        await exchange.peers[0].answer(
            request,
            status=400,
            error={"code": -2010, "msg": "Account has insufficient balance for requested action."},
            rateLimits=counted,
        )
    assert isinstance(outcome.error, bintrio.InsufficientBalance)
    (ended,) = seen.calls(facts.CallEnded, "order.place")
    assert (ended.status, ended.code, ended.error) == (400, -2010, "InsufficientBalance")
    assert ended.cause == str(outcome.error)
    assert [(limit.limit, limit.count) for limit in ended.limits] == [(6000, 7)]


async def test_g13_a_read_that_is_repeated_is_sent_twice_and_ends_once(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (session, exchange), trio.open_nursery() as nursery:
        in_background(nursery, session.ping)
        await exchange.peers[0].next()
        await exchange.peers[0].cut()
        peer = await exchange.peer(1)
        await peer.answer(await peer.next())
    assert [sent.connection for sent in seen.calls(facts.CallSent, "ping")] == [1, 2]
    (waited,) = seen.calls(facts.CallWaited, "ping")
    assert waited.awaited == "connection"
    (ended,) = seen.calls(facts.CallEnded, "ping")
    assert (ended.tries, ended.connection, ended.error) == (2, 2, None)


@pytest.mark.parametrize("when", ["waiting", "sent"])
async def test_g13_a_call_that_is_cancelled_is_told_to_be_over(autojump_clock: MockClock, when: str) -> None:
    seen = Notebook()
    async with open_pair(observer=seen, key=HMAC) as (session, exchange):
        if when == "waiting":
            session._shared.own.ledger.hold(Refusal(429, -1003, "slow down", 10_000), ticks())
        with trio.move_on_after(3):
            await session.send(BUY)
    (ended,) = seen.calls(facts.CallEnded, "order.place")
    assert (ended.error, ended.cause, ended.status) == ("Cancelled", "it was cancelled", None)
    assert ended.at - ended.started_at == 3
    assert ended.tries == len(seen.calls(facts.CallSent, "order.place")) == len(exchange.sent("order.place"))
    assert (ended.queued_at, ended.written_at is None) == ((None, True) if when == "waiting" else (0, False))
    waits = [(waited.awaited, waited.seconds) for waited in seen.calls(facts.CallWaited, "order.place")]
    assert waits == [("budget", 3)] * (when == "waiting")
    assert [kept.method for kept in seen.of(facts.OutcomeKept)] == ["order.place"] * (when == "sent")


async def test_g13_a_call_that_cannot_be_right_is_told_to_have_failed(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (session, _):
        with pytest.raises(InvalidRequest):
            await session.send(BUY)
    (ended,) = seen.calls(facts.CallEnded, "order.place")
    assert (ended.error, ended.tries, ended.queued_at, ended.connection) == ("InvalidRequest", 0, None, None)


async def test_g13_the_wait_for_the_limits_is_told_for_calls_and_for_the_sessions_own(
    autojump_clock: MockClock,
) -> None:
    seen = Notebook()
    async with open_pair(observer=seen, request_timeout=30) as (session, exchange), trio.open_nursery() as nursery:
        session._shared.own.ledger.hold(Refusal(429, -1003, "slow down", 10_000), ticks())
        session._supervisor.clock_is_doubted.set()
        in_background(nursery, session.ping)
        peer = exchange.peers[0]
        await peer.answer(await peer.next())
        await trio.sleep(1)
    (waited,) = seen.calls(facts.CallWaited, "ping")
    assert waited.awaited == "budget"
    assert waited.seconds == pytest.approx(10, abs=0.01)
    assert [clock.at for clock in seen.of(facts.ClockMeasured)][-1] >= 10


async def test_g13_the_wait_of_a_call_of_the_sessions_own_is_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen, key=HMAC) as (session, _):
        session._shared.own.ledger.hold(Refusal(429, -1003, "slow down", 5_000), ticks())
        async with session.user_data():
            pass
    (waited,) = seen.calls(facts.CallWaited, "userDataStream.subscribe.signature")
    assert (waited.is_own, waited.awaited) == (True, "budget")
    assert waited.seconds == pytest.approx(5, abs=0.01)


async def test_g13_the_wait_for_room_and_for_being_written_is_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (session, exchange), trio.open_nursery() as nursery:
        until = trio.Event()
        stall(session, until)
        long = {"symbols": ["X" * 1000] * 300}
        for _ in range(6):
            in_background(nursery, lambda: session.request("depth", long))
            await wait_all_tasks_blocked()
        await trio.sleep(2)
        until.set()
        peer = exchange.peers[0]
        for _ in range(6):
            await peer.answer(await peer.next())
        await trio.sleep(1)
    waits = seen.calls(facts.CallWaited, "depth")
    assert {waited.awaited for waited in waits} == {"room"}
    assert max(waited.seconds for waited in waits) == 2
    ended = seen.calls(facts.CallEnded, "depth")
    assert len(ended) == 6
    assert [(call.written_at or 0) >= 2 > 0 for call in ended] == [True] * 6
    assert {call.queued_at for call in ended} == {0, 2}


async def test_g13_a_call_that_a_hold_takes_back_is_not_said_to_be_written(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen, key=HMAC) as (session, _), trio.open_nursery() as nursery:
        until = trio.Event()
        stall(session, until)
        first = in_background(nursery, lambda: session.send(BUY))
        await wait_all_tasks_blocked()
        second = in_background(nursery, lambda: session.within(3).send(BUY, id="mine"))
        await wait_all_tasks_blocked()
        session._shared.own.ledger.hold(Refusal(429, -1003, "slow down", 60_000), ticks())
        await trio.sleep(5)
        assert isinstance(second.error, NotSent)
        nursery.cancel_scope.cancel()
    assert first.error is None
    ended = next(call for call in seen.calls(facts.CallEnded, "order.place") if call.error == "NotSent")
    assert (ended.tries, ended.written_at) == (1, None)


# What comes in


async def test_g13_late_repeated_and_unknown_answers_are_told_apart(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (session, exchange):
        peer = exchange.peers[0]
        with trio.move_on_after(1):
            await session.ping()
        late = await peer.next()
        await peer.answer(late)
        await peer.answer(late)
        with trio.move_on_after(1):
            await session.send(Ping(), id="mine")
        chosen = await peer.next()
        await peer.answer(chosen)
        await peer.answer(chosen)
        await peer.answer({"id": 77})
        await peer.answer({"id": "nobody's"})
        await peer.send("{")
        await trio.sleep(1)
    dropped = [(fact.id, fact.cause) for fact in seen.of(facts.AnswerDropped)]
    assert dropped == [
        *((late["id"], "late"), (late["id"], "repeated")),
        *(("mine", "late"), ("mine", "repeated")),
        *((77, "unknown"), ("nobody's", "unknown")),
    ]
    (junk,) = seen.of(facts.MessageDropped)
    assert (junk.number, junk.connection) == (1, 1)
    assert session.counters.dropped_replies == 6


# User data


async def test_g13_subscriptions_losses_and_gaps_are_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen, key=ed25519_key()) as (session, exchange):
        async with session.user_data() as events:
            await trio.sleep(5)
            await exchange.peers[0].cut()
            gap = await anext(events)
            await exchange.peers[1].event(77, e="balanceUpdate", E=START, a="BTC", d="1", T=START)
            await exchange.peers[1].event(78, e="eventStreamTerminated", E=START)
            await trio.sleep(1)
        await trio.sleep(1)
    account = "ed25…"
    assert isinstance(gap, bintrio.Gap)
    (missed,) = seen.of(facts.EventsMissed)
    assert (missed.account, missed.begin, missed.end, missed.cause) == (account, gap.start, gap.end, gap.reason)
    subscribed = [(fact.connection, fact.account, fact.subscription) for fact in seen.of(facts.Subscribed)]
    assert subscribed == [(1, account, 0), (2, account, 0)]
    ends = [(fact.connection, fact.cause) for fact in seen.of(facts.Unsubscribed)]
    assert ends == [(1, gap.reason), (2, None)]
    unclaimed = [(fact.subscription, fact.event) for fact in seen.of(facts.EventUnclaimed)]
    assert unclaimed == [(77, "balanceUpdate"), (78, "eventStreamTerminated")]


async def test_g13_an_outage_of_user_data_is_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen, key=ed25519_key()) as (session, exchange), session.user_data():
        exchange.script["userDataStream.subscribe"] = None
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        peer = exchange.peers[0]
        await peer.refuse(await peer.next(), 503, -1000, "down")
        await trio.sleep(20)
    (interrupted,) = seen.of(facts.EventsInterrupted)
    assert (interrupted.account, interrupted.cause) == ("ed25…", "the exchange ended the subscription")
    assert {fact.error for fact in seen.of(facts.NotSubscribed)} >= {"OutcomeUnknown"}
    assert [fact.cause for fact in seen.of(facts.Unsubscribed)] == ["the exchange ended the subscription"]


async def test_g13_an_attempt_to_subscribe_that_has_no_answer_is_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    pair = open_pair(observer=seen, key=ed25519_key(), request_timeout=5)
    async with pair as (session, exchange), session.user_data():
        exchange.script["userDataStream.subscribe"] = None
        await session.rotate()
        await trio.sleep(5)
    first = seen.of(facts.NotSubscribed)[0]
    assert (first.account, first.error, first.cause) == ("ed25…", "TimeoutError", "no answer came within 5 s")


async def test_g13_a_subscriber_that_is_too_slow_is_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with (
        open_pair(observer=seen, key=ed25519_key()) as (session, exchange),
        session.user_data(buffer=2) as slow,
        session.user_data() as quick,
    ):
        for number in range(3):
            await exchange.peers[0].balance(number)
        assert await deltas(quick, 3) == [0, 1, 2]
        assert slow.waiting == 2
    (overflowed,) = seen.of(facts.SubscriberOverflowed)
    assert (overflowed.account, overflowed.buffer) == ("ed25…", 2)


async def test_g13_a_subscription_that_both_sides_see_otherwise_says_why_its_connection_is_replaced(
    autojump_clock: MockClock,
) -> None:
    seen = Notebook()
    async with open_pair(key=ed25519_key(), observer=seen) as (session, exchange):
        keep, exchange.script["userDataStream.subscribe"] = exchange.script["userDataStream.subscribe"], None
        with trio.move_on_after(1):
            async with session.user_data():
                raise AssertionError
        refusal = {"status": 400, "error": {"code": -2035, "msg": "Subscription already active."}}
        exchange.script["userDataStream.subscribe"] = lambda peer: refusal if peer is exchange.peers[0] else keep(peer)  # type: ignore[misc]  # it is there
        async with session.user_data():
            pass
    (due,) = seen.of(facts.ConnectionDue)
    assert due.cause == "the exchange has a subscription that is not known here"


# Limits and time


@pytest.mark.parametrize("status", [429, 418])
async def test_g13_a_hold_is_told_to_every_session_that_it_concerns(autojump_clock: MockClock, status: int) -> None:
    ledger = LocalLedger()
    mine, theirs = Notebook(), Notebook()
    async with (
        open_pair(ledger=ledger, observer=mine, name="mine") as (session, exchange),
        open_pair(ledger=ledger, observer=theirs, name="theirs"),
        trio.open_nursery() as nursery,
    ):
        await trio.sleep(7)
        in_background(nursery, session.ping)
        peer = exchange.peers[0]
        for seconds in (30, 30, 60):
            retry = {"retryAfter": START + ticks() + seconds * 1000, "serverTime": START + ticks()}
            request = {"id": 5} if seconds == 60 else None
            if not peer.exchange.sent("ping"):
                request = await peer.next()
            await peer.refuse(request or {"id": 6}, status, -1003, "slow down", data=retry)
            await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    told = [(fact.connection, fact.status, fact.scope, round(fact.seconds)) for fact in mine.of(facts.HoldBegan)]
    assert told == [(1, status, "everything", 30), (1, status, "everything", 60)]
    told = [(fact.connection, fact.status, fact.scope, round(fact.seconds)) for fact in theirs.of(facts.HoldBegan)]
    assert told == [(None, status, "everything", 30), (None, status, "everything", 60)]
    assert mine.of(facts.HoldBegan)[0].until == pytest.approx(37, abs=0.01)
    assert mine.of(facts.HoldBegan)[0].reason == "slow down"


async def test_g13_a_time_of_a_hold_that_cannot_be_right_is_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(observer=seen) as (session, exchange), trio.open_nursery() as nursery:
        in_background(nursery, session.ping)
        peer = exchange.peers[0]
        data = {"retryAfter": START * 2}
        await peer.refuse(await peer.next(), 429, -1003, "slow down", data=data)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    (doubted,) = seen.of(facts.HoldDoubted)
    assert (doubted.connection, "three days" in doubted.cause) == (1, True)


async def test_g13_the_clock_and_what_is_wrong_with_it_are_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_exchange() as exchange:
        exchange.delay = 0.5
        async with bintrio.open_session(URL, connect=exchange.connect, observer=seen) as session:
            measured = seen.of(facts.ClockMeasured)
            assert [(fact.connection, fact.round_trip) for fact in measured] == [(1, 0.5)] * 3
            assert measured[-1].offset == pytest.approx(session.clock_offset, abs=60)
            exchange.script["time"] = lambda _peer: {"serverTime": -1}
            session._supervisor.clock_is_doubted.set()
            await trio.sleep(1)
    (doubted,) = seen.of(facts.ClockDoubted)
    assert "-1 cannot be the time" in doubted.cause


async def test_g13_limits_that_cannot_be_learned_are_told(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_exchange() as exchange:
        exchange.script["exchangeInfo"] = lambda _peer: {"status": 400, "error": {"code": -1, "msg": "not today"}}
        async with bintrio.open_session(URL, connect=exchange.connect, observer=seen):
            pass
    assert ["not today" in fact.cause for fact in seen.of(facts.LimitsUnknown)] == [True]


# Observers


class Fails:
    """An observer that raises whatever it was given, each time."""

    def __init__(self, failure: BaseException) -> None:
        self.count = 0
        self._failure = failure

    def __call__(self, _fact: Fact) -> None:
        self.count += 1
        raise self._failure


@pytest.mark.parametrize("failure", [ValueError("x"), RecursionError(), SystemExit(3), KeyboardInterrupt()])
async def test_g11_what_an_observer_raises_is_counted_and_logged_once_and_reaches_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, failure: BaseException
) -> None:
    observer = Fails(failure)
    async with (
        open_pair(observer=observer, key=ed25519_key(), name="bot") as (session, exchange),
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].answer(await exchange.peers[0].next(), ACK)
        await session.rotate()
        await exchange.peers[1].balance(1)
        assert await deltas(events, 1) == [1]
        assert outcome.error is None
    assert session.counters.observer_failures == observer.count > 20
    (record,) = [record for record in caplog.records if record.name == "bintrio.observer"]
    assert record.getMessage() == "bot: the observer failed; further failures are only counted"
    assert vars(record)["session"] == "bot"
    assert record.exc_info


def test_g11_ctrl_c_in_an_observer_comes_out_of_the_main_task(caplog: pytest.LogCaptureFixture) -> None:
    """Not of the observer, so nothing is missing of what it is told."""

    class Interrupts(Notebook):
        def __call__(self, fact: Fact) -> None:
            if isinstance(fact, facts.CallStarted) and fact.method == "ping":
                signal.raise_signal(signal.SIGINT)
            super().__call__(fact)

    seen = Interrupts()

    async def main() -> None:
        async with open_exchange() as exchange:
            with pytest.raises(KeyboardInterrupt):
                async with bintrio.open_session(URL, connect=exchange.connect, observer=seen) as session:
                    await session.ping()

    run_with_ctrl_c(main)
    assert len(seen.calls(facts.CallStarted, "ping")) == 1
    (ended,) = seen.calls(facts.CallEnded, "ping")
    assert ended.error == "KeyboardInterrupt"
    assert isinstance(seen.facts[-1], facts.SessionEnded)
    assert not caplog.records


async def test_what_an_observer_gives_does_not_matter(autojump_clock: MockClock) -> None:
    def give(fact: Fact) -> Fact:
        return fact

    async with open_pair(observer=give) as (session, _):
        assert session.counters.observer_failures == 0


CHOICES: Final[list[set[type[Fact]]]] = [{facts.CallWaited}, {facts.CallEnded}, {facts.CallStarted}, set()]


@pytest.mark.parametrize("kinds", CHOICES)
async def test_an_observer_may_say_what_it_wants_to_be_told(autojump_clock: MockClock, kinds: set[type[Fact]]) -> None:
    class Picky(Notebook):
        fact_kinds = kinds

    seen = Picky()
    async with open_pair(observer=seen) as (session, _):
        session._shared.own.ledger.hold(Refusal(429, -1003, "slow down", 1_000), ticks())
        with trio.move_on_after(5):
            await session.ping()
    assert {type(fact) for fact in seen.facts} == kinds


class WantsNothingThatCanBe(Notebook):
    fact_kinds = 5


class AsyncCall:
    async def __call__(self, _fact: Fact) -> None: ...


async def nothing(_fact: Fact) -> None: ...


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("observer", value) for value in (5, "print", nothing, AsyncCall(), WantsNothingThatCanBe())),
        *(("name", value) for value in ("", "a\nb", 5, "x" * 101)),
        *(("observe_params", value) for value in (1, "yes")),
    ],
)
async def test_what_cannot_be_right_is_said_before_anything_is_opened(
    autojump_clock: MockClock, field: str, value: Any
) -> None:
    async with open_exchange() as exchange:
        with pytest.raises(InvalidRequest) as caught:
            async with bintrio.open_session(URL, connect=exchange.connect, **{field: value}):
                raise AssertionError
        assert caught.value.field == field
        assert not exchange.addresses


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (bintrio.Endpoint((URL,), "testnet"), "testnet"),
        (URL, "exchange.test"),
        ("ws://user:secret@127.0.0.1:9?token=secret", "127.0.0.1:9"),
    ],
)
async def test_g9_a_session_is_called_by_its_endpoint_if_it_has_no_name(
    autojump_clock: MockClock, endpoint: Any, name: str
) -> None:
    seen = Notebook()
    async with (
        open_exchange() as exchange,
        bintrio.open_session(endpoint, connect=exchange.connect, observer=seen) as session,
    ):
        assert session.name == name
    assert {fact.session for fact in seen.facts} == {name}
    assert "secret" not in repr(seen.facts)


async def test_g9_no_fact_holds_a_secret(autojump_clock: MockClock) -> None:
    seen = Notebook()
    async with open_pair(key=HMAC, observer=seen, observe_params=True) as (session, exchange):
        exchange.refuse_with = []
        async with session.user_data():
            with trio.move_on_after(1):
                await session.send(BUY)
            await exchange.peers[0].cut()
            await trio.sleep(5)
    (signature,) = {request["params"]["signature"] for request in exchange.sent("order.place")}
    said = repr(seen.facts) + msgspec.json.encode(seen.facts).decode()
    assert HMAC.api_key not in said
    assert "top-secret" not in said
    assert signature not in said


def test_every_fact_can_be_written_as_json_and_read_again() -> None:
    for kind in KINDS:
        fact = example(kind)
        written = msgspec.json.encode(fact)
        assert msgspec.json.decode(written)["fact"] == kind.__name__
        assert msgspec.json.decode(written, type=kind) == fact


# Logs


def leaves(kind: type[Fact]) -> list[type[Fact]]:
    below = kind.__subclasses__()
    return [leaf for each in below for leaf in leaves(each)] if below else [kind]


KINDS = leaves(Fact)
VALUES: dict[str, Any] = {
    "int": 3,
    "str": "some text",
    "float": 1.5,
    "bool": True,
    "Scope": "everything",
    "Doubt": "late",
    "Awaited": "room",
    "SwapCause": "lost",
    "RequestId": "an id",
    "Timestamp": START,
    "tuple[RateLimit, ...]": (),
    "tuple[str, ...]": ("some text",),
}


def example(kind: type[Fact]) -> Any:
    make: Any = kind
    return make(**{field.name: _value(kind, field.name) for field in msgspec.structs.fields(kind)})


def _value(kind: type[Fact], name: str) -> Any:
    written = next(base.__annotations__[name] for base in kind.__mro__ if name in getattr(base, "__annotations__", {}))
    return VALUES.get(written.removesuffix(" | None"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_fact_but_those_of_calls_is_logged_with_its_fields(
    kind: type[Fact], caplog: pytest.LogCaptureFixture
) -> None:
    assert (kind in LINES) == (not issubclass(kind, (facts.AboutCall, facts.MessageSent, facts.MessageReceived)))
    if kind not in LINES:
        return
    line, fact = LINES[kind], example(kind)
    caplog.set_level(logging.DEBUG)
    line.write(fact)
    (record,) = caplog.records
    assert (record.name, record.levelno) == (f"bintrio.{line.area}", line.level)
    assert record.getMessage().startswith("some text: ")
    assert "\n" not in record.getMessage()
    assert vars(record)["fact"] == kind.__name__
    assert {name: vars(record)[name] for name in fact.__struct_fields__} == msgspec.structs.asdict(fact)


@pytest.mark.parametrize("is_heard", [True, False])
async def test_what_nobody_hears_is_not_even_made_into_a_fact(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, is_heard: bool
) -> None:
    made: list[Fact] = []
    write = Line.write

    def note(line: Line, fact: Fact) -> None:
        made.append(fact)
        write(line, fact)

    monkeypatch.setattr(Line, "write", note)
    caplog.set_level(logging.INFO if is_heard else logging.ERROR, "bintrio")
    async with open_pair():
        pass
    assert bool(made) == bool(caplog.records) == is_heard


@pytest.mark.parametrize("kind", KINDS)
def test_the_fields_of_facts_are_named(kind: Any) -> None:
    """Later versions may add some anywhere."""
    with pytest.raises(TypeError, match="positional"):
        kind("x")


async def test_a_hold_of_another_session_says_so() -> None:
    fact = msgspec.structs.replace(example(facts.HoldBegan), connection=None)
    assert fact.source == "another session"


async def test_a_bug_in_the_reader_is_logged_with_its_session_and_connection(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    seen = Notebook()
    async with open_pair(name="bot", observer=seen) as (session, exchange):
        assert session._supervisor.connection is not None
        monkeypatch.setattr(session._supervisor.connection.carrier, "take", fail)
        await exchange.peers[0].event(e="balanceUpdate", E=START)
        await trio.sleep(1)
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "bot: connection 1: the reader failed"
    assert (vars(record)["session"], vars(record)["connection"]) == ("bot", 1)
    assert [lost.error for lost in seen.of(facts.ConnectionLost)] == ["ZeroDivisionError"]


async def test_a_handshake_that_is_refused_is_told_with_its_status(autojump_clock: MockClock) -> None:
    seen = Notebook()

    class Refuses(Exchange):
        async def connect(self, address: Any) -> trio.abc.Stream:
            await super().connect(address)
            raise HandshakeRejected(503, headers=(), body=b"down")

    async with trio.open_nursery() as nursery:
        exchange = Refuses(nursery)
        with pytest.raises(ConnectionFailed):
            async with bintrio.open_session(URL, connect=exchange.connect, observer=seen):
                raise AssertionError
        nursery.cancel_scope.cancel()
    assert [(fact.error, "503" in fact.cause) for fact in seen.of(facts.ConnectionNotReady)] == [
        ("HandshakeRejected", True)
    ]
