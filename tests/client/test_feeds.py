"""Feeds through the life of a session: what ready means, hand-overs, outages, and worlds in which connections break."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
import trio_websocket
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.feeds import FEED_PATIENCE, OUTAGE
from bintrio._protocol.chance import SYSTEM, Chance, using
from bintrio.errors import (
    InvalidTimestamp,
    NotSent,
    OutcomeUnknown,
    Rejected,
    SubscriptionError,
    Unauthorized,
)
from bintrio.requests import OrderPlace
from tests.peer import ACK, LIMITS, START, URL, Exchange, Json, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import HMAC, Outcome, deltas, in_background, listen

pytestmark = pytest.mark.usefixtures("both_streams")

SUBSCRIBE = "userDataStream.subscribe"
BUY = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=1, quantity=1)


def drain(events: bintrio.Subscriber) -> list[Any]:
    """What waits to be read; balance updates by their numbers."""
    received: list[Any] = []
    while events.waiting:
        event = events._events.receive_nowait()
        received.append(int(event.delta) if isinstance(event, bintrio.BalanceUpdate) else event)
    return received


def kinds(received: list[Any]) -> list[str]:
    return [type(event).__name__ for event in received]


# What ready means


@pytest.mark.parametrize("refusal", [(503, -1000), (500, -1000), None], ids=["503", "500", "slow"])
async def test_g1_calls_go_on_while_the_user_data_service_is_down(
    autojump_clock: MockClock, refusal: tuple[int, int] | None
) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        keep, exchange.script[SUBSCRIBE] = exchange.script[SUBSCRIBE], None
        exchange.script["order.place"] = lambda _peer: ACK
        await trio.sleep(60)
        await exchange.peers[0].cut()
        new = await exchange.peer(1)
        cut_at = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse_all, new, refusal)
            await session.send(BUY)
            assert trio.current_time() - cut_at <= FEED_PATIENCE
            await trio.sleep(100)
            await session.send(BUY)
            assert len(exchange.peers) == 2
            nursery.cancel_scope.cancel()
        exchange.script[SUBSCRIBE] = keep
        await trio.sleep(60)
        latest = exchange.peers[-1]
        await latest.balance(1, latest.subscriptions[-1])
        await wait_all_tasks_blocked()
        interrupted, gap, event = drain(events)
        assert isinstance(interrupted, bintrio.Interrupted)
        assert isinstance(gap, bintrio.Gap)
        assert gap.end - gap.start > 100_000
        assert event == 1


async def refuse_all(peer: Peer, refusal: tuple[int, int] | None) -> None:
    while True:
        request = await peer.requests.receive()
        if refusal is not None:
            await peer.refuse(request, *refusal, "not now")


async def test_g5_feeds_come_before_calls_where_they_come_at_once(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data(), trio.open_nursery() as nursery:
        exchange.script["ping"] = lambda _peer: {}
        await exchange.peers[0].cut()
        nursery.start_soon(session.ping)
        await exchange.peer(1)
        await trio.sleep(1)
        methods = [request["method"] for request in exchange.log]
        assert methods.index("ping") > max(n for n, method in enumerate(methods) if method == SUBSCRIBE)


async def test_g5_a_refusal_does_not_end_a_feed_that_another_connection_carries(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        keep, exchange.script[SUBSCRIBE] = exchange.script[SUBSCRIBE], None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.rotate)
            new = await exchange.peer(1)
            await new.refuse(await new.next(), 400, -2042, "too many")
            exchange.script[SUBSCRIBE] = keep
        await exchange.peers[0].balance(1)
        await trio.sleep(10)
        await new.balance(2)
        await wait_all_tasks_blocked()
        assert drain(events) == [1, 2]


async def test_g5_an_old_connection_that_is_lost_with_a_feed_leaves_a_gap(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        keep, exchange.script[SUBSCRIBE] = exchange.script[SUBSCRIBE], None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.rotate)
            new = await exchange.peer(1)
            await new.refuse(await new.next(), 503, -1000, "down")
        await exchange.peers[0].cut()
        exchange.script[SUBSCRIBE] = keep
        await trio.sleep(2)
        assert kinds(drain(events)) == ["Gap"]


@pytest.mark.parametrize("how", ["anew", "at first"])
async def test_g5_the_clock_is_measured_anew_when_a_subscription_is_refused_for_its_time(
    autojump_clock: MockClock, how: str
) -> None:
    method = "userDataStream.subscribe.signature"
    async with open_pair(key=HMAC, pong_window=1e6) as (session, exchange):
        keep, peer = exchange.script[method], exchange.peers[0]
        async with trio.open_nursery() as nursery:
            if how == "at first":
                exchange.script[method] = None
                nursery.start_soon(refuse_one, peer, 400, -1021)
                with pytest.raises(InvalidTimestamp):
                    async with session.user_data():
                        raise AssertionError
                await wait_all_tasks_blocked()
            else:
                async with session.user_data():
                    exchange.script[method] = None
                    nursery.start_soon(refuse_one, peer, 400, -1021)
                    await peer.event(0, e="eventStreamTerminated", E=START)
                    await trio.sleep(0.26)
                    exchange.script[method] = keep
                    await trio.sleep(0.7)
                    assert len(exchange.sent(method)) == 3
        methods = [request["method"] for request in exchange.log]
        assert "time" in methods[methods.index(method) + 1 :]
        assert trio.current_time() <= 1


async def test_g5_the_clock_is_measured_anew_when_a_new_connection_is_refused_for_its_time(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        keep, exchange.script[SUBSCRIBE] = exchange.script[SUBSCRIBE], None
        await exchange.peers[0].cut()
        new = await exchange.peer(1)
        await refuse_one(new, 400, -1021)
        exchange.script[SUBSCRIBE] = keep
        await trio.sleep(1)
        assert [request["method"] for request in exchange.log[-4:]] == [SUBSCRIBE, "time", SUBSCRIBE, "time"]
        assert kinds(drain(events)) == ["Gap"]


async def refuse_one(peer: Peer, status: int, code: int) -> None:
    await peer.refuse(await peer.next(), status, code, "no")


# Giving up


@pytest.mark.parametrize("order", ["before", "before, without id", "after", "never"])
async def test_g5_the_end_that_a_rotation_asks_for_is_no_loss(autojump_clock: MockClock, order: str) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        old = exchange.peers[0]
        await trio.sleep(5)
        await old.balance(1)
        await session.rotate()
        leave = await old.next()
        number = None if order == "before, without id" else 0
        ended = partial(old.event, number, e="eventStreamTerminated", E=START + 5_100)
        if order in {"before", "before, without id"}:
            await ended()
        await old.answer(leave)
        if order == "after":
            await ended()
        await exchange.peers[1].balance(2)
        await trio.sleep(90)
        assert drain(events) == [1, 2]
        assert session.counters.losses == session.counters.unclaimed_events == 0


ENDINGS = {
    "it had ended": ["no such"],
    "it had ended, said before": ["ended", "no such"],
    "it had ended, said after": ["no such", "ended"],
    "it went wrong": ["wrong"],
    "it went wrong, said before": ["ended", "wrong"],
    "it went wrong, said after": ["wrong", "ended"],
    "no answer": [],
    "no answer, said": ["ended"],
    "no answer, said without id": ["ended, without id"],
    "lost": ["cut"],
    "lost, said": ["ended", "cut"],
}


@pytest.mark.parametrize("unit", [1, 1000], ids=["ms", "us"])
@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
async def test_g5_an_end_that_unsubscribing_may_not_have_brought_about_is_a_loss(
    autojump_clock: MockClock, ending: list[str], unit: int
) -> None:
    """The exchange ends a subscription by itself, just before it is asked to: sooner than the clock can tell."""
    options: Any = {"key": ed25519_key(), "pong_window": 1e6, "time_unit": "us" if unit == 1000 else "ms"}
    async with open_exchange() as exchange:
        exchange.script["time"] = lambda _peer: {"serverTime": now() * unit}
        exchange.script["userDataStream.unsubscribe"] = None
        exchange.delay = 0.4
        async with (
            bintrio.open_session(URL, connect=exchange.connect, **options) as session,
            session.user_data() as events,
        ):
            await trio.sleep(200)
            old = exchange.peers[0]
            await old.event(0, e="balanceUpdate", E=now() * unit, a="BTC", d="1", T=now() * unit)
            await trio.sleep(5)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.rotate)
                leave = await old.next()
                missing = now() - 300
                nursery.start_soon(tell_end, old, leave, ending, (now() - 100) * unit)
            await exchange.peers[1].event(0, e="balanceUpdate", E=now() * unit, a="BTC", d="2", T=now() * unit)
            await trio.sleep(60)
            first, gap, second = drain(events)
            assert (first, second) == (1, 2)
            assert isinstance(gap, bintrio.Gap)
            assert gap.start <= missing * unit <= gap.end
            assert gap.end - gap.start < 10_000 * unit


def now() -> int:
    """The exchange's time, in milliseconds."""
    return START + int(trio.current_time() * 1000)


