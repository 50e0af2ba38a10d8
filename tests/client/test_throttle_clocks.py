"""Holds and windows where clocks are wrong, are set, or were never told."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.throttle import ANYTHING, ticks
from bintrio._protocol.holds import Refusal
from bintrio._protocol.rate_limits import LocalLedger
from bintrio.errors import ConnectionFailed, InvalidTimestamp, ProtocolViolation, RateLimited
from tests.peer import ACK, START, URL, open_pair
from tests.refusing import BUY, SLOW_DOWN, World, held_for, open_world, quietly
from tests.sessions import HMAC

pytestmark = pytest.mark.usefixtures("both_streams")


@pytest.mark.parametrize("status", [418, 429])
@pytest.mark.parametrize("where", ["handshake", "time"])
@pytest.mark.parametrize(
    ("seconds", "banned", "limited"), [(-1e6, 120, 60), (1, 120, 61), (3600, 3660, 3660), (1e6, 259_200, 86_400)]
)
async def test_g8_a_time_is_heeded_also_when_the_exchanges_time_was_never_told(
    autojump_clock: MockClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    status: int,
    where: str,
    seconds: float,
    banned: int,
    limited: int,
) -> None:
    """By this machine's own clock, which may be wrong; and that is said."""
    monkeypatch.setattr("bintrio._client.throttle.time.time", lambda: START / 1000 + trio.current_time())
    async with trio.open_nursery() as nursery:
        world, ledger = World(nursery), LocalLedger()
        until = world.now() + int(seconds * 1000)
        if where == "handshake":
            body = json.dumps({"code": -1003, "msg": "m", "data": {"retryAfter": until}}).encode()
            head = b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
            world.refuse_handshakes = head + body
        else:
            error = {"status": status, "error": {**SLOW_DOWN, "data": {"retryAfter": until}}}
            world.script["time"] = lambda _peer: error
        for _ in range(2):
            with pytest.raises(RateLimited):
                async with bintrio.open_session(URL, connect=world.connect, ledger=ledger):
                    raise AssertionError
        assert len(world.arrivals()) <= 3
        hold = ledger.held(ANYTHING, ticks())
        assert hold is not None
        assert hold.until == pytest.approx(1000 * (banned if status == 418 else limited), abs=2)
        # Of a handshake the head counts first, which says nothing of a time.
        has_told = where == "time" or seconds > 60
        assert caplog.text.count("only this machine's clock") == has_told
        nursery.cancel_scope.cancel()


async def test_g8_windows_turn_later_by_all_that_the_clock_may_be_wrong_by(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    aligned: list[tuple[int, int, int]] = []
    async with open_world() as (session, _):
        await trio.sleep(100)
        shared = session._shared
        shared.clock.forget()
        shared.clock.record(40.0, START, 100.0)

        def note(offset: int, error: int, now: int) -> None:
            aligned.append((offset, error, now))

        monkeypatch.setattr(shared.own.ledger, "align", note)
        shared.throttle.align()
        in_ten_minutes = shared.clock.error_bound(trio.current_time() + 600) * 1000
    (offset, error, now) = aligned[0]
    assert now == 100_000
    assert offset == shared.clock.now(100) - 100_000
    assert in_ten_minutes <= error <= in_ten_minutes + 1
    assert error > 30_000


@pytest.mark.parametrize("step", [-3_600_000, -60_000, 60_000, 3_600_000])
async def test_g8_an_order_hold_outlives_every_step_of_the_clock(autojump_clock: MockClock, step: int) -> None:
    async with open_world(key=HMAC) as (session, world):
        await world.peers[0].refuse({"id": 1}, 429, -1015, "m", data={"retryAfter": world.now() + 600_000})
        await trio.sleep(60)
        world.skew = step
        await session.rotate()
        await trio.sleep(60)
        world.skew = 0
        await session.rotate()
        known = len(world.sent("order.place"))
        world.script["order.place"] = lambda _peer: ACK
        while len(world.sent("order.place")) == known:
            await quietly(lambda: session.send(BUY))
            await trio.sleep(1)
        assert 599 <= trio.current_time() <= 602


@pytest.mark.parametrize("absurd", [-(2**63) - 1, -1, 0, 10**18])
async def test_g8_a_time_that_cannot_be_right_is_not_taken(
    autojump_clock: MockClock, absurd: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as (session, world):
        world.script["time"] = lambda _peer: {"serverTime": absurd}
        await session.rotate()
        assert session.now() == pytest.approx(world.now(), abs=5)
        assert "cannot be the time" in caplog.text
    async with trio.open_nursery() as nursery:
        world = World(nursery)
        world.script["time"] = lambda _peer: {"serverTime": absurd}
        with pytest.raises(ConnectionFailed) as caught:
            async with bintrio.open_session(URL, connect=world.connect):
                raise AssertionError
        assert isinstance(caught.value.attempts[0][1], ProtocolViolation)
        nursery.cancel_scope.cancel()


async def test_g8_a_429_in_the_past_is_none(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world):
        world.skew = 3_600_000
        await session.rotate()
        world.skew = 0
        await world.peers[1].refuse({"id": 1}, 429, -1003, "m", data={"retryAfter": world.now() + 60_000})
        await wait_all_tasks_blocked()
        assert 59 <= await held_for(session, world, 100) <= 61


async def test_g1_after_1021_the_clock_is_forgotten(autojump_clock: MockClock) -> None:
    """A slow answer tells little, but is all there is to go by once the exchange has said that the clock is wrong."""
    async with open_world(key=HMAC) as (session, world), trio.open_nursery() as nursery:
        world.skew = 1_500
        peer = world.peers[0]
        world.script["time"] = None
        caught: list[Any] = []

        async def buy() -> None:
            caught.append(await quietly(lambda: session.send(BUY)))

        nursery.start_soon(buy)
        await peer.refuse(await peer.next(), 400, -1021, "Timestamp for this request is outside of the recvWindow.")
        question = await peer.next()
        assert question["method"] == "time"
        told = world.now()
        await trio.sleep(4)
        await peer.answer(question, {"serverTime": told})
        await wait_all_tasks_blocked()
        assert isinstance(caught[0], InvalidTimestamp)
        # The answer fits the old estimate as well: only once that is forgotten does the middle of the wait count.
        assert session.now() == pytest.approx(world.now() - 2_000, abs=5)


async def test_waiting_for_the_budget_is_not_taken_for_time_on_the_way(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, _exchange):
        assert session._supervisor.connection is not None
        session._shared.own.ledger.hold(Refusal(429, -1003, "slow down", 5000), ticks())
        await session._supervisor.connection.own.measure_clock()
        assert trio.current_time() == 5
        assert session.round_trip == 0
