"""Feeds through the life of a session: what ready means, and giving up."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.carrier import OVERLAP
from bintrio._client.feeds import FEED_PATIENCE
from bintrio.errors import InvalidTimestamp
from bintrio.requests import OrderPlace
from tests.events import SUBSCRIBE, drain, kinds, now, refuse_one
from tests.peer import ACK, START, URL, Json, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import HMAC, deltas

pytestmark = pytest.mark.usefixtures("both_streams")
BUY = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=1, quantity=1)


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


@pytest.mark.parametrize("code", [-2042, -1022])
async def test_g5_a_refusal_does_not_end_a_feed_that_another_connection_carries(
    autojump_clock: MockClock, code: int
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        keep, exchange.script[SUBSCRIBE] = exchange.script[SUBSCRIBE], None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.rotate)
            new = await exchange.peer(1)
            await new.refuse(await new.next(), 400, code, "no")
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


async def test_g5_a_feed_goes_on_where_it_was_if_the_connection_that_takes_it_over_is_lost_at_once(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data() as events:
        await trio.sleep(5)
        await session.rotate()
        await wait_all_tasks_blocked()
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[1].cut()
        await trio.sleep(1)
        assert not exchange.sent("userDataStream.unsubscribe")
        await exchange.peers[0].balance(1)
        assert await deltas(events, 1) == [1]


async def refuse_ping(session: bintrio.Session) -> None:
    with suppress(bintrio.RateLimited):
        await session.ping()


@pytest.mark.parametrize("dated", [-3_000, 0, 3_600_000])
@pytest.mark.parametrize("is_confirmed", [True, False], ids=["by us", "by itself"])
async def test_g5_why_a_subscription_is_over_is_told_by_the_answer_and_not_by_dates(
    autojump_clock: MockClock, is_confirmed: bool, dated: int
) -> None:
    """Dates prove nothing: the exchange's clock may have been adjusted since it was measured."""
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
        await trio.sleep(2 * OVERLAP / 1000)
        await wait_all_tasks_blocked()
        assert exchange.sent("userDataStream.unsubscribe")
        assert not exchange.peers[0].is_over.is_set()
        await exchange.peers[0].answer(request, ACK)


async def test_g5_a_feed_that_has_changed_its_connection_often_is_made_again_at_once_after_a_loss(
    autojump_clock: MockClock,
) -> None:
    """What was given up in an orderly way is no failure, so no pause grows by it."""
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data():
        for _ in range(8):
            await session.rotate()
            await trio.sleep(1)
        await exchange.peers[8].event(0, e="eventStreamTerminated", E=now())
        await trio.sleep(1)
        assert len(exchange.sent(SUBSCRIBE)) == 10


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