async def tell_end(peer: Peer, leave: Json, ending: list[str], ended_at: int) -> None:
    for step in ending:
        if "ended" in step:
            await peer.event(None if "without id" in step else 0, e="eventStreamTerminated", E=ended_at)
        elif step == "cut":
            await peer.cut()
        else:
            refusal = (400, -2036) if step == "no such" else (500, -1000)
            await peer.refuse(leave, *refusal, "User Data Stream subscription not active.")


@pytest.mark.parametrize("order", ["before", "after"])
async def test_the_end_of_a_feed_that_nobody_hears_is_no_loss_for_whoever_comes_next(
    autojump_clock: MockClock, order: str
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        exchange.script["userDataStream.unsubscribe"] = None
        peer = exchange.peers[0]
        async with session.user_data():
            pass
        leave = await peer.next()
        if order == "after":
            await peer.answer(leave)
        await peer.event(0, e="eventStreamTerminated", E=START + 1)
        if order == "before":
            await peer.answer(leave)
        async with session.user_data() as events:
            await peer.balance(1, 1)
            await wait_all_tasks_blocked()
            assert drain(events) == [1]
        assert session.counters.unclaimed_events == 0


async def test_g8_a_subscription_that_the_limits_leave_no_room_for_is_not_sent(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), request_timeout=3) as (session, exchange), trio.open_nursery() as nursery:
        nursery.start_soon(refuse_ping, session)
        held = {"retryAfter": START + 20_000}
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 429, -1003, "slow down", data=held)
        await wait_all_tasks_blocked()
        with pytest.raises(bintrio.NotSent):
            async with session.user_data():
                raise AssertionError
        assert not exchange.sent(SUBSCRIBE)


