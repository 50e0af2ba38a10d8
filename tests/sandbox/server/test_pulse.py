"""When a market moves: whenever somebody looks, and by itself only while somebody listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

import pytest
import trio
from trio.testing import MockClock

import bintrio
from bintrio.sandbox import Market, RandomWalk, Symbol, Tick, open_sandbox
from bintrio.sandbox.exchange.units import SECOND
from bintrio.sandbox.server.pulse import LONGEST

D = Decimal


class Falling(Market):
    """The price falls from 100 by 1 every 10 seconds, ten times."""

    def __init__(self) -> None:
        super().__init__(depth=1)
        self.told: list[float] = []

    def ticks(self, symbols: Mapping[str, Symbol], start: int) -> Iterator[Tick]:
        for number in range(11):
            self.told.append(trio.current_time())
            yield Tick(start + 10 * number * SECOND, "BTCUSDT", D(100 - number), D(1), True)


async def test_nothing_moves_until_somebody_looks(autojump_clock: MockClock) -> None:
    market = Falling()
    began = trio.current_time()
    async with (
        open_sandbox(listen=False, market=market) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        assert (await session.ticker_price(symbol="BTCUSDT")).price == 100
        looks = len(market.told)
        await trio.sleep(15)
        assert len(market.told) == looks == 2
        assert (await session.ticker_price(symbol="BTCUSDT")).price == 99
        await trio.sleep(65)
        assert sandbox.now() == 1_767_225_600_000 + 1_000 * (trio.current_time() - began)
        assert (await session.depth(symbol="BTCUSDT")).bids[0].price == 92
        bars = await session.klines(symbol="BTCUSDT", interval="1m")
        assert [(bar.open, bar.close) for bar in bars] == [(D(100), D(95)), (D(94), D(92))]


async def test_a_query_that_lags_sees_what_happened_while_nobody_looked(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False, market=Falling(), query_lag=2) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        await trio.sleep(61)
        seen = [await session.ticker_price(symbol="BTCUSDT")]
        await trio.sleep(1)
        seen.append(await session.ticker_price(symbol="BTCUSDT"))
        assert [one.price for one in seen] == [95, 94]


async def test_events_come_when_they_happen(autojump_clock: MockClock) -> None:
    market = Falling()
    async with (
        open_sandbox(listen=False, market=market) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        began = trio.current_time()
        await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="95.5", quantity="0.1"
        )
        async with session.user_data() as events:
            event = await anext(events)
            assert isinstance(event, bintrio.ExecutionReport)
            assert (event.order_status, event.last_executed_price) == ("FILLED", D("95.5"))
            assert trio.current_time() - began == pytest.approx(50, abs=0.01)
            assert event.event_time == 1_767_225_650_000
            await trio.sleep(2 * LONGEST)  # nothing happens any more
        assert sandbox.orders[0].status == "FILLED"


async def test_what_nobody_looks_at_does_not_pile_up(autojump_clock: MockClock) -> None:
    market = Falling()
    async with open_sandbox(listen=False, market=market):
        await trio.sleep(LONGEST - 1)
        assert len(market.told) == 1
        await trio.sleep(2)
        assert len(market.told) == 11


async def test_orders_that_are_looked_at_are_up_to_date(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False, market=Falling()) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="95.5", quantity="0.1"
        )
        await trio.sleep(60)
        assert sandbox.orders[0].status == "FILLED"


async def test_a_market_can_be_left_while_it_waits(autojump_clock: MockClock) -> None:
    with trio.move_on_after(1):
        async with (
            open_sandbox(listen=False, market=RandomWalk()) as sandbox,
            bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
            session.user_data(),
        ):
            await trio.sleep_forever()
    assert trio.current_time() == pytest.approx(1)


async def test_who_sets_the_clock_forward_finds_the_market_there(autojump_clock: MockClock) -> None:
    async with (
        open_sandbox(listen=False, market=Falling()) as sandbox,
        bintrio.open_session(sandbox.endpoint, key=sandbox.key, connect=sandbox.connect) as session,
    ):
        order = await session.order_place(
            symbol="BTCUSDT", side="BUY", type="LIMIT", time_in_force="GTC", price="95.5", quantity="0.1"
        )
        async with session.user_data() as events:
            sandbox.advance(45)
            assert sandbox.now() == 1_767_225_645_000
            assert sandbox.orders[0].status == "NEW"
            began = trio.current_time()
            event = await anext(events)
            assert isinstance(event, bintrio.ExecutionReport)
            assert (event.order_id, event.order_status) == (order.order_id, "FILLED")
            # Nobody waits for the tick as long as was to be waited before the clock was adjusted.
            assert trio.current_time() - began == pytest.approx(5)
