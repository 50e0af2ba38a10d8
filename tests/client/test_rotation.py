"""From one connection to the next: no call fails, and no event is lost or told twice."""

# What isinstance makes of an error leaves the type of its request open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.errors import (
    ConnectionFailed,
    NotSent,
    OutcomeUnknown,
    Unauthorized,
)
from tests.peer import ACK, START, ed25519_key, open_pair
from tests.sessions import BUY, HMAC, deltas, in_background, pinging

pytestmark = pytest.mark.usefixtures("both_streams")


@pytest.mark.untraced
@pytest.mark.plain_streams("days of pings, and hardly a call")
async def test_g5_the_session_moves_before_its_lifetime_is_over_without_a_failed_call(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        nursery.start_soon(pinging, exchange)
        exchange.script["ping"] = lambda _peer: {}
        for _ in range(3 * 24 * 6):
            await trio.sleep(600)
            await session.ping()
        assert len(exchange.peers) == 4
        assert session.counters.losses == 0
        assert len(exchange.sent("session.logon")) == 4
        nursery.cancel_scope.cancel()


async def test_g5_a_rotation_leaves_calls_in_flight_to_the_old_connection(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        old = in_background(nursery, lambda: session.send(BUY))
        request = await exchange.peers[0].next()
        await session.rotate()
        new = in_background(nursery, session.ping)
        await exchange.peers[1].answer(await exchange.peers[1].next())
        await trio.sleep(10)
        assert not exchange.peers[0].is_over.is_set()
        await exchange.peers[0].answer(request, ACK)
        await exchange.peers[0].is_over.wait()
        assert trio.current_time() == 10
    assert isinstance(old.value, bintrio.OrderAck)
    assert new.value is not None
    assert session.counters.losses == 0


async def test_g5_an_old_connection_that_owes_answers_is_given_up_after_the_drain_timeout(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC, request_timeout=100, drain_timeout=7) as (session, exchange):
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.send(BUY))
            await exchange.peers[0].next()
            await session.rotate()
        assert isinstance(outcome.error, OutcomeUnknown)
        assert "did not answer within 7 s" in outcome.error.reason
        assert outcome.at == 7


async def test_g5_server_shutdown_moves_the_session_at_once(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        await exchange.peers[0].event(None, e="serverShutdown", E=START)
        await trio.sleep(1)
        assert len(exchange.peers) == 2
        assert exchange.peers[0].is_over.is_set()
        assert session.counters.losses == 0


async def test_g5_the_old_connection_serves_as_long_as_no_other_can_be_opened(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.script["ping"] = lambda _peer: {}
        exchange.refuse_with.append(OSError("no route"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.rotate)
            await trio.sleep(5)
            await session.ping()
            exchange.refuse_with.clear()
        assert len(exchange.peers) == 2
        assert 5 <= trio.current_time() < 15


async def test_g5_a_rotation_that_finds_no_other_connection_ends_in_time(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=3, pong_window=1e6) as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        with pytest.raises(NotSent, match="rotation was not sent: no other connection was ready within 3 s") as caught:
            await session.rotate()
        assert trio.current_time() == 3
        assert isinstance(caught.value.__cause__, ConnectionFailed)
        exchange.refuse_with.clear()
        await trio.sleep(30)
        assert len(exchange.peers) == 2
        with trio.move_on_after(0) as scope:
            await session.rotate()
        assert scope.cancelled_caught


async def test_g5_a_rotation_under_events_loses_none_and_doubles_none(autojump_clock: MockClock) -> None:
    async with (
        open_pair(key=ed25519_key()) as (session, exchange),
        session.user_data() as events,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(pinging, exchange)
        old = exchange.peers[0]
        await old.balance(1)
        exchange.script["userDataStream.unsubscribe"] = None
        await session.rotate()
        new = exchange.peers[1]
        leave = await old.next()
        assert leave["method"] == "userDataStream.unsubscribe"
        await new.balance(2)
        await old.balance(2)
        await old.balance(3)
        await old.answer(leave)
        await new.balance(3)
        await new.balance(4)
        assert await deltas(events, 4) == [1, 2, 3, 4]
        await old.is_over.wait()
        await trio.sleep(61)
        assert events.waiting == 0
        await new.balance(4)
        assert await deltas(events, 1) == [4]
        nursery.cancel_scope.cancel()


async def test_g5_a_subscription_made_while_the_session_moves_is_told_nothing_twice(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["time"] = None
        nursery.start_soon(session.rotate)
        new = await exchange.peer(1)
        waits = await new.next()
        async with session.user_data() as events:
            exchange.script["userDataStream.unsubscribe"] = None
            await new.answer(waits, {"serverTime": START})
            leave = await exchange.peers[0].next()
            for peer in exchange.peers:
                await peer.balance(1)
            await exchange.peers[0].answer(leave)
            await new.balance(2)
            assert await deltas(events, 2) == [1, 2]


@pytest.mark.parametrize(("status", "code"), [(429, -1003), (400, -1021), (503, -1000)], ids=["429", "clock", "down"])
async def test_g5_a_refusal_for_now_does_not_end_a_subscription(
    autojump_clock: MockClock, status: int, code: int
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        keep = exchange.script["userDataStream.subscribe"]
        exchange.script["userDataStream.subscribe"] = None
        await exchange.peers[0].cut()
        peer = await exchange.peer(1)
        await peer.refuse(await peer.next(), status, code, "not now", data={"retryAfter": START + 1000})
        exchange.script["userDataStream.subscribe"] = keep
        assert isinstance(await anext(events), bintrio.Gap)
        await peer.balance(1)
        assert await deltas(events, 1) == [1]
        assert len(exchange.peers) == 2


async def test_g5_a_feed_that_moves_with_nobody_is_restored_and_its_gap_told(autojump_clock: MockClock) -> None:
    """Subscribed to on the old connection while the new one was opened, and not taken over by the new one."""
    async with open_pair(key=ed25519_key()) as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["time"] = None
        nursery.start_soon(session.rotate)
        new = await exchange.peer(1)
        waits = await new.next()
        subscribe = exchange.script["userDataStream.subscribe.signature"]
        exchange.script["userDataStream.subscribe"] = None
        async with session.user_data(HMAC) as events, trio.open_nursery() as inner:
            listening = in_background(inner, lambda: anext(events))
            exchange.script["userDataStream.subscribe.signature"] = None
            await new.answer(waits, {"serverTime": START})
            await new.refuse(await new.next(), 500, -1000, "no idea")
            peer = await exchange.peer(2) if session.connection is None else new
            exchange.script["userDataStream.subscribe.signature"] = subscribe
            exchange.script["time"] = lambda _peer: {"serverTime": START + int(trio.current_time() * 1000)}
            await trio.sleep(100)
            assert peer is not None
            assert session.connection is not None
            (feed,) = session._supervisor.feeds.by_key.values()
            assert feed.is_carried
            inner.cancel_scope.cancel()
        assert listening.error is None
        nursery.cancel_scope.cancel()


async def test_a_feed_that_nobody_hears_does_not_move(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange):
        exchange.script["userDataStream.unsubscribe"] = None
        async with session.user_data():
            pass
        leave = await exchange.peers[0].next()
        await session.rotate()
        await exchange.peers[0].answer(leave)
        await wait_all_tasks_blocked()
        assert len(exchange.sent("userDataStream.subscribe")) == 1
        assert not session._supervisor.feeds.by_key


async def test_g5_two_rotations_in_a_row_keep_repeats_apart(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        await session.rotate()
        await trio.sleep(30)
        await session.rotate()
        await trio.sleep(40)
        await exchange.peers[1].is_over.wait()
        await exchange.peers[2].balance(1)
        assert await deltas(events, 1) == [1]


async def test_an_old_connection_lost_while_it_retires_leaves_a_gap(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data() as events:
        exchange.script["userDataStream.unsubscribe"] = None
        await session.rotate()
        await exchange.peers[0].next()
        await exchange.peers[0].cut()
        assert isinstance(await anext(events), bintrio.Gap)


async def test_a_subscription_that_the_next_connection_refuses_ends_with_the_reason(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data(HMAC) as events:
        exchange.script["userDataStream.subscribe.signature"] = None
        await exchange.peers[0].cut()
        await trio.sleep(1)
        await exchange.peers[1].refuse(await exchange.peers[1].next(), 401, -2015, "Invalid API-key")
        with pytest.raises(Unauthorized):
            await anext(events)
        await trio.sleep(1)
        assert session.connection is not None


async def test_g5_a_feed_that_the_next_connection_did_not_take_stays_with_the_old_one_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with (
        open_pair(key=ed25519_key(), drain_timeout=2, pong_window=1e6) as (session, exchange),
        session.user_data() as events,
    ):
        keep = exchange.script["userDataStream.subscribe"]
        exchange.script["userDataStream.subscribe"] = None
        exchange.script["ping"] = lambda _peer: {}
        old = exchange.peers[0]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.rotate)
            new = await exchange.peer(1)
            for _ in range(4):
                await new.refuse(await new.next(), 503, -1000, "Service unavailable.")
                await session.ping()
                await old.balance(1)
            await trio.sleep(20)
            unanswered = await new.next()
            await trio.sleep(20)
            exchange.script["userDataStream.subscribe"] = keep
        assert not old.is_over.is_set()
        await new.answer(unanswered, {"subscriptionId": 0})
        await old.balance(2)
        with trio.fail_after(60):
            await old.is_over.wait()
        await exchange.peers[-1].balance(3, exchange.peers[-1].subscriptions[-1] if len(exchange.peers) > 2 else 0)
        received = await deltas(events, 6)
        assert received[:4] == [1, 1, 1, 1]
        assert session.counters.losses == 0
        assert not [event for event in received if isinstance(event, bintrio.Gap)]
        assert received[-2:] == [2, 3]