async def refuse_ping(session: bintrio.Session) -> None:
    with suppress(bintrio.RateLimited):
        await session.ping()


@pytest.mark.parametrize("dated", [-3_000, 0, 3_600_000])
@pytest.mark.parametrize("is_confirmed", [True, False], ids=["by us", "by itself"])
async def test_g5_why_a_subscription_is_over_is_told_by_the_answer_and_not_by_dates(
    autojump_clock: MockClock, is_confirmed: bool, dated: int
) -> None:
    """Dates prove nothing: the exchange's clock may have been set since it was measured."""
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await trio.sleep(5)
        await session.rotate()
        old = exchange.peers[0]
        leave = await old.next()
        await old.event(0, e="eventStreamTerminated", E=START + 5_000 + dated)
        await wait_all_tasks_blocked()
        assert not events.waiting
        if is_confirmed:
            await old.answer(leave)
        else:
            await old.refuse(leave, 400, -2036, "User Data Stream subscription not active.")
        await trio.sleep(1)
        gaps = drain(events)
        assert [gap.reason for gap in gaps] == [] if is_confirmed else ["the exchange ended the subscription"]
        assert all(gap.start <= START + 5_000 + min(dated, 0) <= START + 5_000 <= gap.end for gap in gaps)


async def test_g5_a_feed_is_given_up_at_once_although_calls_are_unanswered(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data(), trio.open_nursery() as nursery:
        nursery.start_soon(session.send, BUY)
        request = await exchange.peers[0].next()
        await session.rotate()
        await wait_all_tasks_blocked()
        assert exchange.sent("userDataStream.unsubscribe")
        assert not exchange.peers[0].is_over.is_set()
        await exchange.peers[0].answer(request, ACK)


async def test_g5_a_feed_that_is_not_said_to_be_over_is_lost_in_time_and_a_held_one_is_not(
    autojump_clock: MockClock,
) -> None:
    options = {"key": ed25519_key(), "pong_window": 1e6, "drain_timeout": 4}
    async with open_pair(**options) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await session.rotate()
        old = exchange.peers[0]
        held = {"retryAfter": START + 20_000}
        await old.refuse(await old.next(), 429, -1003, "slow down", data=held)
        await old.balance(1)
        await exchange.peers[1].balance(1)
        await exchange.peers[1].balance(2)
        await trio.sleep(19)
        assert drain(events) == [1]
        await trio.sleep(3)
        await old.next()
        await trio.sleep(4)
        assert kinds(drain(events)) == ["Gap", "int"]
        await old.is_over.wait()


@pytest.mark.parametrize("is_unknown", [True, False], ids=["unknown", "refused"])
async def test_a_subscription_that_may_go_on_is_left_behind_with_its_connection(
    autojump_clock: MockClock, is_unknown: bool
) -> None:
    """Unsubscribing went wrong, so the exchange may bring the feed still: then only a fresh connection can carry it."""
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange):
        exchange.script["userDataStream.unsubscribe"] = None
        peer = exchange.peers[0]
        async with session.user_data():
            pass
        await peer.refuse(await peer.next(), *((504, -1007) if is_unknown else (400, -1000)), "it went wrong")
        await wait_all_tasks_blocked()
        subscribe: Any = exchange.script[SUBSCRIBE]
        exchange.script[SUBSCRIBE] = None

        async def serve() -> None:
            await refuse_one(peer, 400, -2035)
            exchange.script[SUBSCRIBE] = subscribe

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            async with session.user_data() as events:
                await exchange.peers[1].balance(1)
                await wait_all_tasks_blocked()
                assert drain(events) == [1]


# Outages


@pytest.mark.parametrize("is_slow", [False, True])
async def test_g5_an_outage_is_told_once_while_it_lasts_and_its_gap_when_it_is_over(
    autojump_clock: MockClock, is_slow: bool
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await trio.sleep(10)
        if is_slow:
            exchange.delay = 1e6
        else:
            exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        if is_slow:
            await trio.sleep(OUTAGE - 0.1)
            assert not events.waiting
        await trio.sleep(0.2)
        (interrupted,) = drain(events)
        assert isinstance(interrupted, bintrio.Interrupted)
        assert "the server ended the stream" in interrupted.reason
        await trio.sleep(300)
        assert not events.waiting
        exchange.refuse_with.clear()
        exchange.delay = 0
        await trio.sleep(50)
        (gap,) = drain(events)
        assert isinstance(gap, bintrio.Gap)
        assert gap.start == interrupted.at <= START + 10_000 < START + 300_000 < gap.end


SET = [0, -500, -5_000, -70_000, -3_600_000, 500, 5_000, 70_000, 3_600_000]


@pytest.mark.parametrize("by", SET)
async def test_g5_a_gap_covers_what_is_missing_by_a_clock_that_was_set(autojump_clock: MockClock, by: int) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await trio.sleep(20)
        await exchange.peers[0].event(0, e="balanceUpdate", E=START + 20_000, a="BTC", d="1", T=START + 20_000)
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].cut()
        exchange.script["time"] = lambda _peer: {"serverTime": now() + by}
        await trio.sleep(1)
        exchange.refuse_with.clear()
        await trio.sleep(20)
        _event, _interrupted, gap = drain(events)
        assert isinstance(gap, bintrio.Gap)
        assert gap.start <= START + 20_000 + min(by, 0)
        assert gap.end >= START + 21_000 + max(by, 0)
        assert gap.end - gap.start < 25_000 + abs(by)


