"""Holds, seen from the exchange: where a 429 may come in, what it keeps from leaving, and for how long."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import bintrio
from bintrio._protocol.rate_limits import LocalLedger
from bintrio.errors import Banned, NotSent, OutcomeUnknown, RateLimited, Rejected
from tests.peer import ACK, START, Json, Peer, ed25519_key, open_pair
from tests.refusing import BUY, SLOW_DOWN, World, held_for, open_world, quietly
from tests.sessions import HMAC, in_background
from tests.streams import stall

pytestmark = pytest.mark.usefixtures("both_streams")


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
