"""Holds that opening handshakes tell of, and how long a rotation waits for one."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.throttle import ticks
from bintrio._protocol.holds import Refusal
from bintrio._protocol.rate_limits import LocalLedger
from bintrio.errors import Banned, HandshakeRejected, RateLimited
from tests.peer import URL, open_pair
from tests.refusing import World, held_for, open_world, quietly

pytestmark = pytest.mark.usefixtures("both_streams")


@pytest.mark.parametrize("body", [b"Content-Length: 0\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n4\r\nslow\r\n"])
async def test_g8_a_refused_handshake_counts_once_its_head_is_there(autojump_clock: MockClock, body: bytes) -> None:
    async with open_world(connect_timeout=1.5) as (session, world), trio.open_nursery() as nursery:
        world.refuse_handshakes = b"HTTP/1.1 429 No\r\nRetry-After: 60\r\n" + body
        nursery.start_soon(quietly, session.rotate)
        await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert isinstance(session.hold, RateLimited)
        assert 59 <= await held_for(session, world, 100) <= 64
        nursery.cancel_scope.cancel()


async def test_g5_a_rotation_outlasts_a_hold(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world):
        await world.peers[0].refuse({"id": 1}, 429, -1003, "m", data={"retryAfter": world.now() + 60_000})
        await wait_all_tasks_blocked()
        await session.rotate()
        assert 60 <= trio.current_time() <= 61


async def test_g8_a_refused_handshake_is_told_by_its_body(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world):
        said = json.dumps({"code": -1003, "msg": f"IP banned until {world.now() + 600_000}."}).encode()
        world.refuse_handshakes = b"HTTP/1.1 418 No\r\nContent-Length: %d\r\n\r\n%s" % (len(said), said)
        await world.peers[0].cut()
        await trio.sleep(1)
        hold = session.hold
        assert isinstance(hold, Banned)
        assert hold.code == -1003
        assert hold.retry_at is not None
        assert 595_000 < hold.retry_at - world.now() < 605_000


async def test_g8_a_ban_at_the_first_opening_is_one_with_its_time_and_holds_other_sessions(
    autojump_clock: MockClock,
) -> None:
    ledger = LocalLedger()
    async with open_world(ledger=ledger) as (session, world), trio.open_nursery() as nursery:
        other = World(nursery)
        other.refuse_handshakes = b"HTTP/1.1 418 No\r\nRetry-After: 120\r\nContent-Length: 0\r\n\r\n"
        with pytest.raises(Banned) as caught:
            async with bintrio.open_session(URL, connect=other.connect, ledger=ledger):
                raise AssertionError
        # By the exchange's time, which the other session knows.
        assert caught.value.retry_at == pytest.approx(world.now() + 120_000, abs=5)
        assert str(caught.value).endswith("UTC")
        with pytest.raises(Banned, match="connect: 418"):
            async with bintrio.open_session(URL, connect=other.connect, ledger=ledger):
                raise AssertionError
        assert len(other.knocks) == 1
        assert 119 <= await held_for(session, world, 200) <= 121


async def test_g8_a_429_before_the_clock_is_set_holds_other_sessions(autojump_clock: MockClock) -> None:
    ledger = LocalLedger()
    async with open_world(ledger=ledger) as (session, world), trio.open_nursery() as nursery:
        other = World(nursery)
        other.script["time"] = None

        async def refuse() -> None:
            peer = await other.peer(0)
            data = {"retryAfter": other.now() + 120_000}
            await peer.refuse(await peer.next(), 429, -1003, "m", data=data)

        nursery.start_soon(refuse)
        with pytest.raises(RateLimited) as caught:
            async with bintrio.open_session(URL, connect=other.connect, ledger=ledger):
                raise AssertionError
        assert caught.value.retry_at == pytest.approx(world.now() + 120_000, abs=500)
        assert 119 <= await held_for(session, world, 200) <= 121


async def test_g8_a_session_that_is_opened_in_a_ban_is_told_so_at_once_at_any_time(autojump_clock: MockClock) -> None:
    ledger = LocalLedger()
    await trio.sleep(3_600)
    ledger.hold(Refusal(418, -1003, "banned", 60_000), ticks())
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        with pytest.raises(Banned):
            async with bintrio.open_session(URL, connect=world.connect, ledger=ledger):
                raise AssertionError
        assert trio.current_time() == 3_600
        await trio.sleep(55)
        async with bintrio.open_session(URL, connect=world.connect, ledger=ledger):
            assert 3_660 <= trio.current_time() < 3_661, "it waits for what is over in time"
        nursery.cancel_scope.cancel()


async def test_g8_a_handshake_refused_with_429_is_not_repeated_before_its_time(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange):
        exchange.refuse_with.append(HandshakeRejected(429, [("retry-after", "30")], b""))
        await exchange.peers[0].cut()
        await trio.sleep(29)
        assert len(exchange.addresses) == 2
        exchange.refuse_with.clear()
        await trio.sleep(2)
        assert len(exchange.addresses) == 3
        assert session.connection is not None