@pytest.mark.parametrize("status", [429, 418])
@pytest.mark.parametrize("by", SET)
async def test_g5_gaps_cover_what_is_missing_by_a_clock_that_was_set_during_a_hold(
    autojump_clock: MockClock, by: int, status: int
) -> None:
    """The subscription ends and is made again on the same connection, so nothing else asks for the time."""
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        await trio.sleep(20)
        await exchange.peers[0].balance(1)
        await exchange.peers[0].refuse({"id": 1}, status, -1003, "m", data={"retryAfter": now() + 60_000})
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=now())
        await trio.sleep(30)
        set_at = now()
        exchange.script["time"] = lambda _peer: {"serverTime": now() + by}
        await trio.sleep(60)
        assert len(exchange.sent(SUBSCRIBE)) == 2
        gaps = [event for event in drain(events) if isinstance(event, bintrio.Gap)]
        assert len(gaps) == (1 if by == 0 else 2)
        for missing in (START + 21_000, set_at - 1, set_at + by, START + 80_000 + by):
            assert any(gap.start <= missing <= gap.end for gap in gaps)
        assert all(gap.end - gap.start < 90_000 + abs(by) for gap in gaps)


async def test_g5_the_clock_is_asked_for_after_a_loss_until_it_answers(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        exchange.script["time"] = None
        peer = exchange.peers[0]
        await trio.sleep(20)
        await peer.event(0, e="eventStreamTerminated", E=now())
        await peer.refuse(await peer.next(), 503, -1000, "down")
        await peer.answer(await peer.next(), {"serverTime": now() + 70_000})
        await wait_all_tasks_blocked()
        _end, told, wider = drain(events)
        assert isinstance(told, bintrio.Gap)
        assert isinstance(wider, bintrio.Gap)
        assert told.end < START + 21_000 < START + 90_000 <= wider.end
        await trio.sleep(100)
        assert not peer.requests.statistics().current_buffer_used


@pytest.mark.parametrize("where", ["asking", "pausing", "without a connection"])
async def test_g5_measuring_the_clock_after_a_loss_can_be_cancelled_and_begun_anew(
    autojump_clock: MockClock, where: str
) -> None:
    async with (
        open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange),
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        exchange.script["time"] = None
        feeds, peer = session._supervisor.feeds, exchange.peers[0]
        (feed,) = feeds.by_key.values()
        await trio.sleep(20)
        feed.is_judged = True  # by the task that is cancelled here
        await peer.event(0, e="eventStreamTerminated", E=now())
        await trio.sleep(2)
        assert feed.doubts
        if where == "without a connection":
            exchange.refuse_with.append(OSError("no route"))
            await peer.cut()
        nursery.start_soon(feeds._judge, feed)
        if where == "pausing":
            await peer.refuse(await peer.next(), 503, -1000, "down")
        for _ in range(20):  # until it has come there; no time passes
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            exchange.refuse_with.clear()
            exchange.script["time"] = lambda _peer: {"serverTime": now() + 70_000}
            feeds.see_to_all()
            await trio.sleep(60)
            assert any(isinstance(event, bintrio.Gap) and event.end > START + 90_000 for event in drain(events))


@pytest.mark.parametrize("is_idle", [False, True], ids=["busy", "idle"])
@pytest.mark.parametrize("by", SET)
async def test_g5_a_gap_covers_what_is_missing_by_a_clock_that_was_set_while_two_connections_carry(
    autojump_clock: MockClock, by: int, is_idle: bool
) -> None:
    """The first owes an event from before the second had subscribed, and is lost after the clock was set."""
    options: Any = {"key": ed25519_key(), "pong_window": 1e6}
    async with open_pair(**options) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await trio.sleep(200)
        if not is_idle:
            await exchange.peers[0].event(0, e="balanceUpdate", E=now(), a="BTC", d="1", T=now())
        await trio.sleep(2)
        missing = now()
        await trio.sleep(2)
        exchange.script["time"] = lambda _peer: {"serverTime": now() + by}
        await session.rotate()
        set_at = now()
        await exchange.peers[0].next()
        await exchange.peers[1].event(0, e="balanceUpdate", E=now() + by, a="BTC", d="2", T=now() + by)
        await trio.sleep(1)
        await exchange.peers[0].cut()
        await trio.sleep(1)
        *_, gap, second = drain(events)
        assert second == 2
        assert isinstance(gap, bintrio.Gap)
        assert gap.start <= min(missing, missing + by)
        assert max(set_at, set_at + by) <= gap.end
        assert gap.end - gap.start < (210_000 if is_idle else 70_000) + abs(by)


@pytest.mark.parametrize("by", SET)
async def test_g5_what_two_connections_bring_is_told_once_though_the_clock_is_set_meanwhile(
    autojump_clock: MockClock, by: int
) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await session.rotate()
        old, new = exchange.peers
        leave = await old.next()
        first, second = ({"e": "balanceUpdate", "E": START, "a": "BTC", "d": d, "T": START} for d in "12")
        await old.event(0, **first)
        await old.event(0, **second)
        exchange.script["time"] = lambda _peer: {"serverTime": now() + by}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse_one, new, 400, -1021)
            with pytest.raises(InvalidTimestamp):
                await session.ping()
        await wait_all_tasks_blocked()
        assert abs(session.now() - now() - by) < 10
        await new.event(0, **first)
        await old.answer(leave)
        await new.event(0, **second)
        await new.event(0, e="balanceUpdate", E=now() + by, a="BTC", d="3", T=now() + by)
        await wait_all_tasks_blocked()
        assert drain(events) == [1, 2, 3]


