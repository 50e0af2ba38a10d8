"""Whether a connection is alive: pings are answered, and a silent exchange is found out."""

# What isinstance makes of an error leaves the type of its request open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.errors import (
    OutcomeUnknown,
)
from tests.peer import ed25519_key, open_pair
from tests.sessions import BUY, HMAC, deltas, in_background

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


async def test_g3_a_subscriber_that_never_reads_and_a_caller_that_never_decodes_delay_no_pong(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=ed25519_key()) as (session, exchange), session.user_data(buffer=5) as events:
        for number in range(100):
            await exchange.peers[0].balance(number)
        with trio.fail_after(1):
            await exchange.peers[0].websocket.ping(b"payload")
        assert await deltas(events, 5) == [0, 1, 2, 3, 4]
        with pytest.raises(bintrio.SubscriberTooSlow):
            await anext(events)
        assert len(session._supervisor.feeds.by_key) == 1
