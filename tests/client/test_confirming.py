"""What became of a trading call: whom `confirm` asks, how long, and what it believes."""

# What isinstance makes of an error leaves the type of its request open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from functools import partial

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.errors import (
    InvalidRequest,
    NotSent,
    OutcomeUnknown,
    Unauthorized,
)
from bintrio.requests import OrderCancel, Ping
from tests.peer import ORDER, START, URL, Exchange, open_exchange, open_pair
from tests.sessions import BUY, HMAC, in_background

pytestmark = pytest.mark.usefixtures("both_streams")


async def unknown_order(session: bintrio.Session, exchange: Exchange) -> OutcomeUnknown:
    async with trio.open_nursery() as nursery:
        outcome = in_background(nursery, lambda: session.send(BUY))
        await exchange.peers[-1].next()
        await exchange.peers[-1].cut()
    await trio.sleep(1)
    assert isinstance(outcome.error, OutcomeUnknown)
    return outcome.error


async def test_g7_confirm_finds_an_order_that_was_executed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        error = await unknown_order(session, exchange)
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.confirm(error))
            request = await exchange.peers[1].next()
            assert request["method"] == "order.status"
            assert request["params"]["origClientOrderId"] == "mine"
            await exchange.peers[1].answer(request, ORDER)
        assert outcome.value.status == "FILLED"


async def test_g7_confirm_believes_that_there_is_no_order_only_when_it_is_too_late_for_one(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        error = await unknown_order(session, exchange)
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.confirm(error))
            for _ in range(2):
                await exchange.peers[1].refuse(await exchange.peers[1].next(), 400, -2013, "Order does not exist.")
        assert outcome.value is None
        assert outcome.error is None
        assert error.final_at is not None
        assert START + outcome.at * 1000 >= error.final_at
        assert len(exchange.sent("allOrders")) == 1


async def test_g7_confirm_goes_on_asking_until_the_exchange_says(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC, request_timeout=2) as (session, exchange):
        error = await unknown_order(session, exchange)
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.confirm(error))
            await exchange.peers[1].refuse(await exchange.peers[1].next(), 500, -1000, "no idea")
            await exchange.peers[1].next()
            await trio.sleep(4)
            await exchange.peers[1].answer(await exchange.peers[1].next(), ORDER)
        assert outcome.value.order_id == 7


async def test_g7_confirm_believes_that_an_order_stays_open_only_when_it_is_too_late_to_cancel_it(
    autojump_clock: MockClock,
) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        cancel = OrderCancel(symbol="BTCUSDT", order_id=7)
        for last in ("NEW", "CANCELED"):
            error = OutcomeUnknown("order.cancel", "lost", request=cancel, final_at=session.now() + 5000)
            ask = partial(session.confirm, error)
            async with trio.open_nursery() as nursery:
                outcome = in_background(nursery, ask)
                for status in ("NEW", last):
                    await exchange.peers[0].answer(await exchange.peers[0].next(), {**ORDER, "status": status})
            assert outcome.value.status == last
            assert START + outcome.at * 1000 >= (error.final_at or 0)


async def test_confirm_passes_refusals_on_and_refuses_what_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        error = await unknown_order(session, exchange)
        async with trio.open_nursery() as nursery:
            outcome = in_background(nursery, lambda: session.confirm(error))
            await exchange.peers[1].refuse(await exchange.peers[1].next(), 400, -2015, "Invalid API-key")
        assert isinstance(outcome.error, Unauthorized)
        with pytest.raises(InvalidRequest, match="ping leaves nothing behind"):
            await session.confirm(OutcomeUnknown("ping", "lost", request=Ping()))  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest, match=r"order\.place leaves nothing behind"):
            await session.confirm(OutcomeUnknown("order.place", "lost"))


async def test_confirm_stops_asking_when_the_session_is_closed(autojump_clock: MockClock) -> None:
    async with open_pair(key=HMAC) as (session, exchange):
        error = await unknown_order(session, exchange)
    with pytest.raises(NotSent):
        await session.confirm(error)


async def test_g7_confirm_waits_for_the_window_in_either_unit(autojump_clock: MockClock) -> None:
    async with open_exchange() as exchange:
        exchange.script["time"] = lambda _peer: {"serverTime": (START + int(trio.current_time() * 1000)) * 1000}
        async with (
            bintrio.open_session(URL, connect=exchange.connect, key=HMAC, time_unit="us") as session,
            trio.open_nursery() as nursery,
        ):
            cancel = OrderCancel(symbol="BTCUSDT", order_id=7)
            error = OutcomeUnknown("order.cancel", "lost", request=cancel, final_at=session.now() + 5_000_000)
            outcome = in_background(nursery, lambda: session.confirm(error))
            for _ in range(2):
                await exchange.peers[0].answer(await exchange.peers[0].next(), {**ORDER, "status": "NEW"})
        assert 5 < outcome.at < 10
