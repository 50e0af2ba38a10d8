"""What a test asks of a running sandbox: that an order fills, and what came."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from trio.testing import MockClock

from bintrio import Session, open_session
from bintrio.api.general import ExecutionRule
from bintrio.api.trading import OrderPlace
from bintrio.errors import InvalidRequest, OutcomeUnknown, Rejected
from bintrio.sandbox import (
    Disconnect,
    DropReply,
    HandshakeStatus,
    MeanOfTrades,
    Sandbox,
    SandboxAccount,
    ServerError,
    Symbol,
    open_sandbox,
    trader,
)
from bintrio.sandbox.exchange.refusals import Refusal
from bintrio.sandbox.server.connection import CALLS_KEPT

D = Decimal


@asynccontextmanager
async def opened(**settings: Any) -> AsyncGenerator[tuple[Sandbox, Session], None]:
    async with (
        open_sandbox(listen=False, **settings) as sandbox,
        open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        yield sandbox, session


async def place(session: Session, price: int = 100, side: Any = "BUY", **more: Any) -> int:
    params: Any = {"symbol": "BTCUSDT", "side": side, "type": "LIMIT", "time_in_force": "GTC", "quantity": D(2)}
    order: Any = await session.send(OrderPlace(price=price, **params, **more))
    return int(order.order_id)


@pytest.mark.parametrize("side", ["BUY", "SELL"])
async def test_an_order_is_filled_in_part_and_then_whole(autojump_clock: MockClock, side: Any) -> None:
    async with opened() as (sandbox, session):
        number = await place(session, side=side)
        better, worse = (D(101), D(99)) if side == "BUY" else (D(99), D(101))
        for price in (better, D(100), worse):
            sandbox.trade("BTCUSDT", side, price, D(1))
        (order,) = sandbox.orders
        assert sandbox.fill(number, D("0.5")).status == "FILLED"
        assert (order.status, order.executed) == ("PARTIALLY_FILLED", D("0.5"))
        sandbox.fill(order)
        assert (order.status, order.quote_executed) == ("FILLED", D(200))
        book = await session.depth(symbol="BTCUSDT")
        assert [each.price for each in (*book.bids, *book.asks)] == [100, worse]


async def test_orders_of_clients_keep_their_priority(autojump_clock: MockClock) -> None:
    async with opened() as (sandbox, session):
        first, iceberg = await place(session), await place(session, iceberg_qty=D(1))
        with pytest.raises(InvalidRequest, match=f"order {iceberg} cannot be filled: of clients, {first} stand before"):
            sandbox.fill(iceberg)
        sandbox.fill(first)
        behind = await place(session)
        with pytest.raises(InvalidRequest, match=f"of clients, {behind} stand before it"):
            sandbox.fill(iceberg)
        sandbox.fill(iceberg, D(1))
        with pytest.raises(InvalidRequest, match=f"of clients, {behind} stand before it"):
            sandbox.fill(iceberg)


async def test_what_cannot_be_filled_says_why(autojump_clock: MockClock) -> None:
    async with opened() as (sandbox, session):
        done, number = await place(session), await place(session, 90)
        sandbox.fill(done)
        stop = await session.order_place(
            symbol="BTCUSDT", side="SELL", type="STOP_LOSS", stop_price=D(50), quantity=D(1)
        )
        makers = sandbox.trade("BTCUSDT", "SELL", D(200), D(1))
        for order, reason in (
            (done, "is not on the book: it is FILLED"),
            (stop.order_id, "is not on the book: it waits for its price"),
            (makers, "must be one of sandbox.orders or its id"),
            (999, "must be one of sandbox.orders or its id, not int 999"),
        ):
            with pytest.raises(InvalidRequest, match=reason):
                sandbox.fill(order)
        for quantity in (D(0), D(3)):
            with pytest.raises(InvalidRequest, match="quantity must be above 0 and at most 2"):
                sandbox.fill(number, quantity)
        with pytest.raises(Refusal, match="NOTIONAL"):
            sandbox.fill(number, D("0.01"))
        await session.order_cancel(symbol="BTCUSDT", order_id=number)
        with pytest.raises(InvalidRequest, match="it is CANCELED"):
            sandbox.fill(number)


RULE = ExecutionRule(rule_type="PRICE_RANGE", bid_limit_mult_up=D(2), ask_limit_mult_down=D("0.5"))


async def test_an_order_is_filled_where_execution_rules_let_it_trade(autojump_clock: MockClock) -> None:
    """price_range_execution_rules.md: the bounds are those of the taker, who is the market maker here."""
    symbol = Symbol(base="BTC", quote="USDT", execution_rules=(RULE,))
    async with opened(symbols=[symbol]) as (sandbox, session):
        sandbox.set_reference_price("BTCUSDT", D(300))
        number = await place(session, 100)
        sandbox.trade("BTCUSDT", "BUY", D(101), D(1))
        said = f"order {number} cannot be filled: an execution rule lets nothing trade at 100"
        with pytest.raises(InvalidRequest, match=said) as caught:
            sandbox.fill(number)
        assert caught.value.field == "order"
        book = await session.depth(symbol="BTCUSDT")
        assert [level.price for level in book.bids] == [101, 100]  # nothing was canceled on the way
        expired = sandbox.trade("BTCUSDT", "SELL", D(101), D(1))
        assert expired.expiry_reason == "EXECUTION_RULE_PRICE_RANGE_EXCEEDED"
        for reference in (D(200), None):
            sandbox.set_reference_price("BTCUSDT", reference)
            assert sandbox.fill(number, D(1)).status == "FILLED"
        assert sandbox.orders[0].status == "FILLED"


async def test_a_reference_price_is_of_a_symbol(autojump_clock: MockClock) -> None:
    async with opened() as (sandbox, session):
        sandbox.set_reference_price("BTCUSDT", D(10))
        found: Any = await session.reference_price(symbol="BTCUSDT")
        assert (found.reference_price, found.timestamp) == (10, sandbox.now())
        for price in (100, 200):
            number = await place(session, price)
            sandbox.fill(number)
        sandbox.set_reference_price("BTCUSDT", MeanOfTrades(bucket_count=10, bucket_width_ms=60_000))
        found = await session.reference_price(symbol="BTCUSDT")
        assert found.reference_price == 150
        calculation: Any = await session.reference_price_calculation(symbol="BTCUSDT")
        assert (calculation.bucket_count, calculation.bucket_width_ms) == (10, 60_000)
        with pytest.raises(InvalidRequest, match="bucket_count must be"):
            MeanOfTrades(0, 1)
        with pytest.raises(Refusal):
            sandbox.set_reference_price("NOPE", D(10))
        with pytest.raises(InvalidRequest, match="price must be"):
            sandbox.set_reference_price("BTCUSDT", D(-1))


async def test_balances_are_those_of_an_account(autojump_clock: MockClock) -> None:
    async with opened(accounts=[trader(5), SandboxAccount(6, {"BTC": D(1)})]) as (sandbox, session):
        await place(session, 100)
        usdt = next(each for each in sandbox.balances() if each.asset == "USDT")
        assert (usdt.free, usdt.locked) == (D(999_800), D(200))
        assert [(each.asset, each.free) for each in sandbox.balances(6)] == [("BTC", D(1))]
        with pytest.raises(InvalidRequest, match="uid must be one of"):
            sandbox.balances(7)


async def test_calls_show_what_came_and_how_it_was_answered(autojump_clock: MockClock) -> None:
    async with opened() as (sandbox, session):
        before = len(sandbox.calls)
        await session.depth(symbol="BTCUSDT", limit=5)
        with pytest.raises(Rejected):
            await session.depth(symbol="NOPE")
        sandbox.inject(ServerError("order.place", executed=True))
        with pytest.raises(OutcomeUnknown):
            await place(session)
        depth, refused, placed, *_ = sandbox.calls[before:]
        assert (depth.method, depth.params, depth.status, depth.code) == (
            "depth",
            {"symbol": "BTCUSDT", "limit": 5},
            200,
            None,
        )
        assert (depth.time, depth.connection) == (sandbox.now(), 1)
        assert (refused.status, refused.code) == (400, -1121)
        assert placed.status is not None
        assert placed.status >= 500
        assert placed.params["price"] == "100"
    logon = sandbox.calls[0]
    assert not {"apiKey", "signature"} & {name for call in sandbox.calls for name in call.params}
    assert logon.time == sandbox.now()


async def test_calls_without_an_answer_have_no_status(autojump_clock: MockClock) -> None:
    async with opened() as (sandbox, session):
        sandbox.inject(Disconnect("order.place", executed=False))
        with pytest.raises(OutcomeUnknown):
            await place(session)
        sandbox.inject(DropReply("order.place"))
        with pytest.raises(OutcomeUnknown):
            await place(session)
        found = [(call.status, call.code) for call in sandbox.calls if call.method == "order.place"]
        assert found == [(None, None), (200, None)]
        assert {call.connection for call in sandbox.calls} == {1, 2}


async def test_the_latest_calls_are_kept(autojump_clock: MockClock) -> None:
    async with opened() as (sandbox, _):
        connection = next(iter(sandbox._connections.open.values()))
        for _ in range(CALLS_KEPT + 1):
            connection._receive("not json")
        assert {(call.method, call.status, call.code) for call in sandbox.calls} == {("", 400, -1135)}
        assert len(sandbox.calls) == CALLS_KEPT


async def test_a_witness_sees_what_comes_and_hears_what_happens_whatever_goes_wrong(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox:
        witness = sandbox.witness(time_unit="us")
        sandbox.inject(Disconnect("order.place", executed=True))
        async with open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session:
            with pytest.raises(OutcomeUnknown):
                await session.order_place(
                    symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price=64_000, quantity=1
                )
            sandbox.inject(refused := HandshakeStatus(status=503))
            await session.rotate()
        sandbox.announce_shutdown()
        attempts = [(attempt.status, attempt.fault) for attempt in witness.attempts]
        assert attempts[0] == attempts[-1] == (101, None)
        assert (503, refused) in attempts
        lost = next(call for call in witness.calls if call.fault is not None)
        assert (lost.incoming.method, lost.fault) == ("order.place", Disconnect("order.place", executed=True))
        assert lost.outcome is not None
        assert lost.outcome.result.order_id == 1
        assert [told.event["e"] for told in witness.events] == ["executionReport", "outboundAccountPosition"]
        assert witness.events[0].event["E"] == witness.events[0].time * 1000
        gone: Any = object()
        sandbox._connections.witnesses.hear(gone, b"", b"", 0)
