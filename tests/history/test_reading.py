"""`Session.history` on the sandbox, in virtual time: everything beyond a page, each once."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio import InvalidRequest
from bintrio.api._values import RateLimit
from bintrio.api.orders import OrderList
from bintrio.endpoints import TimeUnit
from bintrio.history import History, Progress
from bintrio.requests import OrderListPlaceOco, OrderPlace
from bintrio.sandbox import Disconnect, RandomWalk, Sandbox, TooManyRequests, open_sandbox

DAY = 86_400_000
MARKET: Final = OrderPlace(symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.001")
RESTING: Final = OrderPlace(
    symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="60000", quantity="0.005"
)
OCO: Final = OrderListPlaceOco(
    symbol="BTCUSDT",
    side="SELL",
    quantity="0.001",
    above_type="LIMIT_MAKER",
    above_price="70000",
    below_type="STOP_LOSS",
    below_stop_price="50000",
)


@asynccontextmanager
async def open_here(
    *, market: RandomWalk | None = None, after_days: float = 0, **options: Any
) -> AsyncGenerator[tuple[Sandbox, bintrio.Session]]:
    """A session on a sandbox that has been there for some days."""
    async with open_sandbox(listen=False, market=market) as sandbox:
        sandbox.advance(after_days * 86_400)
        async with session_on(sandbox, **options) as session:
            yield sandbox, session


def session_on(sandbox: Sandbox, **options: Any) -> AbstractAsyncContextManager[bintrio.Session]:
    return bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect, **options)


# Candles


@pytest.mark.parametrize("method", ["klines", "ui_klines"])
async def test_klines_of_two_days_come_without_gap_and_overlap(method: str, autojump_clock: MockClock) -> None:
    async with open_here(market=RandomWalk(seed=1, interval=600), after_days=2) as (_, session):
        start = session.now() - 2 * DAY
        read: Any = getattr(session.history, method)
        klines = [kline async for kline in read(symbol="BTCUSDT", interval="1m", start_time=start)]
    assert len(klines) == 2 * 24 * 60 + 1
    times = [kline.open_time for kline in klines]
    assert times == list(range(times[0], times[-1] + 1, 60_000))
    assert start <= times[0] < start + 60_000


async def test_a_span_of_klines_includes_both_its_ends(autojump_clock: MockClock) -> None:
    async with open_here(market=RandomWalk(seed=1, interval=60), after_days=1) as (sandbox, session):
        start = session.now() // 60_000 * 60_000 - 40 * 60_000
        end = start + 9 * 60_000
        before = len(sandbox.calls)
        klines = [
            kline
            async for kline in session.history.klines(
                symbol="BTCUSDT", interval="1m", start_time=start, end_time=end, limit=4
            )
        ]
        assert len(sandbox.calls) - before == 3, "the last one closes after the end, so no more is asked"
        assert klines == list(await session.klines(symbol="BTCUSDT", interval="1m", start_time=start, end_time=end))
    assert (klines[0].open_time, klines[-1].open_time) == (start, end)


async def test_microseconds_and_time_zones_go_along(autojump_clock: MockClock) -> None:
    async with open_here(market=RandomWalk(seed=1, interval=3600), after_days=10, time_unit="us") as (_, session):
        start = session.now() - 10 * DAY * 1000
        days = [
            kline.open_time
            async for kline in session.history.klines(
                symbol="BTCUSDT", interval="1d", start_time=start, time_zone="5:30", limit=3
            )
        ]
    assert len(days) == 10
    assert all((day + 5.5 * 3_600_000_000) % (DAY * 1000) == 0 for day in days)


# Public trades


async def test_trades_come_by_id_and_by_time(autojump_clock: MockClock) -> None:
    async with open_here(market=RandomWalk(seed=2, interval=600), after_days=1) as (_, session):
        start = session.now() - DAY
        first, last = start + DAY // 4, start + DAY // 2
        history = session.history
        aggregates = [
            trade
            async for trade in history.trades_aggregate(symbol="BTCUSDT", start_time=first, end_time=last, limit=7)
        ]
        everything = [trade async for trade in history.trades_historical(symbol="BTCUSDT", from_id=0, limit=50)]
        later = [trade async for trade in history.trades_aggregate(symbol="BTCUSDT", from_id=aggregates[-1].id)]
        none = [trade async for trade in history.block_trades_historical(symbol="BTCUSDT", from_id=0)]
        nothing_yet = session.now() + 10
        future = history.trades_aggregate(symbol="BTCUSDT", start_time=nothing_yet, end_time=nothing_yet)
        assert [trade async for trade in future] == []
    assert len(aggregates) > 20
    assert [trade.id for trade in everything] == list(range(everything[0].id, everything[-1].id + 1))
    in_span = [trade.id for trade in everything if first <= trade.time <= last]
    assert (aggregates[0].first_trade_id, aggregates[-1].last_trade_id) == (in_span[0], in_span[-1])
    assert [trade.id for trade in aggregates] == list(range(aggregates[0].id, aggregates[-1].id + 1))
    assert later[0] == aggregates[-1]
    assert later[-1].last_trade_id == everything[-1].id
    assert none == []


# The account


async def trade_for_days(sandbox: Sandbox, days: int) -> None:
    """On every other day one market order, and one that rests and is canceled a day later."""
    for _ in range(days):
        async with session_on(sandbox) as session:
            sandbox.quote("BTCUSDT", Decimal(64000), Decimal(64010), Decimal(1))
            await session.send(MARKET)
            resting = await session.send(RESTING)
        sandbox.advance(86_400)
        async with session_on(sandbox) as session:
            await session.order_cancel(symbol="BTCUSDT", order_id=resting.order_id)
        sandbox.advance(86_400)


@pytest.mark.parametrize("time_unit", ["ms", "us"])
async def test_the_account_is_read_over_many_days(time_unit: Any, autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox:
        sandbox.advance(40 * 86_400)
        await trade_for_days(sandbox, 8)
        async with session_on(sandbox, time_unit=time_unit) as session:
            await check_the_account(sandbox, session)


async def check_the_account(sandbox: Sandbox, session: bintrio.Session) -> None:
    ticks = 1000 if session.time_unit == "us" else 1
    begin = session.now() - 16 * DAY * ticks
    ages_ago, later = begin - 39 * DAY * ticks, begin + 6 * DAY * ticks
    history, calls = session.history, len(sandbox.calls)
    every = [trade async for trade in history.my_trades(symbol="BTCUSDT")]
    assert len(sandbox.calls) - calls == 2
    by_time = [trade async for trade in history.my_trades(symbol="BTCUSDT", start_time=ages_ago, limit=3)]
    some = [trade async for trade in history.my_trades(symbol="BTCUSDT", start_time=begin + 1, end_time=later)]
    from_id = [trade async for trade in history.my_trades(symbol="BTCUSDT", from_id=every[3].id, limit=2)]
    of_one = [trade async for trade in history.my_trades(symbol="BTCUSDT", order_id=every[2].order_id)]
    by_ids = [order async for order in history.all_orders(symbol="BTCUSDT", limit=5)]
    by_update = [order async for order in history.all_orders(symbol="BTCUSDT", start_time=ages_ago, limit=2)]
    windowed = [order async for order in history.all_orders(symbol="BTCUSDT", start_time=begin + 1, end_time=later)]
    nothing = [order async for order in history.all_orders(symbol="ETHUSDT", start_time=ages_ago)]
    assert len(every) == 8
    assert every == by_time
    assert some == [trade for trade in every if begin < trade.time <= later]
    assert from_id == every[3:]
    assert of_one == every[2:3]
    assert [order.order_id for order in by_ids] == sorted(order.order_id for order in by_ids)
    assert len(by_ids) == 16
    assert by_update == sorted(by_ids, key=lambda order: (order.update_time, order.order_id))
    assert windowed == [order for order in by_update if begin < order.update_time <= later]
    assert nothing == []


async def test_order_lists_and_amendments_are_read(autojump_clock: MockClock) -> None:
    async with open_here() as (sandbox, session):
        sandbox.quote("BTCUSDT", Decimal(64000), Decimal(64010), Decimal(1))
        begin = session.now()
        for _ in range(5):
            await session.send(OCO)
            await trio.sleep(600)
        order = await session.send(RESTING)
        for quantity in ("0.004", "0.003", "0.002"):
            await session.order_amend_keep_priority(symbol="BTCUSDT", order_id=order.order_id, new_qty=quantity)
        history = session.history
        by_id = [each async for each in history.all_order_lists(limit=2)]
        by_time = [each async for each in history.all_order_lists(start_time=begin, limit=2)]
        amendments = [
            each.new_qty async for each in history.order_amendments(symbol="BTCUSDT", order_id=order.order_id, limit=2)
        ]
        none = [each async for each in history.my_allocations(symbol="BTCUSDT", start_time=begin)]
        matches = [each async for each in history.my_prevented_matches(symbol="BTCUSDT", order_id=order.order_id)]
    assert len(by_id) == 5
    assert by_time == by_id
    assert amendments == [Decimal("0.004"), Decimal("0.003"), Decimal("0.002")]
    assert none == []
    assert matches == []


async def test_a_list_that_ends_while_it_is_read_comes_once(autojump_clock: MockClock) -> None:
    """Its end is a later time, so it is in the next span too."""
    async with open_sandbox(listen=False) as sandbox:
        async with session_on(sandbox) as session:
            sandbox.quote("BTCUSDT", Decimal(64000), Decimal(64010), Decimal(1))
            begin = session.now()
            await session.send(OCO)
        sandbox.advance(2 * 86_400)
        async with session_on(sandbox) as session:
            read: list[str] = []
            async for each in session.history.all_order_lists(start_time=begin, end_time=session.now() + 60_000):
                read.append(each.list_order_status)
                await session.order_list_cancel(symbol="BTCUSDT", order_list_id=each.order_list_id)
            (ended,) = [each async for each in session.history.all_order_lists(start_time=begin)]
    assert read == ["EXECUTING"]
    assert ended.list_order_status == "ALL_DONE"
    assert ended.transaction_time > begin + DAY


class OneList:
    """A session whose account has one order list, which ends on its second day, when it was seen before."""

    def __init__(self, status: Any) -> None:
        self.time_unit: TimeUnit = "ms"
        self.request_weight: RateLimit | None = None
        self._list = OrderList(
            order_list_id=1,
            contingency_type="OCO",
            list_status_type="EXEC_STARTED",
            list_order_status=status,
            list_client_order_id="list",
            transaction_time=1,
            symbol="BTCUSDT",
            orders=(),
        )

    def now(self) -> int:
        return 2 * DAY

    async def send(self, request: Any, /) -> tuple[OrderList, ...]:
        await trio.lowlevel.checkpoint()
        shown = self._list
        if not request.start_time <= shown.transaction_time <= request.end_time:
            return ()
        self._list = msgspec.structs.replace(shown, list_order_status="ALL_DONE", transaction_time=DAY + 2)
        return (shown,)


@pytest.mark.parametrize("status", ["EXECUTING", "CANCELING", "BREWING"])
async def test_g10_a_list_of_a_status_that_is_not_known_may_end_while_it_is_read(
    autojump_clock: MockClock, status: str
) -> None:
    lists = [each async for each in History(OneList(status)).all_order_lists(start_time=1)]
    assert [each.list_order_status for each in lists] == [status]


async def test_g8_a_history_waits_for_its_budget_and_leaves_half(autojump_clock: MockClock) -> None:
    async with open_sandbox(listen=False) as sandbox, session_on(sandbox) as session:
        await session.send(RESTING)
        sandbox.advance(400 * 86_400)
        async with session_on(sandbox) as session:
            await read_400_days(session)


async def read_400_days(session: bintrio.Session) -> None:
    start, used = session.now() - 399 * DAY, list[int]()

    def note(_progress: Progress) -> None:
        assert session.request_weight is not None
        used.append(session.request_weight.count or 0)

    began = trio.current_time()
    orders = [
        order async for order in session.history.all_orders(symbol="BTCUSDT", start_time=start).with_progress(note)
    ]
    took = trio.current_time() - began
    assert orders == []
    assert len(used) == 400
    assert 3000 <= max(used) < 3020
    assert 120 <= took < 180


async def test_losses_and_refusals_on_the_way_change_nothing(autojump_clock: MockClock) -> None:
    async with open_here(market=RandomWalk(seed=1, interval=600), after_days=1) as (sandbox, session):
        start = session.now() - DAY
        for fault in (Disconnect("klines"), TooManyRequests(method="klines", retry_after=30, skip=2)):
            sandbox.inject(fault)
        klines = [
            kline.open_time
            async for kline in session.history.klines(symbol="BTCUSDT", interval="1m", start_time=start, limit=100)
        ]
    assert klines == list(range(klines[0], klines[-1] + 1, 60_000))
    assert len(klines) == 24 * 60 + 1


# Arguments


@pytest.mark.parametrize(
    ("method", "arguments", "said"),
    [
        ("klines", {"symbol": "BTCUSDT", "interval": "1m"}, "klines: start_time says where to begin, and is missing"),
        ("klines", {"symbol": "BTCUSDT", "start_time": 1}, "klines: interval is missing"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "start_time": 1.5}, "start_time must be"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "start_time": 1, "end_time": "x"}, "end_time must be"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "start_time": 2, "end_time": 1}, "start_time 2 is later"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "end_time": 1}, "end_time goes with start_time"),
        ("my_trades", {"symbol": "BTCUSDT", "end_time": 1, "from_id": 1}, "from_id"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "start_time": 1, "limit": 1001}, "from 1 to 1000, not 1001"),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "start_time": 1, "limit": 0}, "from 1 to 1000, not 0"),
        ("klines", {"symbol": "BTCUSDT", "intervall": "1m"}, "no parameter 'intervall'; did you mean 'interval'?"),
        ("trades_aggregate", {"symbol": "BTCUSDT"}, "from_id or start_time says where to begin"),
        ("trades_aggregate", {"symbol": "BTCUSDT", "from_id": 1, "start_time": 1}, "from_id"),
        ("trades_historical", {"symbol": "BTCUSDT"}, "from_id says where to begin"),
        ("trades_historical", {"symbol": "BTCUSDT", "start_time": 1}, "no parameter 'start_time'"),
        ("all_orders", {"symbol": "BTCUSDT", "order_id": 1, "start_time": 1}, "order_id excludes start_time"),
        ("my_trades", {}, "myTrades: symbol is missing"),
    ],
)
async def test_a_wrong_argument_is_refused_before_anything_is_asked(
    method: str, arguments: dict[str, Any], said: str, autojump_clock: MockClock
) -> None:
    async with open_here() as (_, session):
        with pytest.raises(InvalidRequest, match=said):
            getattr(session.history, method)(**arguments)


def test_help_shows_the_parameters_of_the_request() -> None:
    assert list(inspect.signature(History.my_trades).parameters)[:3] == ["self", "symbol", "order_id"]
    assert "Trades of the account" in (History.my_trades.__doc__ or "")
