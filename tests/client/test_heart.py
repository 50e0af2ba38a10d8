"""Whether a connection is alive: pings are answered, and a silent exchange is found out."""

# What isinstance makes of an error leaves the type of its request open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio.errors import (
    OutcomeUnknown,
)
from tests.peer import ACK, START, URL, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import BUY, HMAC, deltas, in_background
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")


async def test_g4_a_mute_server_is_found_out_and_replaced(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, request_timeout=100) as (session, exchange), trio.open_nursery() as nursery:
        await trio.sleep(30)
        await exchange.peers[0].websocket.ping(b"are you there")
        order = in_background(nursery, lambda: session.send(BUY))
        read = in_background(nursery, session.ping)
        await trio.sleep(59.9)
        assert len(exchange.peers) == 1
        await trio.sleep(1)
        assert isinstance(order.error, OutcomeUnknown)
        assert 90 <= order.at <= 90.1
        assert "no ping was answered for 60 s" in order.error.reason
        await exchange.peers[1].answer(await exchange.peers[1].next())
    assert read.value is not None


async def test_g4_pings_keep_a_connection_for_ever(autojump_clock: MockClock) -> None:
    async with open_pair(lifetime=math.inf) as (session, exchange):
        for number in range(1000):
            await trio.sleep(50)
            await exchange.peers[0].websocket.ping(str(number).encode())
        assert len(exchange.peers) == 1
        assert session.counters.losses == 0


# G3: pings are answered at once, whatever goes on


async def is_answered_at_once(peer: Peer) -> bool:
    """Whether the client sends a pong with a ping's payload before any time has passed."""
    pinged_at = trio.current_time()
    with trio.move_on_after(3600):
        await peer.websocket.ping(b"payload")
    return trio.current_time() == pinged_at


async def test_g3_a_subscriber_that_never_reads_and_a_caller_that_never_decodes_delay_no_pong(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data(buffer=5) as events:
        for number in range(100):
            await exchange.peers[0].balance(number)
        assert await is_answered_at_once(exchange.peers[0])
        assert await deltas(events, 5) == [0, 1, 2, 3, 4]
        with pytest.raises(bintrio.SubscriberTooSlow):
            await anext(events)
        assert len(session._supervisor.feeds.by_key) == 1


@pytest.mark.parametrize("step", ["time", "exchangeInfo", "session.logon"])
async def test_g3_a_ping_is_answered_before_the_connection_is_ready(autojump_clock: MockClock, step: str) -> None:
    async with open_exchange() as exchange, trio.open_nursery() as nursery:
        own = exchange.script[step]
        assert own is not None
        exchange.script[step] = None

        async def use() -> None:
            async with bintrio.open_session(URL, connect=exchange.connect, key=ed25519_key()):
                await trio.sleep_forever()

        nursery.start_soon(use)
        peer = await exchange.peer(0)
        asked = await peer.next()
        assert asked["method"] == step
        assert await is_answered_at_once(peer)
        await peer.answer(asked, own(peer))
        nursery.cancel_scope.cancel()


async def test_g3_a_retiring_connection_answers_pings_while_it_is_owed_an_answer(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        request = await exchange.peers[0].next()
        await session.rotate()
        assert await is_answered_at_once(exchange.peers[0])
        assert await is_answered_at_once(exchange.peers[1])
        await exchange.peers[0].answer(request, ACK)
    assert isinstance(outcome.value, bintrio.OrderAck)


async def test_g3_g8_a_ban_holds_back_no_pong(autojump_clock: MockClock) -> None:
    async with open_pair(request_timeout=10) as (session, exchange), trio.open_nursery() as nursery:
        read = in_background(nursery, session.ping)
        until = START + int(trio.current_time() * 1000) + 3_600_000
        await exchange.peers[0].refuse(await exchange.peers[0].next(), 418, -1003, "banned", data={"retryAfter": until})
        await wait_all_tasks_blocked()
        assert isinstance(read.error, bintrio.Banned)
        waiting = in_background(nursery, session.ping)
        for _ in range(3):
            await trio.sleep(20)
            assert await is_answered_at_once(exchange.peers[0])
    assert isinstance(waiting.error, bintrio.NotSent)
    assert exchange.sent("ping") == [exchange.log[-1]]


async def test_g3_callers_that_are_cancelled_while_nothing_can_leave_cost_no_pong(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        exchange.script["ping"] = lambda _peer: {}
        until = trio.Event()
        stall(session, until)
        with trio.move_on_after(1):
            async with trio.open_nursery() as callers:
                for _ in range(20):
                    callers.start_soon(session.ping)
        nursery.start_soon(exchange.peers[0].websocket.ping, b"meanwhile")
        await trio.sleep(1)
        until.set()
        assert await is_answered_at_once(exchange.peers[0])
        assert await session.ping() is not None
        assert session.counters.losses == 0
