"""The connections of a session, one after the other: losses, shutdowns, bans, and what is left of them."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.errors import Banned, HandshakeRejected
from tests.peer import LIMITS, START, URL, Exchange, Peer, ed25519_key, open_exchange, open_pair
from tests.sessions import interrupt_when_idle, run_with_ctrl_c
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")


@pytest.mark.plain_streams("some hundred thousand pings, and hardly a call")
async def test_forty_days_leave_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_pair(key=ed25519_key(), pong_window=1e6) as (session, exchange), session.user_data():
        await trio.sleep(40 * 86_400)
        supervisor = session._supervisor
        assert len(exchange.peers) > 40
        assert len(supervisor._connections) == 1
        assert len(supervisor._chores.child_tasks) == 1
        assert session.counters.losses == 0


async def test_shutdowns_one_after_the_other_are_answered_with_patience(autojump_clock: MockClock) -> None:
    async with open_pair(pong_window=1e6) as (session, exchange):

        async def shutting_down(peer: Peer, request: dict[str, Any], own: Any = exchange.answer_own) -> bool:
            is_answered = await own(peer, request)
            await peer.event(None, e="serverShutdown", E=START)
            return bool(is_answered)

        exchange.answer_own = shutting_down  # type: ignore[method-assign]  # the script is replaced whole
        await exchange.peers[0].event(None, e="serverShutdown", E=START)
        await trio.sleep(300)
        assert 5 < len(exchange.peers) < 25
        assert session.connection is not None


async def test_a_ban_at_the_first_opening_is_told_at_once(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.refuse_with.append(HandshakeRejected(418, [("retry-after", "259200")], b""))
        endpoint = bintrio.Endpoint(name="two", urls=("wss://a.test/ws-api/v3", "wss://b.test/ws-api/v3"))
        with pytest.raises(Banned) as caught:
            async with bintrio.open_session(endpoint, connect=exchange.connect):
                raise AssertionError
        assert trio.current_time() == 0
        assert len(exchange.addresses) == 1
        assert caught.value.retry_at is not None


async def test_g1_a_limit_of_no_connection_at_all_cannot_be_right(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        none = [{**LIMITS[2], "limit": 0}]
        exchange.script["exchangeInfo"] = lambda _peer: {
            "timezone": "UTC",
            "serverTime": START,
            "rateLimits": none,
            "exchangeFilters": [],
            "symbols": [],
        }
        async with bintrio.open_session(URL, connect=exchange.connect, pong_window=1e6) as session:
            await exchange.peers[0].cut()
            await trio.sleep(1)
            assert session.connection is not None


async def test_a_connection_lost_while_its_successor_opens_counts_as_lost(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(OSError("no route"))
        await exchange.peers[0].event(None, e="serverShutdown", E=START)
        await trio.sleep(1)
        await exchange.peers[0].cut()
        await trio.sleep(10)
        exchange.refuse_with.clear()
        await exchange.peer(1)
        assert session.counters.losses == 1


async def close_slowly(exchange: Exchange) -> None:
    async with bintrio.open_session(URL, connect=exchange.connect, close_timeout=1e6) as session:
        stall(session, trio.Event())
        trio.lowlevel.spawn_system_task(interrupt_when_idle)


def test_ctrl_c_while_closing_comes_out_bare() -> None:
    async def main() -> None:
        async with open_exchange() as exchange:
            with pytest.raises(KeyboardInterrupt):
                await close_slowly(exchange)

    run_with_ctrl_c(main)