@pytest.mark.parametrize("how", ["quiet", "moving", "cancelled", "moving, cancelled", "moving, cancelled slowly"])
async def test_g5_the_end_of_the_session_leaves_no_gap(autojump_clock: MockClock, how: str) -> None:
    received: list[Any] = []

    async def listen(session: bintrio.Session) -> None:
        async with session.user_data() as events:
            received.extend([type(event) async for event in events])

    async with open_exchange() as exchange, trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with bintrio.open_session(URL, connect=exchange.connect, key=ed25519_key()) as session:
                exchange.script["userDataStream.unsubscribe"] = None
                nursery.start_soon(listen, session)
                await wait_all_tasks_blocked()
                await exchange.peers[0].balance(1)
                if "moving" in how:
                    await session.rotate()
                await wait_all_tasks_blocked()
                if "cancelled" in how:
                    scope.cancel()
                    with trio.CancelScope(shield="slowly" in how):
                        await trio.sleep(30)
    assert received == [bintrio.BalanceUpdate]


async def test_g1_a_subscription_that_was_received_is_not_told_not_to_have_been_sent(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), request_timeout=5) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script[SUBSCRIBE] = None

        async def lose() -> None:
            await exchange.peers[0].next()
            exchange.refuse_with.append(OSError("no route"))
            await exchange.peers[0].cut()

        nursery.start_soon(lose)
        with pytest.raises(OutcomeUnknown):
            async with session.user_data():
                raise AssertionError
        assert trio.current_time() == 5


# What can be understood of a misshapen sign

ENDS = {
    "without E": {"subscriptionId": 0, "event": {"e": "eventStreamTerminated"}},
    "odd E": {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": "now"}},
    "new fields": {"subscriptionId": 0, "event": {"e": "eventStreamTerminated", "E": START, "why": [1]}},
    "id as text": {"subscriptionId": "0", "event": {"e": "eventStreamTerminated", "E": START}},
    "without id": {"event": {"e": "eventStreamTerminated", "E": START}},
    "odd id": {"subscriptionId": [0], "event": {"e": "eventStreamTerminated", "E": START}},
    "a bool for id": {"subscriptionId": True, "event": {"e": "eventStreamTerminated", "E": START}},
    "bare": {"e": "eventStreamTerminated", "E": START},
}


@pytest.mark.parametrize("message", ENDS.values(), ids=ENDS)
async def test_g10_a_misshapen_end_of_a_subscription_is_heeded(autojump_clock: MockClock, message: Json) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        await trio.sleep(60)
        peer = exchange.peers[0]
        await peer.send(json.dumps(message))
        await trio.sleep(1)
        await peer.balance(1, peer.subscriptions[-1])
        await wait_all_tasks_blocked()
        assert len(peer.subscriptions) == 2
        received = drain(events)
        assert received[0] is not None
        assert kinds(received[1:]) == ["Gap", "int"]


async def test_g10_an_end_that_does_not_say_of_what_moves_what_goes_on_to_a_fresh_connection(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange),
        session.user_data() as one,
        session.user_data(HMAC) as other,
    ):
        await trio.sleep(60)
        keep, exchange.script[SUBSCRIBE] = exchange.script[SUBSCRIBE], None
        await exchange.peers[0].event(None, e="eventStreamTerminated", E=START)
        still = await exchange.peers[0].next()
        exchange.script[SUBSCRIBE] = keep
        await exchange.peers[0].refuse(still, 400, -2035, "User Data Stream subscription already active.")
        await trio.sleep(5)
        assert len(exchange.peers) == 2
        for number, _ in enumerate(exchange.peers[1].subscriptions):
            await exchange.peers[1].balance(number, number)
        await wait_all_tasks_blocked()
        assert kinds(drain(one))[-1] == kinds(drain(other))[-1] == "int"


@pytest.mark.parametrize(
    "message",
    [
        {"event": {"e": "serverShutdown"}},
        {"event": {"e": "serverShutdown", "E": None, "x": 1}},
        {"subscriptionId": "?", "event": {"e": "serverShutdown", "E": START}},
        {"e": "serverShutdown", "E": START},
    ],
    ids=["without E", "odd E", "odd id", "bare"],
)
async def test_g10_a_misshapen_shutdown_is_heeded(autojump_clock: MockClock, message: Json) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].send(json.dumps(message))
        await trio.sleep(1)
        assert len(exchange.peers) == 2
        assert session.counters.losses == 0


# Worlds


