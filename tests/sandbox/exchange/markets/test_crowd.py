"""Makers and takers on an exchange: what they trade, quote, and do to the orders of users."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bintrio.sandbox.exchange.candles import candles, interval
from bintrio.sandbox.exchange.markets import crowd
from bintrio.sandbox.exchange.markets.market import Market, Tick
from bintrio.sandbox.exchange.markets.random_walk import RandomWalk
from bintrio.sandbox.exchange.symbols import SYMBOLS, Symbol
from bintrio.sandbox.exchange.units import SECOND

from .world import BTC, MAKER, START, USER, World

D = Decimal


class Told(Market):
    """Trades as a test tells them: seconds, price, quantity, and whether the buyer was the maker."""

    def __init__(self, *trades: tuple[float, Any, Any, bool], symbol: str = "BTCUSDT", **quotes: Any) -> None:
        usual: dict[str, Any] = {"spread": "0.01", "depth": 2, "quantity": 3}
        super().__init__(**usual | quotes)
        self.trades = trades
        self.symbol = symbol

    def ticks(self, symbols: Mapping[str, Symbol], start: int) -> Iterator[Tick]:
        for seconds, price, quantity, is_buyer_maker in self.trades:
            yield Tick(start + round(seconds * SECOND), self.symbol, D(price), D(quantity), is_buyer_maker)


def test_a_trade_is_on_the_tape_and_the_makers_quote_around_it() -> None:
    world = World(Told((0, 100, 1, True), (1.5, 200, 2, False)))
    assert world.trades() == [(0, 100, 1)]
    assert world.levels() == ([(100, 3), (99, 3)], [(101, 3), (102, 3)])
    next_time = world.crowd.next_time
    assert next_time == START + 3 * SECOND // 2
    world.look(1.499999)
    assert len(world.trades()) == 1
    world.look(1.5)
    assert world.trades()[1:] == [(1.5, 200, 2)]
    assert world.levels() == ([(198, 3), (196, 3)], [(200, 3), (202, 3)])
    assert world.crowd.next_time is None
    assert [trade.is_buyer_maker for trade in world.exchange.engine.listings["BTCUSDT"].tape.trades] == [True, False]


def test_no_copy_is_kept_of_the_account_of_makers_and_takers_when_queries_lag() -> None:
    world = World(Told((0, 100, 1, True), (1, 200, 2, False)))
    replicas, maker = world.exchange.replicas, world.exchange.engine.accounts[MAKER]
    replicas.lag = SECOND
    assert (replicas.has(USER), replicas.has(MAKER)) == (True, False)
    world.look(2)
    assert replicas.account(MAKER, START) is maker
    # One that comes later has had a copy.
    crowd.Crowd(world.exchange, Told(), USER, START)
    assert not replicas.has(USER)


@pytest.mark.parametrize(
    ("side", "price", "is_buyer_maker", "fill"),
    [
        ("SELL", 110, False, 110),  # a taker buys at 120, and first from who asks for less
        ("SELL", 110, True, 110),  # the makers bid 120
        ("BUY", 90, True, 90),
        ("BUY", 90, False, 90),
    ],
)
def test_users_orders_are_filled_on_the_way(side: str, price: int, is_buyer_maker: bool, fill: int) -> None:
    target = 120 if side == "SELL" else 80
    world = World(Told((0, 100, 1, True), (1, target, 5, is_buyer_maker)))
    order = world.place(0.5, side=side, price=str(price))
    assert order.status == "NEW"
    world.look(1)
    assert order.status == "FILLED"
    assert [(each.time, each.price, each.quantity) for each in order.executions] == [(START + SECOND, fill, 1)]
    assert world.trades()[-1][1] == target


def test_an_order_that_the_price_does_not_reach_stays() -> None:
    world = World(Told((0, 100, 1, True), (1, 105, 5, False)))
    order = world.place(0.5, side="SELL", price="105.01")
    world.look(1)
    assert order.status == "NEW"
    # Nobody quotes across it.
    assert [price for price, _ in world.levels()[1]] == [D(105), D("105.01"), D("106.05")]


def test_a_large_order_is_filled_in_part_and_nobody_crosses_it() -> None:
    world = World(Told((0, 100, 1, True), (1, 120, 5, False), (2, 120, 5, False)))
    order = world.place(0, side="SELL", price="110", quantity="100")
    for seconds, executed in ((1, 11), (1.5, 11), (2, 22)):  # 2 levels of 3 on the way up, and what was traded
        world.look(seconds)
        assert order.executed == executed
        bids, asks = world.levels()
        assert asks[0] == (110, 100 - executed)
        assert all(price < 110 for price, _ in bids)


def test_who_takes_finds_the_makers_between_two_trades() -> None:
    world = World(Told((0, 100, 1, True), (1, 100, 1, True)))
    bought = world.place(0.5, side="BUY", type="MARKET", time_in_force=None, quantity="4")
    assert [(each.price, each.quantity) for each in bought.executions] == [(101, 3), (102, 1)]
    assert world.levels()[1] == [(102, 2)]
    world.look(1)
    assert world.levels()[1] == [(101, 3), (102, 3)]


def test_prices_and_quantities_are_brought_to_the_filters() -> None:
    world = World(
        Told(
            (0, "100.0099", "0.123456789", True),
            (1, "0", "1000000", False),
            (2, "99999999", "0.00000001", False),
            (3, "100", "0", True),
        )
    )
    world.look(3)
    assert world.trades() == [
        (0, D("100"), D("0.12345")),
        (1, D("0.01"), D(9_000)),
        (2, D(1_000_000), D("0.00001")),
        (3, D(100), D("0.05")),
    ]


def test_a_symbol_without_steps_keeps_eight_decimals() -> None:
    loose = Symbol(base="A", quote="B", tick_size=D(0), step_size=D(0), max_price=D(0), min_price=D(0))
    world = World(Told((0, "7.123456789", "1.000000019", True), (1, 0, "1", True), symbol="AB"), (loose,))
    world.look(1)
    assert world.trades("AB")[0] == (0, D("7.12345678"), D("1.00000001"))
    assert len(world.trades("AB")) == 1  # more than the largest quantity would be needed


def test_quotes_beyond_the_lowest_and_highest_price_are_left_out() -> None:
    world = World(Told((0, "0.02", 500, True), (1, 999_999, 1, False), depth=5, quantity=1_000, spread="0.5"))
    assert world.levels()[0] == [(D("0.02"), 1_000), (D("0.01"), 1_000)]
    world.look(1)
    assert len(world.levels()[1]) == 1


def test_a_market_that_is_closed_has_no_trades() -> None:
    world = World(Told((0, 100, 1, True), symbol="OLDUSDT"), (*BTC, Symbol(base="OLD", quote="USDT", status="BREAK")))
    assert world.trades("OLDUSDT") == []
    assert world.levels("OLDUSDT") == ([], [])


def test_a_stop_triggers_and_finds_the_makers() -> None:
    world = World(Told((0, 100, 1, True), (1, 95, 1, True), (2, 80, 1, True), (3, 120, 1, False)))
    stop = world.place(0, side="SELL", type="STOP_LOSS", time_in_force=None, stop_price="90", quantity="4")
    taken = world.place(0, side="BUY", type="STOP_LOSS", time_in_force=None, stop_price="110", quantity="4")
    world.look(1)
    assert (stop.status, taken.status) == ("NEW", "NEW")
    world.look(3)
    assert [(fill.time, fill.price, fill.quantity) for fill in stop.executions] == [(START + 2 * SECOND, 80, 4)]
    assert [(fill.time, fill.price, fill.quantity) for fill in taken.executions] == [(START + 3 * SECOND, 120, 4)]
    assert (stop.status, taken.status) == ("FILLED", "FILLED")


def test_a_trailing_stop_follows_the_price() -> None:
    world = World(Told((0, 100, 1, True), (1, 200, 1, False), (2, 199, 1, True), (3, 150, 1, True)))
    stop = world.place(0, side="SELL", type="STOP_LOSS", time_in_force=None, trailing_delta=1_000)
    world.look(2)
    assert stop.status == "NEW"
    world.look(3)
    assert [fill.price for fill in stop.executions] == [150]


def test_a_market_without_trades_is_one() -> None:
    world = World(Told())
    world.look(10)
    assert world.crowd.next_time is None
    assert world.levels() == ([], [])


# What holds for every walk


WALKS = st.builds(
    RandomWalk,
    st.integers(0, 3),
    st.sampled_from(["0", "0.02", "0.3", "1"]),
    st.sampled_from(["0", "0.0001", "0.02"]),
    st.integers(1, 3),
    quantity=st.sampled_from(["0.001", "0.5"]),
    interval=st.just(1.0),
)
ORDERS = st.lists(
    st.tuples(
        st.integers(0, 20),
        st.sampled_from(["BUY", "SELL"]),
        st.sampled_from(["63000", "63900", "63990", "64000", "64010", "64100", "65000"]),
        st.sampled_from(["0.01", "0.3", "20"]),
    ),
    max_size=5,
).map(sorted)


def acted(walk: RandomWalk, orders: list[Any], looks: list[int]) -> World:
    world = World(walk)
    for seconds, *order in sorted([*orders, *((seconds,) for seconds in looks)]):
        world.look(seconds)
        if order:
            side, price, quantity = order
            world.place(seconds, side=side, price=price, quantity=quantity)
    world.look(21)
    return world


@settings(max_examples=20)
@given(WALKS, ORDERS, st.lists(st.integers(0, 20), max_size=10))
def test_catching_up_at_once_or_in_many_steps_is_the_same(
    walk: RandomWalk, orders: list[Any], looks: list[int]
) -> None:
    once, often = acted(walk, orders, []), acted(walk, orders, looks)
    for at_once, in_steps in zip(once.seen(), often.seen(), strict=True):
        assert at_once == in_steps


@settings(max_examples=20)
@given(WALKS, ORDERS)
def test_books_never_cross_and_every_number_passes_the_filters(walk: RandomWalk, orders: list[Any]) -> None:
    world = acted(walk, orders, [3, 10])
    (symbol,) = BTC
    bids, asks = world.levels()
    assert bids or asks
    assert not bids or not asks or bids[0][0] < asks[0][0]
    for _, price, quantity in world.trades():
        assert symbol.min_price <= price <= symbol.max_price
        assert price % symbol.tick_size == quantity % symbol.step_size == 0 < quantity
    for order in world.exchange.engine.orders:
        if order.owner == MAKER:
            assert order.price % symbol.tick_size == order.quantity % symbol.step_size == 0
            assert order.price * order.quantity >= symbol.min_notional


def test_the_spread_is_the_one_that_was_asked_for() -> None:
    world = World(RandomWalk(spread="0.001"), SYMBOLS)
    for seconds in (0, 60, 120):
        world.look(seconds)
        for symbol in SYMBOLS:
            bids, asks = world.levels(symbol.name)
            price = world.trades(symbol.name)[-1][1]
            assert price in {bids[0][0], asks[0][0]}
            assert 0 <= asks[0][0] - bids[0][0] - price * D("0.001") < symbol.tick_size


def test_every_symbol_has_a_walk() -> None:
    world = World(RandomWalk(depth=1), SYMBOLS)
    world.look(100)
    assert all(len(world.trades(symbol.name)) > 5 for symbol in SYMBOLS)


def test_a_day_costs_two_orders_a_trade() -> None:
    """Where no user has an order, nobody quotes until somebody looks."""
    world = World(RandomWalk(1, interval=60, depth=5))
    before = len(world.exchange.engine.orders)
    world.look(86_400)
    trades = len(world.trades()) - 1
    assert 86_400 / 60 * 0.9 < trades < 86_400 / 60 * 1.1
    assert len(world.exchange.engine.orders) - before == 2 * trades + 2 * 5
    world.look(86_400)
    assert len(world.exchange.engine.orders) - before == 2 * trades + 2 * 5


def test_the_crowds_closed_orders_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "ORDERS_KEPT", 20)
    world = World(RandomWalk(1, interval=60, depth=5))
    order = world.place(0, side="BUY", price="63999")
    waiting = world.place(0, side="BUY", price="1000")
    world.look(7_200)
    assert (order.status, waiting.status) == ("FILLED", "NEW")
    assert len(world.trades()) > 100
    engine = world.exchange.engine
    assert len(engine.orders) == 2 + 20 + 2 * 5
    assert len(engine.accounts[MAKER].orders) == len(engine.orders) - 2
    assert [*engine.accounts[USER].orders.values()] == [each for each in engine.orders if each.owner == USER]
    bids, asks = world.levels()
    assert (len(bids), len(asks)) == (6, 5)


def test_a_users_order_costs_one_more_a_trade() -> None:
    world = World(RandomWalk(1, interval=60, depth=5))
    world.place(0, side="BUY", price="1000")
    before = len(world.exchange.engine.orders)
    world.look(1_800)
    assert len(world.exchange.engine.orders) - before == 3 * (len(world.trades()) - 1) + 2 * 5


def test_candles_have_shape() -> None:
    world = World(RandomWalk(1))
    now = START + 3_600 * SECOND
    world.look(3_600)
    found = candles(world.exchange.engine.listings["BTCUSDT"].tape, interval("5m"), now, start=None, end=None, limit=12)
    assert len(found) == 12
    full = [candle for candle in found if candle.number_of_trades]
    assert len(full) >= 11
    assert all(candle.low < candle.high and candle.volume > 0 for candle in full)
