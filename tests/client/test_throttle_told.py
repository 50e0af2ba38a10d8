"""What users are told of a hold or of a full window: until when, and why."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.throttle import ANYTHING
from bintrio.errors import Banned, NotSent, RateLimited
from tests.peer import LIMITS, START, ed25519_key
from tests.refusing import BUY, SLOW_DOWN, open_world, quietly
from tests.sessions import HMAC

pytestmark = pytest.mark.usefixtures("both_streams")


async def test_g8_only_a_hold_that_lasts_as_long_is_why_there_is_no_room(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world):
        await trio.sleep(100)
        await world.peers[0].refuse({"id": 1}, 429, -1003, "slow down", data={"retryAfter": world.now() + 5_000})
        await wait_all_tasks_blocked()
        throttle = session._shared.throttle
        assert [("slow down" in str(throttle.no_room("m", ANYTHING, delay))) for delay in (4.0, 5.5, 7.0, 50.0)] == [
            True,
            True,
            False,
            False,
        ]


async def test_g8_who_listens_is_told_until_when_it_is_held_back_however_soon_that_is(
    autojump_clock: MockClock,
) -> None:
    async with open_world(key=HMAC, request_timeout=5) as (session, world):
        await world.peers[0].refuse({"id": 1}, 429, -1003, "slow down", data={"retryAfter": world.now() + 5_500})
        await wait_all_tasks_blocked()
        with pytest.raises(NotSent, match="the exchange's limits leave no room for it for another 0") as caught:
            async with session.user_data():
                raise AssertionError
        assert caught.value.retry_at == pytest.approx(START + 5_500, abs=100)


async def test_g8_who_cannot_wait_is_told_until_when_and_why(autojump_clock: MockClock) -> None:
    async with open_world(time_unit="us", key=HMAC) as (session, world):
        world.script["time"] = lambda _peer: {"serverTime": world.now() * 1000}
        await session.rotate()
        until = (world.now() + 600_000) * 1000
        await world.peers[-1].refuse({"id": 1}, 418, -1003, "banned for good", data={"retryAfter": until})
        await wait_all_tasks_blocked()
        for call in (session.ping, lambda: session.send(BUY)):
            error = await quietly(call)
            assert isinstance(error, NotSent)
            assert error.retry_at == pytest.approx(until, abs=500_000)
            assert "banned for good" in error.reason
        hold = session.hold
        assert isinstance(hold, Banned)
        assert hold.retry_at == pytest.approx(until, abs=500_000)
        assert hold.message == "banned for good"
        with pytest.raises(NotSent) as caught:
            async with session.user_data():
                raise AssertionError
        assert caught.value.retry_at == pytest.approx(until, abs=500_000)


async def test_g8_who_has_no_connection_in_a_ban_is_told_at_once(autojump_clock: MockClock) -> None:
    async with open_world(key=HMAC) as (session, world):
        await world.peers[0].refuse({"id": None}, 418, -1003, "m", data={"retryAfter": world.now() + 600_000})
        await trio.sleep(1)
        assert session._supervisor.connection is None
        at = trio.current_time()
        error = await quietly(session.ping)
        assert isinstance(error, NotSent)
        assert error.retry_at is not None
        assert trio.current_time() == at


@pytest.mark.parametrize("at_the_handshake", [False, True])
async def test_g5_g8_a_ban_and_its_end_are_in_the_gap_and_in_the_log(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, at_the_handshake: bool
) -> None:
    async with open_world(key=ed25519_key()) as (session, world), session.user_data() as events:
        if at_the_handshake:
            world.refuse_handshakes = b"HTTP/1.1 418 No\r\nRetry-After: 60\r\nContent-Length: 0\r\n\r\n"
        else:
            data = {"retryAfter": world.now() + 60_000}
            await world.peers[0].refuse({"id": 987_654}, 418, -1003, "banned", data=data)
        await wait_all_tasks_blocked()
        await world.peers[0].cut()
        await trio.sleep(1)
        world.refuse_handshakes = b""
        interrupted, gap = [await anext(events) for _ in range(2)]
        assert isinstance(interrupted, bintrio.Interrupted)
        assert isinstance(gap, bintrio.Gap)
        for reason in (interrupted.reason, gap.reason, caplog.text):
            assert "418" in reason
            assert "UTC" in reason
        assert gap.reason.count("UTC") == 1


async def test_g8_who_finds_a_window_full_is_told_until_when(autojump_clock: MockClock) -> None:
    async with open_world(request_timeout=1) as (session, world):
        assert session.hold is None
        full = {**LIMITS[0], "count": 6000}
        world.script["ping"] = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.ping)
            await world.peers[0].answer(await world.peers[0].next(), rateLimits=[full])
        error = await quietly(session.ping)
        assert isinstance(error, NotSent)
        assert error.retry_at is not None
        assert error.retry_at % 60_000 < 500


async def test_g8_a_429_without_a_time_says_when_the_session_goes_on(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world), trio.open_nursery() as nursery:
        world.script["ping"] = None
        caught: list[Any] = []

        async def ask() -> None:
            caught.append(await quietly(session.ping))

        nursery.start_soon(ask)
        await world.peers[0].refuse(await world.peers[0].next(), 429, -1003, "m")
        await wait_all_tasks_blocked()
        assert isinstance(caught[0], RateLimited)
        assert caught[0].retry_at == pytest.approx(world.now() + 60_000, abs=5)


async def test_g8_who_listens_is_told_until_when_also_by_a_429_without_a_time(autojump_clock: MockClock) -> None:
    async with open_world(key=HMAC) as (session, world):
        world.script["userDataStream.subscribe.signature"] = lambda _peer: {"status": 429, "error": SLOW_DOWN}
        with pytest.raises(RateLimited) as caught:
            async with session.user_data():
                raise AssertionError
        assert caught.value.retry_at == pytest.approx(world.now() + 60_000, abs=100)


async def test_g8_a_wait_beyond_measure_is_bounded_and_logged_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as (session, world):
        with caplog.at_level(logging.WARNING, "bintrio"):
            for number in range(50):
                data = {"retryAfter": 32_503_680_000_000}
                await world.peers[0].refuse({"id": number}, 418, -1003, "m", data=data)
            await wait_all_tasks_blocked()
        assert "everything is held back for 259200" in caplog.text
        assert "three days" in caplog.text
        assert len(caplog.records) == 2
        hold = session.hold
        assert hold is not None
        assert hold.retry_at == pytest.approx(world.now() + 3 * 86_400_000, abs=5)