class World:
    """An exchange that happens: events with lag, connections that break or go silent, ends, hand-overs, holds, and a
    clock that is set. Nobody can know of a step that another one follows before the time was asked for.
    """

    def __init__(self, exchange: Exchange, chance: random.Random) -> None:
        self.exchange, self.chance = exchange, chance
        self.lag = chance.choice([0.0, 0.05, 0.4, 3.0])
        self.happened: list[int] = []
        self.subscribed: dict[int, list[int]] = {}
        self.queues: dict[int, trio.MemorySendChannel[tuple[float, int, Json]]] = {}
        self.set_by = 0
        self.is_step_known = False
        for method in (SUBSCRIBE, "userDataStream.unsubscribe", "time"):
            exchange.script[method] = None
        exchange.answer_own = partial(self.answer, exchange.answer_own)  # type: ignore[method-assign]

    def now(self) -> int:
        return now() + self.set_by

    async def answer(self, own: Any, peer: Peer, request: Json) -> bool:
        number = self.exchange.peers.index(peer)
        answer: Json = {"status": 200, "result": {}}
        if request["method"] == SUBSCRIBE:
            peer.subscriptions.append(len(peer.subscriptions))
            self.subscribed[number] = [peer.subscriptions[-1]]
            answer["result"] = {"subscriptionId": peer.subscriptions[-1]}
        elif request["method"] == "userDataStream.unsubscribe":
            if number not in self.subscribed:
                answer = {"status": 400, "error": {"code": -2036, "msg": "User Data Stream subscription not active."}}
            self.end(number, is_told=self.chance.random() < 0.5)
        elif request["method"] == "time":
            answer["result"] = {"serverTime": self.now()}
        else:
            return bool(await own(peer, request))
        self.later(number, {"id": request["id"], **answer})
        return True

    def end(self, number: int, *, is_told: bool = True) -> None:
        for each in self.subscribed.pop(number, []):
            if is_told:
                self.later(number, {"subscriptionId": each, "event": {"e": "eventStreamTerminated", "E": self.now()}})

    def later(self, number: int, message: Json) -> None:
        """Within the lag, after all that came before."""
        if number not in self.queues:
            self.queues[number], queue = trio.open_memory_channel[tuple[float, int, Json]](10_000)
            self.exchange._nursery.start_soon(self.tell, number, queue)
        at = trio.current_time() + self.chance.uniform(0, self.lag)
        self.queues[number].send_nowait((at, self.set_by, message))

    async def tell(self, number: int, queue: trio.MemoryReceiveChannel[tuple[float, int, Json]]) -> None:
        with suppress(trio_websocket.ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
            async for at, set_by, message in queue:
                await trio.sleep_until(at)
                await self.exchange.peers[number].send(json.dumps(message))
                await wait_all_tasks_blocked()
                self.is_step_known |= set_by == self.set_by and "serverTime" in message.get("result", {})

    def happen(self) -> None:
        number = len(self.happened)
        self.happened.append(self.now())
        event = {"e": "balanceUpdate", "E": self.now(), "a": "BTC", "d": str(number), "T": self.now()}
        for each, subscriptions in self.subscribed.items():
            for subscription in subscriptions:
                self.later(each, {"subscriptionId": subscription, "event": event})

    async def go_on(self, session: bintrio.Session, nursery: trio.Nursery, *, is_calm: bool) -> None:
        pace = self.chance.choice([0.02, 0.5, 4.0])
        for _ in range(150):
            await trio.sleep(self.chance.uniform(0, 2 * pace))
            number = len(self.exchange.peers) - 1
            match self.chance.randrange(40):
                case 0 if not is_calm:
                    await self.cut(number)
                case 1 if number > 0 and not is_calm:
                    await self.cut(number - 1)
                case 2 if not is_calm:
                    self.end(number)
                case 3 | 4:
                    nursery.start_soon(rotate, session)
                case 5 if not is_calm:
                    self.hold(number)
                case 6:
                    self.set_clock()
                case _:
                    self.happen()

    async def cut(self, number: int) -> None:
        """At any byte of a frame."""
        self.subscribed.pop(number, None)
        frame = b"\x81\x7d" + b" " * 125
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await self.exchange.peers[number].stream.send_all(frame[: self.chance.randrange(len(frame))])
        await self.exchange.peers[number].cut()

    def hold(self, number: int) -> None:
        times = {"serverTime": self.now(), "retryAfter": self.now() + self.chance.randrange(40_000)}
        error = {"code": -1003, "msg": "Too many requests.", "data": times}
        self.later(number, {"id": "unknown", "status": self.chance.choice([418, 429]), "error": error})

    def set_clock(self) -> None:
        if self.is_step_known:
            self.is_step_known = False
            self.set_by += self.chance.choice([-1, 1]) * self.chance.choice([10, 300, 5_000, 70_000, 3_600_000])


async def rotate(session: bintrio.Session) -> None:
    with suppress(bintrio.NotSent):
        await session.rotate()


@pytest.mark.parametrize("seed", range(15))
async def test_g5_in_any_world_each_event_comes_once_in_order_or_lies_in_a_gap(
    autojump_clock: MockClock, seed: int
) -> None:
    chance = random.Random(seed)
    is_calm = seed % 5 == 0
    with using(Chance(chance.random, SYSTEM.octets)):
        async with open_exchange() as exchange:
            world = World(exchange, chance)
            async with (
                bintrio.open_session(URL, connect=exchange.connect, key=ed25519_key(), pong_window=1e6) as session,
                session.user_data() as events,
                trio.open_nursery() as nursery,
            ):
                began_with = len(world.happened)
                await world.go_on(session, nursery, is_calm=is_calm)
                await trio.sleep(120)
                received = drain(events)
                nursery.cancel_scope.cancel()
        numbers = [event for event in received if isinstance(event, int)]
        gaps = [event for event in received if isinstance(event, bintrio.Gap)]
        happened = enumerate(world.happened)
        missing = {number for number, at in happened if any(gap.start <= at <= gap.end for gap in gaps)}
        certain = [number for number in numbers if number not in missing]
        assert certain == sorted(set(range(began_with, len(world.happened))) - missing)
        assert len(set(numbers)) == len(numbers)
        if is_calm:
            assert not gaps
        if not world.set_by:
            assert len({gap.end for gap in gaps}) == len(gaps), "nothing is told twice"


async def test_three_losses_in_a_row_leave_a_gap_each(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        for number in range(3):
            peer = await exchange.peer(number)
            await trio.sleep(1)
            await peer.cut()
        last = await exchange.peer(3)
        await trio.sleep(1)
        await last.balance(1)
        told: list[Any] = []
        while not told or not isinstance(told[-1], bintrio.BalanceUpdate):
            told.append(await anext(events))
        gaps = [event for event in told if isinstance(event, bintrio.Gap)]
        assert len(gaps) == 3
        for number, gap in enumerate(gaps):
            assert gap.start < START + 1_000 * (number + 1) <= gap.end


async def test_subscriptions_that_end_at_once_are_made_again_with_patience(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data():

        async def terminating(peer: Peer, request: dict[str, Any], own: Any = exchange.answer_own) -> bool:
            is_answered = await own(peer, request)
            if request["method"] == "userDataStream.subscribe":
                await peer.event(peer.subscriptions[-1], e="eventStreamTerminated", E=START)
            return bool(is_answered)

        exchange.answer_own = terminating  # type: ignore[method-assign]  # the script is replaced whole
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await trio.sleep(300)
        assert 5 < len(exchange.sent("userDataStream.subscribe")) < 25


async def test_a_subscription_that_lasted_is_made_again_at_once(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        await trio.sleep(31)
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await wait_all_tasks_blocked()
        assert trio.current_time() == 31
        assert len(exchange.sent("userDataStream.subscribe")) == 2
        assert events.waiting == 2


async def test_a_subscription_goes_to_the_next_connection_when_its_own_is_lost(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        keep, exchange.script["userDataStream.subscribe"] = exchange.script["userDataStream.subscribe"], None
        received: list[Any] = []
        nursery.start_soon(listen, session, received)
        await exchange.peers[0].next()
        exchange.script["userDataStream.subscribe"] = keep
        await exchange.peers[0].cut()
        await trio.sleep(1)
        await exchange.peers[1].balance(1)
        await trio.sleep(1)
        assert [type(event) for event in received][-1] is bintrio.BalanceUpdate
        nursery.cancel_scope.cancel()


async def test_events_reach_their_subscriber(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        assert exchange.sent("userDataStream.subscribe")
        await exchange.peers[0].balance(1)
        await exchange.peers[0].balance(2)
        assert await deltas(events, 2) == [1, 2]


async def test_an_event_in_the_same_read_as_the_subscription_is_not_lost(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.subscribe.signature"] = None
        received: list[Any] = []

        async def listen() -> None:
            async with session.user_data() as events:
                received.extend(await deltas(events, 1))

        nursery.start_soon(listen)
        request = await exchange.peers[0].next()
        await exchange.peers[0].answer(request, {"subscriptionId": 3})
        await exchange.peers[0].balance(1, 3)
    assert received == [1]


async def test_several_accounts_on_one_connection(autojump_clock: MockClock) -> None:
    other = bintrio.HmacKey("other", "secret")
    async with (
        open_pair(key=HMAC) as (session, exchange),
        session.user_data() as first,
        session.user_data(other) as second,
        session.user_data(other) as third,
    ):
        assert len(exchange.sent("userDataStream.subscribe.signature")) == 2
        await exchange.peers[0].balance(1, 0)
        await exchange.peers[0].balance(2, 1)
        assert await deltas(first, 1) == [1]
        assert await deltas(second, 1) == [2]
        assert await deltas(third, 1) == [2]


async def test_a_subscription_that_is_refused_raises(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["userDataStream.subscribe.signature"] = None
        outcome = Outcome()

        async def subscribe() -> None:
            async with session.user_data():
                raise AssertionError

        nursery.start_soon(outcome.watch, subscribe)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 400, -2042, "too many")
    assert isinstance(outcome.error, SubscriptionError)


@pytest.mark.parametrize("is_cut", [False, True], ids=["unanswered", "without a connection"])
async def test_a_subscription_ends_within_its_deadline(autojump_clock: MockClock, is_cut: bool) -> None:
    async with open_pair(key=HMAC, request_timeout=3) as (session, exchange):
        exchange.script["userDataStream.subscribe.signature"] = None
        if is_cut:
            exchange.refuse_with.append(OSError("no route"))
            await exchange.peers[0].cut()
            await wait_all_tasks_blocked()
        with pytest.raises(NotSent if is_cut else OutcomeUnknown):
            async with session.user_data():
                raise AssertionError
        assert trio.current_time() == 3


async def test_leaving_a_subscription_unsubscribes_unless_someone_else_listens(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        async with session.user_data():
            async with session.user_data():
                pass
            await wait_all_tasks_blocked()
            assert not exchange.sent("userDataStream.unsubscribe")
        await wait_all_tasks_blocked()
        assert exchange.sent("userDataStream.unsubscribe")[0]["params"] == {"subscriptionId": 0}
        async with session.user_data() as events:
            await exchange.peers[0].balance(1, 1)
            assert await deltas(events, 1) == [1]


async def test_leaving_and_coming_back_at_once_loses_nothing(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        async with session.user_data():
            pass
        async with session.user_data() as events:
            await wait_all_tasks_blocked()
            peer = exchange.peers[0]
            await peer.balance(1, peer.subscriptions[-1])
            assert await deltas(events, 1) == [1]


async def test_a_gap_is_told_after_a_loss(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await trio.sleep(10)
        await exchange.peers[0].balance(1)
        await trio.sleep(5)
        await exchange.peers[0].cut()
        await trio.sleep(5)
        await exchange.peers[1].balance(2)
        first, gap, second = await deltas(events, 3)
        assert (first, second) == (1, 2)
        assert isinstance(gap, bintrio.Gap)
        assert START - 10 <= gap.start <= START
        assert START + 15_000 <= gap.end <= START + 20_000
        assert "the server ended the stream" in gap.reason
        assert session.counters.losses == 1


async def test_a_subscription_that_the_exchange_ends_is_restored(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await trio.sleep(1)
        await exchange.peers[0].balance(1, 1)
        ended, gap, update = await deltas(events, 3)
        assert isinstance(ended, bintrio.EventStreamTerminated)
        assert isinstance(gap, bintrio.Gap)
        assert update == 1


async def test_a_subscription_that_cannot_be_restored_ends_with_the_reason(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.subscribe.signature"] = None
        await exchange.peers[0].event(0, e="eventStreamTerminated", E=START)
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 401, -2015, "Invalid API-key")
        assert isinstance(await anext(events), bintrio.EventStreamTerminated)
        with pytest.raises(Unauthorized):
            await anext(events)


async def test_events_of_no_subscription_are_counted(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        await exchange.peers[0].balance(1)
        await exchange.peers[0].event(None, e="balanceUpdate", E=1, a="BTC", d="1", T=1)
        await exchange.peers[0].event(7, e="eventStreamTerminated", E=1)
        await exchange.peers[0].event(None, e="eventStreamTerminated", E=1)
        await wait_all_tasks_blocked()
        assert session.counters.unclaimed_events == 4


async def test_g10_unknown_events_are_carried(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await exchange.peers[0].event(0, e="somethingNew", E=1, z=[1])
        await exchange.peers[0].event(0, e="balanceUpdate", E=1)
        first, second = await anext(events), await anext(events)
        assert isinstance(first, bintrio.UnknownEvent)
        assert first.event_type == "somethingNew"
        assert b'"z": [1]' in first.raw
        assert isinstance(second, bintrio.UnknownEvent)


async def test_g10_unknown_fields_break_nothing(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.depth(symbol="BTCUSDT"))
            request = await exchange.peers[0].next()
            result = {"lastUpdateId": 1, "bids": [["1", "2", "new"]], "asks": [], "new": {"deep": [1]}}
            await exchange.peers[0].answer(request, result, new=1, rateLimits=[{**LIMITS[0], "count": 1, "new": None}])
        assert outcome.value.last_update_id == 1
        await exchange.peers[0].event(0, e="balanceUpdate", E=1, a="BTC", d="1", T=1, new="field")
        assert isinstance(await anext(events), bintrio.BalanceUpdate)


async def test_session_end_ends_subscriptions(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange, trio.open_nursery() as nursery:
        ended = trio.Event()

        async def listen(session: bintrio.Session) -> None:
            async with session.user_data() as events:
                async for _ in events:
                    raise AssertionError
            ended.set()

        async with bintrio.open_session(URL, connect=exchange.connect, key=HMAC) as session:
            nursery.start_soon(listen, session)
            await wait_all_tasks_blocked()
        await ended.wait()


@pytest.mark.parametrize("stays", [True, False])
async def test_restoring_goes_on_while_somebody_listens(autojump_clock: MockClock, stays: bool) -> None:
    method = "userDataStream.subscribe.signature"
    async with open_pair(key=HMAC) as (session, exchange):
        keep, peer = exchange.script[method], exchange.peers[0]
        async with session.user_data() as events:
            exchange.script[method] = None
            await peer.event(0, e="eventStreamTerminated", E=START)
            await peer.refuse(await peer.next(), 500, -1000, "no idea")
            exchange.script[method] = keep
            if stays:
                await trio.sleep(5)
                await peer.balance(1, peer.subscriptions[-1])
                assert (await deltas(events, 3))[-1] == 1
        await trio.sleep(5)
        assert len(exchange.sent(method)) == (3 if stays else 2)


async def test_a_feed_that_ended_does_not_take_its_successor_along(autojump_clock: MockClock) -> None:
    method = "userDataStream.subscribe.signature"
    async with open_pair(key=ed25519_key()) as (session, exchange):
        keep, peer = exchange.script[method], exchange.peers[0]
        with pytest.raises(Rejected):  # noqa: PT012  # the whole subscription is what ends
            async with session.user_data(HMAC) as ended:
                exchange.script[method] = None
                await peer.event(0, e="eventStreamTerminated", E=START)
                await peer.refuse(await peer.next(), 400, -1000, "hiccup")
                async for _ in ended:
                    pass
        exchange.script[method] = keep
        async with session.user_data(HMAC) as events:
            await session.rotate()
            await trio.sleep(1)
            await exchange.peers[1].balance(1)
            assert await deltas(events, 1) == [1]
