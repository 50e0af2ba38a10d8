"""Holds and the reserve, seen from the exchange: what leaves, and when."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._client.throttle import ANYTHING, ticks
from bintrio._protocol.budget import Cost
from bintrio._protocol.holds import Refusal
from bintrio._protocol.rate_limits import LocalLedger
from bintrio.errors import (
    Banned,
    ConnectionFailed,
    HandshakeRejected,
    InvalidTimestamp,
    NotSent,
    OutcomeUnknown,
    ProtocolViolation,
    RateLimited,
    Rejected,
)
from bintrio.requests import OrderPlace
from tests.peer import ACK, LIMITS, START, URL, Json, Peer, ed25519_key, open_pair
from tests.refusing import SLOW_DOWN, World, open_world, quietly
from tests.sessions import HMAC, in_background
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")

BUY = OrderPlace(symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=1, quantity=1)


async def held_for(session: bintrio.Session, world: World, most: float) -> float:
    """Seconds until something reaches the exchange, while somebody asks every half second."""
    begun, known = trio.current_time(), len(world.arrivals())
    while len(world.arrivals()) == known and trio.current_time() - begun < most:
        with trio.move_on_after(0.25):
            await quietly(session.ping)
        await trio.sleep(0.25)
    return world.arrivals()[known] - begun if len(world.arrivals()) > known else most


# Where a 429 may come in


async def _in_its_answer(session: bintrio.Session, world: World, answer: Callable[..., Any]) -> None:
    world.script["ping"] = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quietly, session.ping)
        await answer(world.peers[0], await world.peers[0].next())
    world.script["ping"] = lambda _peer: {}


async def _to_a_caller_who_is_gone(session: bintrio.Session, world: World, answer: Callable[..., Any]) -> None:
    world.script["ping"] = None
    with trio.move_on_after(1):
        await session.ping()
    world.script["ping"] = lambda _peer: {}
    await answer(world.peers[0], await world.peers[0].next())


async def _to_nobody(_session: bintrio.Session, world: World, answer: Callable[..., Any]) -> None:
    await answer(world.peers[0], {"id": 987_654})


async def _to_null(_session: bintrio.Session, world: World, answer: Callable[..., Any]) -> None:
    await answer(world.peers[0], {"id": None})


async def _on_a_connection_that_retires(session: bintrio.Session, world: World, answer: Callable[..., Any]) -> None:
    world.script["ping"] = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(quietly, session.ping)
        request = await world.peers[0].next()
        await session.rotate()
        await trio.sleep(1)
        await answer(world.peers[0], request)
    world.script["ping"] = lambda _peer: {}


async def _on_a_connection_that_closes(session: bintrio.Session, world: World, answer: Callable[..., Any]) -> None:
    connection = session._supervisor.connection
    assert connection is not None
    connection.end(RuntimeError("for a reason of its own"))
    await answer(world.peers[0], {"id": 987_654})


@pytest.mark.parametrize(
    "come_in",
    [
        _in_its_answer,
        _to_a_caller_who_is_gone,
        _to_nobody,
        _to_null,
        _on_a_connection_that_retires,
        _on_a_connection_that_closes,
    ],
)
@pytest.mark.parametrize("status", [429, 418])
async def test_g8_a_refusal_counts_wherever_it_comes_in(
    autojump_clock: MockClock, come_in: Callable[..., Any], status: int
) -> None:
    async def answer(peer: Peer, request: Json) -> None:
        data = {"retryAfter": world.now() + 60_000}
        await peer.answer(request, status=status, error={**SLOW_DOWN, "data": data})

    async with open_world() as (session, world):
        await come_in(session, world, answer)
        await wait_all_tasks_blocked()
        assert 59 <= await held_for(session, world, 100) <= 61
        assert await session.ping() is not None


@pytest.mark.parametrize(
    "error",
    [
        {"code": -1007, "msg": "Timeout waiting for response"},
        {"code": 0, "msg": ""},
        "no object",
        None,
        {"code": -1003, "msg": "m", "data": "none"},
    ],
    ids=["unknown", "empty", "text", "none", "data"],
)
async def test_g8_the_status_is_enough(autojump_clock: MockClock, error: Any) -> None:
    async with open_world() as (session, world):
        await world.peers[0].send(json.dumps({"id": 987_654, "status": 418, "error": error}))
        await wait_all_tasks_blocked()
        assert isinstance(session.hold, Banned)
        assert session.hold.code in {0, -1003}
        assert 119 <= await held_for(session, world, 200) <= 121  # no ban is shorter


async def test_g8_the_code_is_enough(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world):
        await world.peers[0].refuse({"id": 987_654}, 400, -1003, "too many requests")
        await wait_all_tasks_blocked()
        assert isinstance(session.hold, RateLimited)


async def test_g8_too_many_orders_in_one_half_of_a_call_hold_orders(autojump_clock: MockClock) -> None:
    async with open_world(key=HMAC, request_timeout=5) as (session, world):
        half = {"code": -1015, "msg": "Too many new orders; current limit is 50 orders per 10 SECOND."}
        data = {"cancelResult": "SUCCESS", "newOrderResult": "FAILURE", "newOrderResponse": half}
        failure = {"code": -2021, "msg": "Order cancel-replace partially failed.", "data": data}
        await world.peers[0].answer({"id": 987_654}, status=409, error=failure)
        await wait_all_tasks_blocked()
        refused = await quietly(lambda: session.send(BUY))
        assert isinstance(refused, NotSent)
        assert refused.retry_at is not None
        assert "-1015" in refused.reason
        assert await session.ping() is not None


@pytest.mark.parametrize("status", [400, 409, 418, 429])
@pytest.mark.parametrize("in_words", [False, True])
@pytest.mark.parametrize("name", ["cancelResponse", "newOrderResponse"])
async def test_g8_the_time_that_one_half_of_a_call_says_counts(
    autojump_clock: MockClock, status: int, in_words: bool, name: str
) -> None:
    async with open_world(request_timeout=5) as (session, world):
        until = START + round(trio.current_time() * 1000) + 100_000
        half = {"code": -1003, "msg": "Too many requests.", "data": {"retryAfter": until}}
        if in_words:
            half = {"code": "-1003", "msg": f"Way too many requests; IP banned until {until}."}
        other = {"code": -2011, "msg": "Unknown order sent."}
        data = {"cancelResponse": other, "newOrderResponse": None, "new": {"code": 1}, name: half}
        failure = {"code": -2022, "msg": "Order cancel-replace failed.", "data": data}
        await world.peers[0].answer({"id": 987_654}, status=status, error=failure)
        await wait_all_tasks_blocked()
        assert 99 <= await held_for(session, world, 150) <= 101


# What it holds back


@pytest.mark.parametrize("ticks", range(12))
async def test_g8_a_handshake_that_has_not_left_when_a_429_comes_does_not_leave(
    autojump_clock: MockClock, ticks: int
) -> None:
    async with open_world() as (session, world), trio.open_nursery() as nursery:
        nursery.start_soon(quietly, session.rotate)
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        refusal = RateLimited("", status=429, code=0, message="m")
        session._shared.throttle._hold(1, refusal, _wait(60_000), session._shared.own)
        held_at, known = trio.current_time(), len(world.arrivals())
        handed = [] if len(world.doors) == 2 else world.arrivals()[known:]
        await trio.sleep(59)
        # What had been handed over is on its way; nothing followed it.
        assert [time for time in world.arrivals()[known:] if time > held_at] == handed
        await trio.sleep(30)
        nursery.cancel_scope.cancel()


def _wait(milliseconds: int) -> Any:
    from bintrio._protocol.holds import Wait

    return Wait(milliseconds)


async def test_g8_a_slow_opening_is_given_up_when_a_429_comes(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world), trio.open_nursery() as nursery:
        world.connect_delay = 5
        nursery.start_soon(quietly, session.rotate)
        await trio.sleep(1)
        await world.peers[0].refuse({"id": 1}, 429, -1003, "m", data={"retryAfter": world.now() + 60_000})
        await trio.sleep(59)
        assert len(world.doors) == 1
        await trio.sleep(30)
        assert len(world.doors) == 2
        nursery.cancel_scope.cancel()


async def test_g8_too_many_orders_do_not_hold_back_a_connection(autojump_clock: MockClock) -> None:
    async with open_world(key=HMAC) as (session, world), trio.open_nursery() as nursery:
        world.connect_delay = 5
        nursery.start_soon(session.rotate)
        await trio.sleep(1)
        await world.peers[0].refuse({"id": 1}, 429, -1015, "m", data={"retryAfter": world.now() + 60_000})
        await trio.sleep(5)
        assert len(world.doors) == 2


async def test_g8_all_sessions_that_share_a_ledger_learn_of_it(autojump_clock: MockClock) -> None:
    ledger = LocalLedger()
    async with open_world(ledger=ledger) as (first, world), open_world(ledger=ledger) as (second, other):
        other.connect_delay = 5
        async with trio.open_nursery() as nursery:
            nursery.start_soon(quietly, second.rotate)
            await trio.sleep(1)
            await world.peers[0].refuse({"id": 1}, 429, -1003, "m", data={"retryAfter": world.now() + 60_000})
            await wait_all_tasks_blocked()
            assert 59 <= await held_for(second, other, 100) <= 61
            nursery.cancel_scope.cancel()
        assert first.hold is None


# Opening handshakes


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


# What users are told


async def test_g8_only_a_hold_that_lasts_as_long_is_why_there_is_no_room(autojump_clock: MockClock) -> None:
    async with open_world() as (session, world):
        await trio.sleep(100)
        await world.peers[0].refuse({"id": 1}, 429, -1003, "slow down", data={"retryAfter": world.now() + 5_000})
        await wait_all_tasks_blocked()
        throttle = session._shared.throttle
        assert [("slow down" in str(throttle.no_room("m", delay))) for delay in (4.0, 5.5, 7.0, 50.0)] == [
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


# The clock


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


# Budgets


async def test_g8_what_is_lost_with_a_connection_is_settled(autojump_clock: MockClock) -> None:
    """An open charge counts on top of every count; one that nobody settles would count twice for a minute."""
    async with open_world(key=HMAC) as (session, world):
        a_day = {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 1000}
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(quietly, lambda: session.send(BUY))
            await wait_all_tasks_blocked()
            await world.peers[0].cut()
        await trio.sleep(1)
        world.script["order.place"] = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: session.send(BUY))
            # It counts the three that were lost.
            await world.peers[1].answer(await world.peers[1].next(), ACK, rateLimits=[{**a_day, "count": 4}])
        assert [(limit.interval, limit.count) for limit in session.order_counts if limit.interval == "DAY"] == [
            ("DAY", 4)
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: session.send(BUY))
            await world.peers[1].answer(await world.peers[1].next(), ACK, rateLimits=[{**a_day, "count": 2}])
        assert [limit.count for limit in session.order_counts if limit.interval == "DAY"] == [2]


async def test_g8_what_opening_a_connection_costs_is_settled(autojump_clock: MockClock) -> None:
    """Else a count that says less than what is open could not lower it for a minute."""
    async with open_world() as (session, world):
        await session.rotate()
        world.script["ping"] = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.ping)
            await world.peers[1].answer(await world.peers[1].next(), rateLimits=[{**LIMITS[0], "count": 1}])
        assert session.request_weight is not None
        assert session.request_weight.count == 1


async def test_g8_what_was_used_before_the_limits_were_known_counts(autojump_clock: MockClock) -> None:
    async with open_world(key=ed25519_key()) as (session, _world):
        # Connecting 2, the time 3, the limits 20, logging on 2.
        assert session.request_weight is not None
        assert session.request_weight.count == 27


def _metered(world: World, limit: int) -> Callable[[Peer], Any]:
    """Counts as the exchange does, and refuses what is too much."""
    counts: dict[int, int] = {}
    weights = {"exchangeInfo": 20, "session.logon": 2, "userDataStream.subscribe": 2}
    most = {"weight": 0}
    answer_own = world.answer_own

    async def answer(peer: Peer, request: Json) -> bool:
        window = world.now() // 60_000
        counts[window] = counts.get(window, 0) + weights.get(request["method"], 1)
        most["weight"] = max(most["weight"], counts[window])
        answer_of = peer.answer

        async def with_counts(request: Json, result: Any = None, **envelope: Any) -> None:
            limits = [{**LIMITS[0], "limit": limit, "count": counts[window]}]
            await answer_of(request, result, **{"rateLimits": limits, **envelope})

        peer.answer = with_counts  # type: ignore[method-assign]
        try:
            return await answer_own(peer, request)
        finally:
            peer.answer = answer_of  # type: ignore[method-assign]

    world.answer_own = answer  # type: ignore[method-assign]
    return lambda _peer: most


@pytest.mark.parametrize("limit", [30, 60, 600])
async def test_g5_g8_a_full_budget_keeps_no_rotation_and_no_cancel_waiting(
    autojump_clock: MockClock, limit: int
) -> None:
    async with open_world(key=ed25519_key(), request_timeout=60) as (session, world), trio.open_nursery() as nursery:
        _metered(world, limit)
        world.script["order.cancel"] = None

        async def poll() -> None:
            while True:
                await quietly(session.ping)
                await trio.sleep(0.1)

        for _ in range(20):
            nursery.start_soon(poll)
        await trio.sleep(90)
        for number in range(1, 4):
            await trio.sleep(47)
            begun = trio.current_time()
            await session.rotate()
            assert trio.current_time() - begun < 4
            begun = trio.current_time()
            nursery.start_soon(quietly, lambda: session.order_cancel(symbol="BTCUSDT", order_id=1))
            request = await world.peers[number].next()
            assert request["method"] == "order.cancel"
            assert trio.current_time() - begun < 4
        polled = len(world.sent("ping"))
        assert polled > 3.5 * (limit - limit // 10 - 20)  # little of the limit lies idle
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("limit", [1, 0, -1, 10**12])
async def test_g1_one_answer_with_a_limit_that_cannot_be_right_ends_nothing(
    autojump_clock: MockClock, limit: int
) -> None:
    async with open_world(key=HMAC) as (session, world):
        odd = [{**one, "limit": limit, "count": 1} for one in LIMITS]
        await world.peers[0].answer({"id": 1}, rateLimits=odd)
        await world.peers[0].cut()
        await trio.sleep(1)
        assert await session.ping() is not None
        assert len(world.doors) == 2


@pytest.mark.parametrize("left", [0.05, 0.15, 0.19, 0.21, 0.4, 2.0])
async def test_g7_what_a_wait_leaves_less_than_a_round_trip_for_is_not_sent(
    autojump_clock: MockClock, left: float
) -> None:
    """A hold ends that long before the deadline: what could not be answered in time would be of unknown outcome."""
    async with open_world(key=HMAC) as (session, world), trio.open_nursery() as nursery:
        world.delay = 0.2
        for _ in range(8):  # as many round trips as are remembered
            await session.rotate()
        await world.peers[-1].refuse({"id": 1}, 429, -1003, "m", data={"retryAfter": world.now() + 10_000})
        await wait_all_tasks_blocked()
        assert session.hold is not None
        ends_at = session._shared.own.ledger.delay(ANYTHING, ticks())
        order = in_background(nursery, lambda: session.within(ends_at + left).send(BUY))
        await trio.sleep(20)
        assert len(world.sent("order.place")) == (left > 0.2)
        assert isinstance(order.error, bintrio.OutcomeUnknown if left > 0.2 else NotSent)


async def test_g8_a_429_while_a_connection_retires_costs_its_orders_nothing(autojump_clock: MockClock) -> None:
    async with (
        open_pair(key=ed25519_key(), drain_timeout=100, request_timeout=100, pong_window=1e6) as (session, exchange),
        session.user_data(),
        trio.open_nursery() as nursery,
    ):
        exchange.script["userDataStream.unsubscribe"] = None
        old = exchange.peers[0]
        order = in_background(nursery, lambda: session.send(BUY))
        placed = await old.next()
        book = in_background(nursery, lambda: session.depth(symbol="A"))
        asked = await old.next()
        is_free = trio.Event()
        stall(session, is_free)
        connection = session._supervisor.connection
        assert connection is not None
        nursery.start_soon(lambda: session.depth(symbol="B"))  # keeps the writer busy
        await wait_all_tasks_blocked()
        await session.rotate()
        await wait_all_tasks_blocked()
        await old.refuse(asked, 429, -1003, "too many", data={"retryAfter": START + 5000})
        await trio.sleep(1)
        assert isinstance(book.error, Rejected)
        assert connection.cause is None
        await old.answer(placed, ACK)
        await trio.sleep(1)
        assert order.value is not None
        nursery.cancel_scope.cancel()


async def test_waiting_for_the_budget_is_not_taken_for_time_on_the_way(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, _exchange):
        assert session._supervisor.connection is not None
        session._shared.own.ledger.hold(Refusal(429, -1003, "slow down", 5000), ticks())
        await session._supervisor.connection.own.measure_clock()
        assert trio.current_time() == 5
        assert session.round_trip == 0


async def test_g8_after_429_nothing_goes_out_before_retry_after(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, session.ping)
        request = await exchange.peers[0].next()
        second = in_background(nursery, session.ping)
        other = await exchange.peers[0].next()
        await exchange.peers[0].refuse(request, 429, -1003, "slow down", data={"retryAfter": START + 5_000})
        await wait_all_tasks_blocked()
        third = in_background(nursery, session.ping)
        await trio.sleep(4.9)
        assert isinstance(first.error, RateLimited)
        assert first.error.retry_at == START + 5_000
        assert len(exchange.sent("ping")) == 2
        await exchange.peers[0].answer(other)
        await exchange.peers[0].answer(await exchange.peers[0].next())
        await wait_all_tasks_blocked()
        assert second.value is not None
        assert 5 <= third.at < 6


async def test_g8_a_ban_holds_everything_and_a_call_that_cannot_wait_is_not_sent(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, session.ping)
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 418, -1003, "banned", data={"retryAfter": START + 300_000}
        )
        await exchange.peers[0].cut()
        await wait_all_tasks_blocked()
        assert isinstance(first.error, Banned)
        second = in_background(nursery, session.ping)
        await trio.sleep(200)
        assert isinstance(second.error, NotSent)
        assert len(exchange.addresses) == 1
        await trio.sleep(101)
        assert len(exchange.addresses) == 2


async def test_g8_too_many_orders_hold_orders_only(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[0].refuse(
            await exchange.peers[0].next(), 429, -1015, "Too many new orders.", data={"retryAfter": START + 5_000}
        )
        await wait_all_tasks_blocked()
        assert isinstance(first.error, RateLimited)
        second = in_background(nursery, lambda: session.send(BUY))
        cancel = in_background(nursery, lambda: session.order_cancel(symbol="BTCUSDT", order_id=1))
        request = await exchange.peers[0].next()
        assert request["method"] == "order.cancel"
        await exchange.peers[0].refuse(request, 400, -2011, "Unknown order sent.")
        await exchange.peers[0].answer(await exchange.peers[0].next(), ACK)
        await wait_all_tasks_blocked()
        assert isinstance(cancel.error, bintrio.UnknownOrder)
        assert 5 <= second.at < 6


async def test_g8_the_order_limit_is_kept_before_the_exchange_has_to_say_so(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, request_timeout=60) as (session, exchange), trio.open_nursery() as nursery:
        for _ in range(60):
            in_background(nursery, lambda: session.send(BUY, id=None))
        await wait_all_tasks_blocked()
        assert len(exchange.sent("order.place")) == 50
        assert [limit.count for limit in session.order_counts] == [50]
        await trio.sleep(21)
        assert len(exchange.sent("order.place")) == 60
        nursery.cancel_scope.cancel()


async def test_g8_a_429_with_a_verdict_on_nobody_holds_everything_too(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        await exchange.peers[0].refuse({"id": None}, 429, -1003, "slow down", data={"retryAfter": START + 5_000})
        await wait_all_tasks_blocked()
        assert session.connection is None
        outcome = in_background(nursery, session.ping)
        await trio.sleep(4.9)
        assert len(exchange.addresses) == 1
        await trio.sleep(2)
        await exchange.peers[1].answer(await exchange.peers[1].next())
    assert outcome.value is not None


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


async def test_g8_what_is_queued_when_a_429_comes_does_not_leave(autojump_clock: MockClock) -> None:
    async with open_pair() as (session, exchange), trio.open_nursery() as nursery:
        first = in_background(nursery, session.ping)
        request = await exchange.peers[0].next()
        stalled = trio.Event()
        stall(session, stalled)
        taken = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        queued = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        await exchange.peers[0].refuse(request, 429, -1003, "slow down", data={"retryAfter": START + 5_000})
        await wait_all_tasks_blocked()
        assert isinstance(first.error, RateLimited)
        assert session.connection is not None
        assert session.connection.in_flight == 1
        await trio.sleep(20)
        assert isinstance(taken.error, OutcomeUnknown)
        assert isinstance(queued.error, NotSent)
        stalled.set()


class Portions(LocalLedger):
    """A ledger that gets its budget from elsewhere, and has none yet for costs of one purpose."""

    def __init__(self, purpose: str) -> None:
        super().__init__()
        self.lacking = purpose
        self.told: list[Any] = []

    def delay(self, cost: Cost, now: int) -> float:
        return 5.0 if cost.purpose == self.lacking else super().delay(cost, now)

    def watch(self, told: Any) -> None:
        self.told.append(told)
        super().watch(told)

    def grant(self) -> None:
        self.lacking = ""
        for told in self.told:
            told(None)


async def test_a_call_that_waits_for_room_leaves_when_the_ledger_says_that_there_is_some(
    autojump_clock: MockClock,
) -> None:
    ledger = Portions("call")
    async with open_pair(ledger=ledger) as (session, exchange), trio.open_nursery() as nursery:
        outcome = in_background(nursery, session.ping)
        await wait_all_tasks_blocked()
        assert session.connection is not None
        assert session.connection.in_flight == 0
        began = trio.current_time()
        ledger.grant()
        await exchange.peers[0].answer(await exchange.peers[0].next(), {})
        await wait_all_tasks_blocked()
        assert (outcome.error, outcome.at) == (None, began)


async def test_a_connection_that_waits_for_room_is_opened_when_the_ledger_says_that_there_is_some(
    autojump_clock: MockClock,
) -> None:
    ledger = Portions("")
    async with open_pair(ledger=ledger) as (session, exchange), trio.open_nursery() as nursery:
        ledger.lacking = "own"
        outcome = in_background(nursery, session.rotate)
        await wait_all_tasks_blocked()
        assert len(exchange.peers) == 1
        began = trio.current_time()
        ledger.grant()
        await wait_all_tasks_blocked()
        assert (len(exchange.peers), outcome.error, outcome.at) == (2, None, began)


async def test_g6_a_caller_cancelled_while_it_waits_for_room_is_not_woken(autojump_clock: MockClock) -> None:
    ledger = Portions("call")
    async with open_pair(ledger=ledger) as (session, exchange):
        with trio.move_on_after(1) as scope:
            await session.ping()
        assert scope.cancelled_caught
        ledger.grant()
        await trio.sleep(10)
        with pytest.raises(trio.WouldBlock):
            exchange.peers[0].requests.receive_nowait()
